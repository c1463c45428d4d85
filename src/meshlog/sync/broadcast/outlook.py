"""How a node and its neighbourhood stand on the broadcast lane: honest numbers for a person."""

from __future__ import annotations

from dataclasses import dataclass

from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.broadcast.budget import air_ms


@dataclass(frozen=True, slots=True)
class Outlook:
    """How we and the neighbourhood stand, as far as was heard."""

    rate_bps: float
    """Of the medium, raw."""
    heard_ms: int | None
    """When a packet of the dataset was heard last."""
    agreed_ms: int | None
    """When a neighbour stood where we stood last."""
    we_lack_events: int
    they_lack_events: int
    event_size_bytes: float
    """What an event takes on the air, on average."""
    share: float
    """Of the time we may transmit."""
    counts: dict[str, int]
    """Packets and segments heard, by what became of them."""

    def seconds(self, events: int) -> float:
        """Return how long so many events take on this medium, at best."""
        size_bytes = events * self.event_size_bytes
        return air_ms(0, self.rate_bps) / 1_000 * -(-size_bytes // SHOUT_SIZE_MAX) / self.share + (
            size_bytes * 8 / self.rate_bps / self.share
        )
