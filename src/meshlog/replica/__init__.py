"""One dataset on one device, as one object."""

from meshlog.replica.replica import Replica
from meshlog.replica.seat import Seat, found, join, join_open

__all__ = ["Replica", "Seat", "found", "join", "join_open"]
