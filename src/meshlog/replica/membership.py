"""What a decree about a member should say, by what this replica holds now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from meshlog.core.decrees import (
    ANSWERS_MAX,
    CUTS_MAX,
    KEEPS_MAX,
    Mode,
    cut_list,
    read_decree,
)
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.grant import Role, chain_of
from meshlog.core.hlc import WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, author_id
from meshlog.core.joining import Taken, taken_by, welcomes_by_host
from meshlog.core.roster import Roster, label
from meshlog.core.seniority import DECREES_PER_PAIR_MAX
from meshlog.errors import InputError
from meshlog.ports.store import Store
from meshlog.replica.desk import Desk
from meshlog.replica.ledger import Ledger, events_of
from meshlog.replica.welcoming import awaited_by

KEPT_MAX = KEEPS_MAX * (1 + DECREES_PER_PAIR_MAX)
"""Guests of a removed member that can be kept: in its removal, and in what answers that."""


def decree(desk: Desk, ledger: Ledger, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
    """Write a decree to our control feed, inside ``desk.change``; return the first event.

    Whom it has no room to keep is kept by readmissions that answer it, or what it answers.

    Raises:
        InputError: Others could not read it.
    """
    keeps, *more = in_turns(kept_by(payload))
    [event] = desk.say(ledger, [(kind, {**payload, "keeps": keeps} if more else payload)], now_ms)
    if read_decree(event) is None:
        raise InputError(f"{kind}: this is no decree that others could read")
    if more:
        answers = payload.get("answers", [event.id])
        keep(desk, ledger, payload["author"], answers, more, now_ms)
    return event


def keep(
    desk: Desk,
    ledger: Ledger,
    host: AuthorId,
    answers: Sequence[bytes],
    keeps: Iterable[Sequence[AuthorId]],
    now_ms: int,
) -> None:
    """Write that guests of a removed host stay, an event for each list, inside ``desk.change``."""
    said = {"author": host, "answers": answers, "cuts": []}
    items = [("member.readmit", {**said, "keeps": guests}) for guests in keeps]
    desk.say(ledger, items, now_ms)


class Since(NamedTuple):
    """From where on nothing of a member counts; both None: from now on."""

    wall_ms: int | None = None
    """Later stamps do not count, ms since 1970 UTC."""
    seq: int | None = None
    """This seq of its data feed, and later ones, do not count."""


def revocation(
    store: Store, ledger: Ledger, author: AuthorId, mode: Mode, since: Since
) -> dict[str, Any]:
    """Return the payload of a ``member.revoke``: what we hold of its feeds now, or up to ``since``.

    Whom it let in before stays. Of more branches than a cut can name those go in whose first
    event came here first: whoever forks at will must not keep itself from being revoked.
    Cost: O(feeds · log events).

    Raises:
        InputError: ``since`` names a seq and there are several data feeds.
    """
    heads = cut_heads(store, ledger, author, since)
    if sum(map(len, heads.values())) > CUTS_MAX:
        heads = _first_to_come(store, heads)
    cuts = cut_list(heads)
    until_ms = WALL_MS_MAX if since.wall_ms is None else since.wall_ms
    keeps = guests_of(ledger.roster, author, until_ms)
    return {"author": author, "cuts": cuts, "mode": str(mode), "keeps": keeps}


def readmission(
    store: Store, ledger: Ledger, author: AuthorId, until_seq: int | None
) -> dict[str, Any]:
    """Return the payload of a ``member.readmit`` that takes a member's review queue in.

    Args:
        store: Ours.
        ledger: Of ``store``.
        author: Who was revoked, softly; or who was let in by a revoked member.
        until_seq: The last seq of its data feed that is taken in; None for all that is held.

    Raises:
        InputError: There is nothing to take back in; the message says why.
    """
    roster, decrees = ledger.roster, ledger.decrees
    removals = decrees.removals.get(author, ())
    if any(removal.mode is Mode.HARD for removal in removals):
        raise InputError(
            f"{label(roster, author)} was revoked for good (hard): let it join anew with an invite"
        )
    if not removals:
        return _keep(ledger, author)
    since = Since(seq=None if until_seq is None else until_seq + 1)
    return {
        "author": author,
        "answers": [removal.place.id for removal in removals][-ANSWERS_MAX:],
        "cuts": cut_list(_first_to_come(store, cut_heads(store, ledger, author, since))),
        "keeps": guests_of(roster, author, WALL_MS_MAX),
    }


def _keep(ledger: Ledger, author: AuthorId) -> dict[str, Any]:
    """Return the readmission of a member who fell with the one that let it in."""
    roster, decrees = ledger.roster, ledger.decrees
    if author not in decrees.lapsed:
        raise InputError(f"{label(roster, author)} is not revoked: there is nothing to readmit")
    member = roster.members[author]
    links = chain_of(member.admission)
    guests = [link.issuer for link in links[1:]] + [author]
    for link, guest in zip(links, guests, strict=True):
        host = link.issuer or author_id(roster.founder)
        answers = [removal.place.id for removal in decrees.removals.get(host, ())]
        if answers and guest is not None and decrees.lapsed.get(guest, "").startswith("let in"):
            return {"author": host, "answers": answers[-ANSWERS_MAX:], "cuts": [], "keeps": [guest]}
    raise InputError(
        f"{label(roster, author)} does not count: {decrees.lapsed[author]}. Let it join anew"
    )


def guests_of(roster: Roster, host: AuthorId, until_ms: int) -> list[AuthorId]:
    """Return whom ``host`` let in and who opened its feeds until then, the first ones first.

    At most ``KEPT_MAX``: as many as one removal and what answers it can name.
    """
    found = []
    for member in roster.members.values():
        links = chain_of(member.admission)
        if not links or (links[-1].issuer or author_id(roster.founder)) != host:
            continue
        if Stamp.unpacked(member.opened_at[0]).wall_ms <= until_ms:
            found.append(member)
    found.sort(key=lambda member: member.opened_at)
    return [member.author for member in found][:KEPT_MAX]


def kept_by(payload: Mapping[str, Any]) -> Sequence[AuthorId]:
    """Return whom a decree keeps, as far as that can be read."""
    keeps = payload.get("keeps", ())
    return keeps if isinstance(keeps, list | tuple) else ()


def in_turns(keeps: Sequence[AuthorId]) -> list[list[AuthorId]]:
    """Return members to keep in lists that one decree each can name; at least one list."""
    return [[*keeps[at : at + KEEPS_MAX]] for at in range(0, max(len(keeps), 1), KEEPS_MAX)]


def _first_to_come(
    store: Store, heads: Mapping[FeedKey, Sequence[Head]]
) -> dict[FeedKey, list[Head]]:
    """Return as many branches as a cut can name: those that came here first."""

    def place(feed: FeedKey, head: Head) -> tuple[int, int]:
        first = store.get(store.branch(head, feed, 0, 1)[0].id)
        return first.position if first else 0, -head.seq

    branches = [(place(feed, head), feed, head) for feed, tips in heads.items() for head in tips]
    found: dict[FeedKey, list[Head]] = {}
    for _, feed, head in sorted(branches)[:CUTS_MAX]:
        found.setdefault(feed, []).append(head)
    return found


def cut_heads(
    store: Store, ledger: Ledger, author: AuthorId, since: Since
) -> dict[FeedKey, list[Head]]:
    """Return where an author's branches end that begin before ``since``; see ``revocation``."""
    feeds = {feed: heads for feed, heads in ledger.frontier.items() if feed.author == author}
    data = [feed for feed in feeds if feed.kind is FeedKind.DATA]
    if since.seq is not None and len(data) > 1:
        raise InputError("it has several data feeds, so a number is not enough: give a time")
    cuts: dict[FeedKey, list[Head]] = {}
    for feed, heads in sorted(feeds.items()):
        for head in heads:
            if since.seq is not None and feed.kind is FeedKind.DATA:
                end = _head_at(store, feed, head, min(head.seq, since.seq - 1))
            elif since.wall_ms is not None:
                end = _head_at(store, feed, head, _seq_until(store, feed, head, since.wall_ms))
            else:
                end = head
            if end is not None and end not in cuts.setdefault(feed, []):
                cuts[feed].append(end)
    return cuts


def _head_at(store: Store, feed: FeedKey, tip: Head, seq: int) -> Head | None:
    if seq < 1:
        return None
    return tip if seq == tip.seq else Head(seq, store.branch(tip, feed, seq - 1, 1)[0].id)


def _seq_until(store: Store, feed: FeedKey, tip: Head, wall_ms: int) -> int:
    """Return the seq of the last event of a branch that is not stamped later; stamps rise."""
    low, high = 0, tip.seq
    while low < high:
        middle = (low + high + 1) // 2
        event = store.branch(tip, feed, middle - 1, 1)[0]
        low, high = (middle, high) if event.stamp.wall_ms <= wall_ms else (low, middle - 1)
    return low


# ── Who belongs, for a screen ───────────────────────────────────────────────────────


class Seated(NamedTuple):
    """How a member stands."""

    author: AuthorId
    name: str
    role: Role
    joined_ms: int
    """By its own clock, when it opened its feeds."""
    wrote_ms: int | None
    """Stamp of its last data event held; None where there is none."""
    let_in_by: AuthorId | None
    """None for the founder, and where its chain names nobody we know of."""
    standing: str
    """``member``, ``rotated``, ``revoked (soft)``, ``revoked (hard)`` or ``excluded``."""
    why: str
    """In plain words; of a member, what may still change; else empty."""
    review_events: int
    """Events after a soft cut that wait for ``readmit``."""


def seated(store: Store, ledger: Ledger) -> list[Seated]:
    """Return all members, the first to join first. Cost: O(members + events of the revoked)."""
    members = sorted(ledger.roster.members.values(), key=lambda member: member.opened_at)
    said = welcomes_by_host(ledger.decree_log.said.values())
    welcomed = {host: taken_by(welcomes) for host, welcomes in said.items()}
    return [_seated(store, ledger, member.author, welcomed) for member in members]


def _seated(
    store: Store, ledger: Ledger, author: AuthorId, welcomed: Mapping[AuthorId, Taken]
) -> Seated:
    roster, decrees = ledger.roster, ledger.decrees
    member = roster.members[author]
    links = chain_of(member.admission)
    host = (links[-1].issuer or author_id(roster.founder)) if links else None
    standing, why = "member", ""
    removals = decrees.removals.get(author, ())
    if removals:
        hard = any(removal.mode is Mode.HARD for removal in removals)
        last = removals[-1]
        standing = "revoked (hard)" if hard else "revoked (soft)"
        why = f"by {label(roster, last.by)}"
        if not hard and last.successor is not None:
            standing, why = "rotated", f"goes on as <{last.successor.hex()[:8]}>"
    elif author in decrees.lapsed:
        standing, why = "excluded", decrees.lapsed[author]
    elif awaited := awaited_by(roster, welcomed, member):
        why = f"not met yet by {label(roster, awaited)}: a copy of its invite may take its place"
    return Seated(
        author,
        member.name,
        member.role,
        Stamp.unpacked(member.opened_at[0]).wall_ms,
        _last_write_ms(store, ledger, author),
        host,
        standing,
        why,
        review_count(store, ledger, author) if removals else 0,
    )


def _last_write_ms(store: Store, ledger: Ledger, author: AuthorId) -> int | None:
    latest = None
    for life in ledger.roster.members[author].feeds:
        for head in ledger.frontier.get(FeedKey(author, FeedKind.DATA, life), ()):
            arrival = store.get(head.id)
            if arrival is not None:
                latest = max(latest or 0, arrival.event.stamp.wall_ms)
    return latest


def member_count(ledger: Ledger) -> int:
    """Return how many members were not removed and have not lapsed. O(members)."""
    out = {*ledger.decrees.removals, *ledger.decrees.lapsed}
    return sum(author not in out for author in ledger.roster.members)


def waiting_for_review(store: Store, ledger: Ledger) -> int:
    """Return how many data events of all revoked members wait. O(their events)."""
    return sum(review_count(store, ledger, author) for author in ledger.decrees.removals)


def review_count(store: Store, ledger: Ledger, author: AuthorId) -> int:
    """Return how many data events of an author wait for a review. O(its events)."""
    standings = ledger.standings(store)
    waiting: set[bytes] = set()
    for life in ledger.roster.members[author].feeds:
        feed = FeedKey(author, FeedKind.DATA, life)
        for head in ledger.frontier.get(feed, ()):
            events = events_of(store, feed, head)
            waiting.update(event.id for event in events if standings.is_reviewable(event))
    return len(waiting)


def find_member(roster: Roster, words: str) -> AuthorId:
    """Return the member that a person means by a name, a label or the start of an id.

    Raises:
        InputError: Nobody, or several; the message says what to type.
    """
    wanted = words.strip().strip("<>")
    authors: Iterable[AuthorId] = roster.members
    exact = [author for author in authors if wanted in (author.hex(), label(roster, author))]
    named = exact or [a for a, member in roster.members.items() if member.name == wanted]
    found = named or [
        author
        for author in authors
        if len(wanted) > 3 and author.hex().startswith(wanted.lower())  # noqa: PLR2004
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"there is no member {words!r}: see `meshlog members`")
    ids = ", ".join(sorted(author.hex()[:8] for author in found))
    raise InputError(f"{words!r} may be any of {ids}: give the id instead of the name")
