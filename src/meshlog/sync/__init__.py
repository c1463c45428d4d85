"""The sync engine: what to say to whom, as a pure machine of inputs and effects."""
