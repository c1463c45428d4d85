"""What one store lacks of another, by how many events of each author it says it holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from meshlog.core.event import Event
from meshlog.core.feed import FeedKind
from meshlog.core.identity import AuthorId
from meshlog.errors import InputError
from meshlog.replica import Replica
from meshlog.sync.locators import common_seq


def delta(
    replica: Replica,
    labels: Mapping[AuthorId, str],
    remote: Mapping[str, int],
    limit: int | None,
) -> list[Event]:
    """Return the data events that a store with this frontier lacks. See ``FeedStore.delta_for``.

    Args:
        replica: What we hold; its own cuts are signed.
        labels: What each author is called.
        remote: How many events of each label are held there.
        limit: As in ``FeedStore.delta_for``.

    Raises:
        InputError: No frontier, or no limit.
    """
    _check(remote, limit)
    theirs = {author: remote.get(called, 0) for author, called in labels.items()}
    lacking = sorted(
        _lacking(replica, theirs),
        key=lambda event: (labels[event.author], event.feed, event.seq, event.id),
    )
    return lacking if limit is None else _limited(replica, lacking, limit)


def event_counts(replica: Replica) -> dict[AuthorId, int]:
    """Return how many data events are held of each author; O(feeds) but for forked ones."""
    counts: dict[AuthorId, int] = defaultdict(int)
    for feed, heads in sorted(replica.ledger.frontier.items()):
        if feed.kind is FeedKind.DATA:
            for index, head in enumerate(heads):
                shared = max(
                    (common_seq(replica, feed, head, other) for other in heads[:index]), default=0
                )
                counts[feed.author] += head.seq - shared
    return dict(counts)


def _check(remote: object, limit: object) -> None:
    if not isinstance(remote, Mapping) or not all(type(n) is int for n in remote.values()):
        raise InputError("a frontier is a mapping from author to a whole number")
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise InputError("a limit is a whole number from 0, or None")


def _lacking(replica: Replica, theirs: Mapping[AuthorId, int]) -> Iterator[Event]:
    """Yield what is past each count; all of an author whose branches a count cannot tell apart."""
    counts = event_counts(replica)
    branches: dict[AuthorId, int] = defaultdict(int)
    for feed, heads in replica.frontier().items():
        branches[feed.author] += len(heads) if feed.kind is FeedKind.DATA else 0
    for arrival in replica.store.scan():
        event = arrival.event
        if event.feed.kind is FeedKind.DATA and (
            event.seq > theirs[event.author]
            if branches[event.author] == 1
            else counts[event.author] != theirs[event.author]
        ):
            yield event


def _limited(replica: Replica, lacking: list[Event], limit: int) -> list[Event]:
    """Return the first events; the last of them is signed, or is ours to sign."""
    end = min(limit, len(lacking))
    while (
        0 < end < len(lacking)
        and not lacking[end - 1].signature
        and lacking[end - 1].author != replica.identity.author
    ):
        end += 1
    return lacking[:end]
