"""Adapters for the `Links` port: how bytes reach peers.

``reticulum.py`` is the only file in the project that imports RNS. What it decides (pace,
retries, which link to use, whom to answer) lives beside it in modules that know neither RNS
nor sockets nor clocks, and is tested without them.
"""
