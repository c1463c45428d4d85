"""How eager the engine is: every waiting time and limit of sync, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in milliseconds.

    The defaults suit a LAN and fast radios; slow links set their own pace, because an
    exchange there takes as long as it takes.
    """

    retry_ms: int = 10_000
    """First wait after a failed exchange; doubles up to ``retry_ms_max``."""
    retry_ms_max: int = 600_000
    nagle_ms: int = 300
    """A lone event waits this long for company before peers hear of it."""
    courtesy_ms: int = 3_000
    """Of two peers that discover each other, the one with the greater name waits this long."""
    driven_ms: int = 60_000
    """While a peer drives a sync, we start none with it for this long after its last word."""
    driven_ms_fast: int = 3_000
    """The same on a link whose batch is at least ``fast_batch_size_bytes``."""
    fast_batch_size_bytes: int = 65_536
    """What a link moves in 30 s from where it counts as fast: 17 kbit/s."""
    batch_size_bytes: int = 16_384
    """What an exchange may hold before the link has said what it moves in 30 s."""
    duty_cycle: float = 1.0
    """Share of every hour that broadcast packets may take; 1.0 for no limit."""
    air_fast_bps: float = 100_000
    """From this bit rate on peers are met over links, and the broadcast lane is silent."""
    beacon_max_ms: int = 1_024_000
    """The longest pause between beacons in company."""
    beacon_alone_ms: int = 128_000
    """The longest pause while nobody was heard: who comes into range is met within it."""
    credit_packets: int = 16
    """Packets that a neighbour may send us before we say again what we lack."""
    urgent_kinds: frozenset[str] = frozenset({"alert"})
    """Kinds of events that never wait for company."""
    peers_max: int = 256
    """Peers remembered; the one unheard for longest is forgotten first."""
