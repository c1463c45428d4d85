"""Fork proofs out of a store: the shortest that its events make."""

from __future__ import annotations

from meshlog.core.event import NO_PREV, EventId
from meshlog.core.feed import FeedKey, Frontier
from meshlog.core.forkproof import ForkProof
from meshlog.core.roster import Roster
from meshlog.core.segment import SEGMENT_EVENTS_MAX, encode_segment
from meshlog.ports.log import EventLog

BRANCHES_READ_MAX = 64
"""Branches that are looked at for two short ones. A choice."""


def fork_proof(
    store: EventLog, roster: Roster, frontier: Frontier, feed: FeedKey, fork_seq: int
) -> ForkProof | None:
    """Return the proof that a feed forked; None where a branch is not signed yet.

    Args:
        store: Holds the events; read only.
        roster: Knows the author's keys.
        frontier: What is held.
        feed: One that forked.
        fork_seq: The seq of the last event before its first fork.
    """
    member = roster.members.get(feed.author)
    keys = member.keys if member else roster.founder
    shortest: dict[EventId, bytes] = {}
    base = NO_PREV
    for tip in frontier.get(feed, ())[:BRANCHES_READ_MAX]:
        run = store.branch(tip, feed, fork_seq, SEGMENT_EVENTS_MAX)
        end = next((place for place, event in enumerate(run, 1) if event.signature), 0)
        if not end:
            continue
        base, segment = run[0].prev, encode_segment(run[:end])
        held = shortest.get(run[0].id)
        if held is None or len(segment) < len(held):
            shortest[run[0].id] = segment
    branches = sorted(shortest.values(), key=lambda segment: (len(segment), segment))[:2]
    if len(branches) < 2:  # noqa: PLR2004 - a fork has two
        return None
    return ForkProof(roster.dataset, keys, base, *sorted(branches))
