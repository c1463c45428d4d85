"""Finding records: a file beside the store that any program which speaks SQL can read."""
