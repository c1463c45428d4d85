"""The same attacks from outside, over real Reticulum, on ours and on the predecessor."""
