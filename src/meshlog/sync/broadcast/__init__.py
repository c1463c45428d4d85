"""The broadcast lane: what to say to everybody in range, and when to keep silent."""
