"""What data costs: writing, taking in, reading, opening, checking; ours and the predecessor's."""
