"""Deterministic storms: real replica, store and codecs under every fault at once, from one seed.

In the manner of FoundationDB's and TigerBeetle's simulators: virtual time, one thread, no luck but
the seed's. docs/reliability.md § Storms has the promises and the figures, ADR 19 the choices.
"""
