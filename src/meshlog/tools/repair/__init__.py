"""A damaged store, read to the last sound event and written anew."""
