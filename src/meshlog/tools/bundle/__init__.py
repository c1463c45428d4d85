"""A dataset in one file that a stick carries: written, read, brought in."""
