"""An author's opening: the signed event that brings its keys, as it travels beside seq 1.

A feed is refused until its author's ``feed.open`` is held. Gossip brings that first; a
program that carries events by hand does not know of it, so the first event brings it along.
"""

from __future__ import annotations

from meshlog.core.event import NO_PREV, DatasetId, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import Identity
from meshlog.core.roster import Opening, read_opening
from meshlog.core.segment import decode_segment, encode_segment, is_signed, link_events
from meshlog.errors import MalformedError
from meshlog.replica import Replica

OPENING_SIZE_MAX = 8_192
"""About 230 bytes in the open dataset; a chain of grants adds at most 2 KiB. A choice."""


def make_opening(identity: Identity, name: str, incarnation: int) -> bytes:
    """Return the opening of an author that has no node, only a name in this process."""
    body = encode_body("feed.open", {"keys": identity.keys, "name": name, "data": incarnation})
    feed = FeedKey(identity.author, FeedKind.CONTROL, incarnation)
    return encode_segment([Event.make(feed, 1, Stamp(0, 1), NO_PREV, body).signed(identity)])


def opening_of(replica: Replica, feed: FeedKey) -> bytes:
    """Return the opening of a data feed that ``replica`` holds; empty where there is none.

    It is the author's own segment, signature included: what gossip would bring. Call
    ``replica.root`` before, so that what we wrote ourselves is signed.
    """
    control = FeedKey(feed.author, FeedKind.CONTROL, feed.incarnation)
    for tip in replica.frontier().get(control, ()):
        segments, _ = replica.segments(control, tip, 0, 0)
        if segments and len(segments[0]) <= OPENING_SIZE_MAX:
            return segments[0]
    return b""


def check_opening(data: bytes, feed: FeedKey, dataset: DatasetId) -> Opening | None:
    """Return what an opening says if the author of ``feed`` signed it, else None. Never raises.

    Cost: one signature check.
    """
    try:
        chain = link_events(decode_segment(data), NO_PREV, dataset)
    except MalformedError:
        return None
    opening = read_opening(chain.event(0))
    if opening is None or chain.feed.author != feed.author or opening.data != feed.incarnation:
        return None
    return opening if is_signed(chain, opening.keys) else None
