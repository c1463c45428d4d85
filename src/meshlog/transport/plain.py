"""The PLAIN destination of a dataset: broadcast packets, in and out, one hop.

Its name holds the dataset's tag, so Reticulum itself keeps the packets of other datasets
away. What RNS 1.5.7 does with PLAIN packets stands in docs/adr/0011-broadcast-over-reticulum.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

APP, ASPECT = "meshlog", "air"
"""With the tag's hex digits as a second aspect, the name of the destination."""


class PlainDestination:
    """Listens under a dataset's name until closed, and sends to whoever does."""

    def __init__(
        self,
        rns: Any,  # noqa: ANN401 - RNS ships no types
        tag: bytes,
        heard: Callable[[object], None],
        log: logging.Logger,
    ) -> None:
        """Begin to listen.

        Args:
            rns: The RNS package, started.
            tag: Of the dataset.
            heard: Takes what comes, on Reticulum's inbound thread: must return at once.
            log: Told when nothing can be heard.
        """
        self._rns = rns
        kind = rns.Destination.PLAIN
        name = (APP, ASPECT, tag.hex())
        self._out = rns.Destination(None, rns.Destination.OUT, kind, *name)
        self._in = None
        try:
            listener = rns.Destination(None, rns.Destination.IN, kind, *name)
        except KeyError:  # one destination of a name per process
            log.warning(
                "another node of this process hears this dataset's broadcasts; we do not",
                extra={"event": "broadcast.shared"},
            )
            return
        listener.accepts_links(False)  # noqa: FBT003 - its API
        listener.set_packet_callback(lambda data, _packet: heard(data))
        self._in = listener

    def send(self, packet: bytes) -> bool:
        """Send ``packet`` on every interface; say whether there was one."""
        sent = self._rns.Packet(self._out, packet, create_receipt=False)
        sent.send()  # returns a receipt, and there is none
        return bool(sent.sent)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        listener, self._in = self._in, None
        if listener is not None:
            listener.set_packet_callback(None)
            self._rns.Transport.deregister_destination(listener)
