"""Rows of other programs' files: in as events, out as CSV or JSON lines."""
