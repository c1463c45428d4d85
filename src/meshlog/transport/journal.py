"""What happened with whom: counted for who looks, and said in the log."""

from __future__ import annotations

import logging

from meshlog.ports.links import Answered, AskFailed, LinkDown, LinkEvent, LinkUp
from meshlog.transport.peers import Counters


class Journal:
    """Takes what is delivered; links and failures are said in ``log``."""

    def __init__(self, log: logging.Logger) -> None:
        self.counters = Counters()
        self._log = log

    def note(self, event: LinkEvent) -> None:
        """Note what is about to be delivered."""
        match event:
            case Answered(peer, _, answer):
                self.counters.show(peer, progress=0.0)
                self.counters.add(peer, received=len(answer), ok=1)
                self.counters.heard(peer)
            case AskFailed(peer, _, reason):
                self.counters.show(peer, progress=0.0)
                self.counters.add(peer, failed=1)
                self._log.info(
                    "exchange with %s failed: %s", peer, reason, extra={"event": "exchange.failed"}
                )
            case LinkUp(peer, batch_size_bytes):
                self._log.info(
                    "link to %s is up, batches of %d B",
                    peer,
                    batch_size_bytes,
                    extra={"event": "link.up"},
                )
            case LinkDown(peer):
                self._log.info("link to %s is down", peer, extra={"event": "link.down"})
            case _:
                pass
