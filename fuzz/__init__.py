"""Fuzzing: garbage into every decoder, with atheris. `make fuzz`, docs/adr/0020-fuzzing.md.

The oracle in one sentence: garbage is refused with a reason, never with any other exception and
never for more memory than its limit, and what is accepted encodes to an equal value again.
"""
