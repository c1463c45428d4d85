"""A device's feeds, as tests name them."""

from __future__ import annotations

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.replica import Replica


def control_feed(replica: Replica) -> FeedKey:
    """Return the feed in which a device says who it is: of the same life as its data."""
    return replica.data_feed._replace(kind=FeedKind.CONTROL)
