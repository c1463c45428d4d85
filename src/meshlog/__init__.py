"""meshlog: one shared dataset on many devices that have no server and no internet.

    from meshlog import Node, SimNetwork, SimTransport

The names below are the front door. ARCHITECTURE.md has the map, docs/protocol.md the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlog.errors import (
    IdentityError,
    InputError,
    MalformedError,
    MeshlogError,
    ReducerError,
    StoreBusyError,
    StoreError,
    TransportError,
)
from meshlog.node import HLC, Event, FeedStore, Node, materialize
from meshlog.ports.transport import Transport
from meshlog.sim.network import SimNetwork, SimTransport
from meshlog.views.reducer import Reducer, SkipEvent

if TYPE_CHECKING:
    from meshlog.node.rns import RNSTransport

__version__ = "0.6.0"

__all__ = [
    "HLC",
    "Event",
    "FeedStore",
    "IdentityError",
    "InputError",
    "MalformedError",
    "MeshlogError",
    "Node",
    "RNSTransport",
    "Reducer",
    "ReducerError",
    "SimNetwork",
    "SimTransport",
    "SkipEvent",
    "StoreBusyError",
    "StoreError",
    "Transport",
    "TransportError",
    "materialize",
]


def __getattr__(name: str) -> object:
    """Load the Reticulum transport at its first use: everything else works without it."""
    if name == "RNSTransport":
        from meshlog.node.rns import RNSTransport  # noqa: PLC0415 - optional extra

        return RNSTransport
    raise AttributeError(f"module 'meshlog' has no attribute {name!r}")
