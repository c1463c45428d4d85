"""Which records an intake makes stale without touching them: their events stand otherwise."""

from __future__ import annotations

from collections.abc import Iterable

from meshlog.core.chain import Chain
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.ports.store import Store
from meshlog.replica.ledger import Ledger


def changed_feeds(before: Ledger, after: Ledger, arrived: Iterable[Chain]) -> set[FeedKey]:
    """Return the data feeds whose events may stand otherwise than before.

    Args:
        before: The sums before the events came.
        after: The sums with them.
        arrived: What came to data feeds: a cut may have waited for it.
    """
    tips = after.decrees.tips
    changed = {new.feed for new in arrived if not tips.isdisjoint(new.ids)} if tips else set()
    if after.forks:
        changed |= {feed for feed, _ in before.quarantine.items() ^ after.quarantine.items()}
    if before.roster is after.roster and before.decree_log is after.decree_log:
        return changed
    held = {feed for feed in after.frontier if feed.kind is FeedKind.DATA}
    if before.roster.founder != after.roster.founder:
        return held
    old, new = before.roster.members, after.roster.members
    authors = after.decrees.changed_authors(before.decrees)
    authors.update(
        author
        for author, member in new.items()
        if (was := old.get(author)) is None or (was.role, was.feeds) != (member.role, member.feeds)
    )
    return changed | {feed for feed in held if feed.author in authors}


def stale_records(
    store: Store,
    before: Ledger,
    after: Ledger,
    arrived: Iterable[Chain] = (),
) -> list[str]:
    """Return the records whose rows must be folded again; see ``changed_feeds``.

    Args:
        store: Holds the events that came.
        before: See ``changed_feeds``.
        after: See ``changed_feeds``.
        arrived: See ``changed_feeds``.
    """
    feeds = changed_feeds(before, after, arrived)
    return store.records_of(sorted(feeds)) if feeds else []
