"""What a broadcast packet counts as: what its most telling message is."""

from __future__ import annotations

from meshlog.core.event import DatasetId
from meshlog.errors import MalformedError
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.keyring import KeyRing
from meshlog.sync.messages import Beacon, Part, Seg

_CLASSES = ((Seg, "segment"), (Part, "segment"), (Beacon, "beacon"))


class Labels:
    """Opens packets with the dataset's key, for the accounts only."""

    def __init__(self, dataset: DatasetId, ring: KeyRing) -> None:
        """Take the dataset's id and its keys."""
        self._air = AirKey(dataset, ring)

    def of(self, packet: bytes) -> str:
        """Return ``beacon``, ``segment`` or ``statement``; ``other`` for strangers."""
        try:
            messages = self._air.open(packet, 0).messages
        except MalformedError:
            return "other"
        for kind, label in _CLASSES:
            if any(isinstance(message, kind) for message in messages):
                return label
        return "statement"
