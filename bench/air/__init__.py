"""``make bench-air``: bytes on the air, ours and the predecessor's real code, side by side.

``python -m bench.air`` from the root of the repository runs it; docs/benchmarks.md explains it.
"""
