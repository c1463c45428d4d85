"""status: how this device and its peers stand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from meshlog.cli.command import Place, command, json_option, store_options
from meshlog.cli.output import ago, count, duration, printable, say, say_json, show_table, size
from meshlog.cli.stores import Reading, reading
from meshlog.core.credible import incredible
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.core.identity import AuthorId
from meshlog.daemon.client import connect
from meshlog.replica.membership import member_count, waiting_for_review
from meshlog.replica.twins import twins_status

_REFUSED = {
    "malformed": "not in our format",
    "forged": "wrong signature",
    "stranger": "from authors who are no members",
    "gap": "before what they follow",
    "busy": "while the disk refused",
}
"""Reasons in plain words; one that is missing here is shown as it is."""


@command("status", example="meshlog status")
@json_option("Print everything as JSON.")
@store_options
def status_command(place: Place, as_json: bool) -> None:
    """Show what is here, who is in reach, what they lack.

    Asks the running node; without one, tells what the store holds.
    """
    client = connect(place.data)
    if client is not None:
        with client:
            status = {"running": True, **client.status()}
    else:
        with reading(place) as read:
            status = {"running": False, **stored_status(read)}
    if as_json:
        say_json(status)
    else:
        show_status(status)


def stored_status(read: Reading) -> dict[str, Any]:
    """Return what a store without a node tells; the keys are those of ``Node.status``."""
    roster = read.roster
    rows = [row for row in read.view.rows() if row.visible]
    return {
        "dataset": roster.dataset.hex(),
        "dataset_name": roster.name or ("open" if roster.is_open else ""),
        "name": (read.store.get_meta("name") or b"").decode(),
        "author": (read.store.get_meta("author") or b"").hex(),
        "events": read.store.event_count(),
        "records": len(rows),
        "conflicts": sum(row.conflicts for row in rows),
        "held_records": len(read.store.touched_between(read.ledger.horizon_ms, WALL_MS_MAX)),
        "root": read.ledger.root.hex(),
        "members": member_count(read.ledger),
        "review_events": waiting_for_review(read.store, read.ledger),
        "peers": [],
        "air": None,
        "interfaces": [],
        "refused": {},
        "clock": stored_clock(read),
        "twins": twins_status(read.ledger, AuthorId(read.store.get_meta("author") or b"")),
    }


def stored_clock(read: Reading) -> dict[str, Any]:
    """Return how the clock of a device without a node stands; see ``node.status.clock_status``."""
    now_ms = time.time_ns() // 1_000_000
    return {
        "now_ms": now_ms,
        "ahead_ms": None,
        "neighbours": 0,
        "doubt": incredible(now_ms, read.ledger.clock.wall_ms),
        "disagreement": "",
    }


def show_status(status: Mapping[str, Any]) -> None:
    """Print a status for a person."""
    name = status["dataset_name"] or "(its name has not come yet)"
    say(f"dataset    {name} <{status['dataset'][:8]}>, {count(status['members'], 'member')}")
    say(f"device     {status['name']} <{status['author'][:8]}>")
    held = f"{count(status['events'], 'event')}, {count(status['records'], 'record')}"
    say(f"holds      {held}, root {status['root'][:8]}")
    if status["conflicts"]:
        say(f"conflicts  {count(status['conflicts'], 'field')}: see `meshlog conflicts`")
    if status["held_records"]:
        records = count(status["held_records"], "record")
        say(f"held       writes to {records} are stamped in the future, and count then")
    if status["review_events"]:
        waiting = count(status["review_events"], "event")
        say(f"review     {waiting} of revoked devices wait: see `meshlog members`")
    for trouble in dict.fromkeys((status["clock"]["doubt"], status["clock"]["disagreement"])):
        if trouble:
            say(f"clock      {trouble}: see `meshlog clock`")
    for reason, number in sorted(status["refused"].items()):
        say(f"refused    {count(number, 'segment')} {_REFUSED.get(reason, reason)}")
    for twin in status["twins"]:
        say(f"twins      {printable(twin['words'])}")
    if not status.get("running", True):
        say("node       none is running: `meshlog run` brings this device in step")
        return
    for interface in status["interfaces"]:
        say(f"interface  {_interface(interface)}")
    if status.get("air"):
        show_air(status["air"])
    if not status["peers"]:
        say("peers      none heard yet")
        return
    say()
    show_table(
        ["peer", "", "they lack", "we lack", "heard"], [_peer(peer) for peer in status["peers"]]
    )


def show_air(air: Mapping[str, Any]) -> None:
    """Print how we and the neighbours in earshot stand."""
    heard, agreed = air["heard_ms_ago"], air["agreed_ms_ago"]
    words = [f"{size(air['rate_bps'] / 8)}/s"]
    if air["duty_cycle"] < 1:
        words.append(f"{air['duty_cycle'] * 100:.3g} % of the time")
    words.append("nobody heard yet" if heard is None else f"last heard {ago(heard)}")
    if agreed is not None:
        words.append(f"in step {ago(agreed)}")
    if sent := air.get("sent"):
        words += [f"{size(sent['bytes_heard'])} in", f"{size(sent['bytes_sent'])} out"]
    say(f"air        {', '.join(words)}")
    for side, who in (("we_lack", "we lack"), ("they_lack", "others lack")):
        if air[f"{side}_events"]:
            lacking = _lack(air[f"{side}_events"], air[f"{side}_bytes"])
            say(f"           {who} {lacking}: {duration(air[f'{side}_s'])} at best")


def _interface(interface: Mapping[str, Any]) -> str:
    known = [str(interface.get("name", "?"))]
    if interface.get("bitrate_bps"):
        known.append(f"{size(interface['bitrate_bps'] / 8)}/s")
    for word, key in (("in", "received_bytes"), ("out", "sent_bytes")):
        if key in interface:
            known.append(f"{size(interface[key] or 0)} {word}")
    if not interface.get("online", True):
        known.append("offline")
    return printable(", ".join(known))


def _peer(peer: Mapping[str, Any]) -> list[str]:
    name = peer["name"]
    whole = f"<{peer['peer'][:8]}>" if name == peer["peer"] else f"{name} <{peer['peer'][:8]}>"
    return [
        printable(whole),
        peer["contact"],
        _lack(peer["lacks_events"]),
        _lack(peer.get("we_lack_events", 0), peer.get("we_lack_bytes", 0)),
        ago(peer["heard_ms_ago"]),
    ]


def _lack(events: int, size_bytes: int = 0) -> str:
    """Say what is lacking, and its size where that was told."""
    if not events:
        return "nothing"
    return count(events, "event") + (f", {size(size_bytes)}" if size_bytes else "")
