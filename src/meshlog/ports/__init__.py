"""Every seam of the house: what each adapter promises to those above it.

A port states a promise; the adapters in ``store/``, ``transport/`` and ``sim/`` keep it,
and the contract suite (``tests/contracts``) checks every store alike.
"""
