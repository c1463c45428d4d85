"""Compact segments: what both ends know is left out, the rest goes through a range coder."""
