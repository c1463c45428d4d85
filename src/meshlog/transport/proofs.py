"""What both ends of a link say before it counts: a version byte and the gate's proof.

The binding is the link's id. It is the hash of the link request, so it commits to the
dialler's ephemeral keys, and the answer is signed by the dialled identity over it: nobody
between the two can have a link of the same id.
"""

from __future__ import annotations

import logging

from meshlog.ports.links import Gate, Peer
from meshlog.transport.exchanges import LinkId

HELLO_VERSION = 1
"""First byte of either proof; another one is reported and refused."""

PROOF_BYTES_MAX = 160
"""See `Gate.prove`."""

TAG_BYTES = 8
"""See `Gate.tag`."""


class Proofs:
    """The gate, as bytes of a ``hello`` request and its answer."""

    def __init__(self, gate: Gate, log: logging.Logger) -> None:
        self._gate = gate
        self._log = log
        self.tag = gate.tag()
        assert len(self.tag) == TAG_BYTES, "a gate's tag has 8 bytes"

    def ours(self, link: LinkId, *, initiator: bool) -> bytes:
        """Return our proof for ``link``."""
        return bytes([HELLO_VERSION]) + self._gate.prove(bytes(link), initiator=initiator)

    def check(self, link: LinkId, said: bytes, *, initiator: bool) -> Peer | None:
        """Return who said ``said`` on ``link``, or None if that does not hold.

        Args:
            said: Hostile.
            initiator: Whether the other end dialled.
        """
        if not 1 < len(said) <= 1 + PROOF_BYTES_MAX:
            return None
        if said[0] != HELLO_VERSION:
            self._log.warning(
                "a peer speaks version %d of the link lane", said[0], extra={"event": "peer.newer"}
            )
            return None
        return self._gate.check(bytes(link), said[1:], initiator=initiator)
