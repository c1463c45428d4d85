"""One process on one device, and how other programs of its owner talk to it."""
