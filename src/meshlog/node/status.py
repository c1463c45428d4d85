"""How a node and its peers stand, as plain values for a screen or a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from meshlog.core.credible import disagreement, incredible
from meshlog.core.identity import AuthorId
from meshlog.core.roster import label
from meshlog.ports.links import Links, Peer
from meshlog.replica import Replica
from meshlog.replica.membership import member_count, waiting_for_review
from meshlog.replica.twins import twins_status
from meshlog.sync.peers import Contact, PeerState


def node_status(replica: Replica, links: Links | None, now_ms: int) -> dict[str, Any]:
    """Return the status of a replica and its links.

    Keys: dataset, dataset_name, name, author, events, records, conflicts, held, root, clock,
    members (those that count), review_events (of revoked devices, for `readmit`),
    peers (peer, name, contact, lacks_events and we_lack_events as last heard, heard_ms_ago,
    bytes_sent, bytes_received, transfer_progress 0 to 1), air (what the broadcast lane knows: see
    ``sync.broadcast.lane.Outlook``; None off slow media), interfaces, refused (reason →
    segments), clock (see ``clock_status``). Cost: O(records).
    """
    ledger = replica.ledger
    replica.settle()
    rows = [row for row in replica.view.rows() if row.visible]
    held = replica.store.touched_between(ledger.horizon_ms, 2**47 - 1)
    return {
        "dataset": replica.dataset.hex(),
        "dataset_name": ledger.roster.name or ("open" if ledger.roster.is_open else ""),
        "name": replica.seat.name,
        "author": replica.identity.author.hex(),
        "events": replica.store.event_count(),
        "records": len(rows),
        "conflicts": sum(row.conflicts for row in rows),
        "held_records": len(held),
        "root": ledger.root.hex(),
        "members": member_count(ledger),
        "review_events": waiting_for_review(replica.store, ledger),
        "peers": [_peer(replica, state, links, now_ms) for state in replica.engine.peers],
        "air": _air(replica, links, now_ms),
        "interfaces": _interfaces(links),
        "refused": dict(replica.refused),
        "twins": twins_status(ledger, replica.identity.author),
        "clock": clock_status(replica, now_ms),
    }


def clock_status(replica: Replica, now_ms: int) -> dict[str, Any]:
    """Return how this device's clock stands. O(peers).

    Keys: now_ms, ahead_ms (of the median of the neighbours' clocks; None where none was heard
    lately), neighbours, doubt (why it cannot be right; empty where it can), disagreement (what the
    neighbours say against it; empty where nothing).
    """
    offset = replica.engine.offsets.median(now_ms)
    return {
        "now_ms": now_ms,
        "ahead_ms": offset.ahead_ms if offset else None,
        "neighbours": offset.neighbours if offset else 0,
        "doubt": incredible(now_ms, replica.ledger.clock.wall_ms, offset),
        "disagreement": disagreement(offset),
    }


def _air(replica: Replica, links: Links | None, now_ms: int) -> dict[str, Any] | None:
    outlook = replica.engine.lane.outlook()
    if outlook is None:
        return None

    def ago(when_ms: int | None) -> int | None:
        return None if when_ms is None else max(now_ms - when_ms, 0)

    def lack(side: str, events: int) -> dict[str, Any]:
        return {
            f"{side}_events": events,
            f"{side}_bytes": round(events * outlook.event_size_bytes),
            f"{side}_s": round(outlook.seconds(events)),
        }

    return {
        "rate_bps": outlook.rate_bps,
        "duty_cycle": outlook.share,
        "heard_ms_ago": ago(outlook.heard_ms),
        "agreed_ms_ago": ago(outlook.agreed_ms),
        **lack("we_lack", outlook.we_lack_events),
        **lack("they_lack", outlook.they_lack_events),
        "heard": outlook.counts,
        "sent": asdict(said()) if (said := getattr(links, "broadcasts", None)) else {},
    }


def _peer(replica: Replica, state: PeerState, links: Links | None, now_ms: int) -> dict[str, Any]:
    try:
        name = label(replica.ledger.roster, AuthorId(bytes.fromhex(state.peer)))
    except ValueError:
        name = state.peer
    ours = replica.store.event_count()
    theirs = ours if state.held_count is None else state.held_count
    contact = state.contact(replica.ledger.root)
    lacking = state.session.lacking if state.session is not None else None
    shown = getattr(links, "stats", None)
    stats: Mapping[Peer, Any] = shown() if shown else {}
    moved = stats.get(state.peer)
    return {
        "peer": state.peer,
        "name": name,
        "contact": str(contact),
        "lacks_events": 0 if contact is Contact.IN_SYNC else max(ours - theirs, 0),
        "we_lack_events": lacking.events if lacking else max(theirs - ours, 0),
        "we_lack_bytes": lacking.size_bytes if lacking else 0,
        "heard_ms_ago": max(now_ms - state.heard_ms, 0),
        "bytes_sent": moved.bytes_sent if moved else 0,
        "bytes_received": moved.bytes_received if moved else 0,
        "transfer_progress": moved.progress if moved else 0.0,
    }


def _interfaces(links: Links | None) -> list[dict[str, Any]]:
    shown = getattr(links, "interfaces", None)
    if shown is None:
        return []
    return [
        {field: getattr(interface, field) for field in interface.__dataclass_fields__}
        for interface in shown()
    ]
