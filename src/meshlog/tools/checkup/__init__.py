"""What can keep a device from working, one line each."""
