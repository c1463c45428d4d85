"""What stands between a dataset and a person's files: import, export, history, fsck."""
