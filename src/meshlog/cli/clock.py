"""clock: how the clocks stand, and what to do about one that was wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import click

from meshlog.cli.command import (
    TEXT,
    Place,
    command,
    family,
    json_option,
    stampless,
    store_options,
    writing_options,
)
from meshlog.cli.output import count, named_fully, say, say_json, shown, when
from meshlog.cli.session import writing
from meshlog.cli.status import stored_clock
from meshlog.cli.stores import Reading, reading
from meshlog.core.clockfix import Shift
from meshlog.core.credible import span
from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import WALL_MS_MAX
from meshlog.core.identity import AuthorId
from meshlog.core.roster import label
from meshlog.daemon.client import connect
from meshlog.errors import InputError
from meshlog.tools.held import HeldEvents, held_events, to_arrival_ms

_SPAN = re.compile(r"([+-]?)([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m|h|d|y)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "y": 31_557_600_000}
_EVENTS = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")
_HEX_MIN = 4


@family(
    "clock",
    example="""
        meshlog clock show
        meshlog clock fix team_a
        meshlog clock mend
    """,
)
def clock_command() -> None:
    """See and mend what wrong clocks did.

    Nothing ever sets a clock. Events that are stamped ahead are held from the view until
    their time comes, or a fix says by how much their device's clock was off.
    """


@command("show", example="meshlog clock show")
@json_option("Print everything as JSON.")
@store_options
def show_command(place: Place, as_json: bool) -> None:
    """Show this device's clock, its neighbours', held events and fixes."""
    client = connect(place.data)
    if client is not None:
        with client:
            clock = client.clock()
    else:
        with reading(place) as read:
            clock = stored_clock(read)
    with reading(place) as read:
        held = held_events(read.store, read.ledger)
        if as_json:
            say_json({**clock, "held": [_held(read, one) for one in held], "fixes": _fixes(read)})
        else:
            _show(clock, read, held)


def _show(clock: Mapping[str, Any], read: Reading, held: Iterable[HeldEvents]) -> None:
    say(f"this device  {when(clock['now_ms'])}")
    if clock["ahead_ms"] is None:
        say("neighbours   none told the time lately")
    else:
        side = "ahead of" if clock["ahead_ms"] >= 0 else "behind"
        seconds = abs(clock["ahead_ms"]) // 1_000
        far = f"{seconds} s" if seconds < 60 else span(abs(clock["ahead_ms"]))  # noqa: PLR2004
        clocks = count(clock["neighbours"], "clock")
        say(f"neighbours   {clocks}: this one is {far} {side} the median")
    for trouble in dict.fromkeys((clock["doubt"], clock["disagreement"])):
        if trouble:
            say(f"trouble      {trouble}")
    if "before the latest event" in clock["doubt"]:
        say("             if this clock is right now: `meshlog clock mend`")
    for one in held:
        who = named_fully(read.roster, one.feed.author)
        say(f"held         {who}: {count(one.events, 'event')}, {_places(one)}, stamped")
        say(f"             {when(one.first_ms)} to {when(one.last_ms)}: see `meshlog clock fix`")
    for fix in _fixes(read):
        sign = "+" if fix["offset_ms"] >= 0 else "-"
        far = span(abs(fix["offset_ms"]))
        say(f"fixed        {fix['name']}: events {fix['first']} to {fix['last']}, {sign}{far}")


def _places(held: HeldEvents) -> str:
    return f"{held.first_seq} to {held.last_seq} of life {held.feed.incarnation:08x}"


def _held(read: Reading, held: HeldEvents) -> dict[str, Any]:
    return {
        "author": held.feed.author.hex(),
        "name": label(read.roster, held.feed.author),
        "life": f"{held.feed.incarnation:08x}",
        "first": held.first_seq,
        "last": held.last_seq,
        "events": held.events,
        "first_ms": held.first_ms,
        "last_ms": held.last_ms,
        "to_arrival_ms": held.to_arrival_ms,
    }


def _fixes(read: Reading) -> list[dict[str, Any]]:
    return [
        {
            "author": author.hex(),
            "name": label(read.roster, author),
            "life": f"{feed.incarnation:08x}",
            "first": shift.first_seq,
            "last": shift.last_seq,
            "offset_ms": shift.offset_ms,
        }
        for author, feeds in sorted(read.ledger.decrees.fixes.items())
        for feed, shifts in sorted(feeds.items())
        for shift in shifts
    ]


@command(
    "fix",
    example="""
        meshlog clock fix team_a
        meshlog clock fix team_a --offset -7h
        meshlog clock fix team_a --events 1-40 --offset +56.9y
    """,
)
@click.argument("device", type=TEXT)
@click.option(
    "--offset", type=TEXT, metavar="SPAN",
    help="What to add to the stamps: -7h, +30m, -2d, +56.9y.  [default: see --to-arrival]",
)  # fmt: skip
@click.option(
    "--to-arrival", is_flag=True, help="Move them to when they came here, or before.  [default]"
)
@click.option(
    "--events", type=TEXT, metavar="FIRST-LAST", help="Which.  [default: those that are held]"
)
@click.option("--life", type=TEXT, metavar="HEX", help="Of which life.  [default: the only one]")
@json_option("Print what was written as JSON.")
@writing_options
def fix_command(
    place: Place, *, device: str, offset: str | None, to_arrival: bool, events: str | None,
    life: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Say by how much DEVICE's clock was off.

    DEVICE is a name or the beginning of an id. Its events stay as they are; every device
    orders and shows them by the fixed time. A device can fix its own; founder and
    coordinators can fix anybody's. A later fix of the same events replaces this one.
    """
    if offset is not None and to_arrival:
        raise InputError("give --offset or --to-arrival, not both")
    offset_ms = None if offset is None else _offset_ms(offset)
    with reading(place) as read:
        author = _author(read, device)
        fixes = (
            _of_held(read, author, life, offset_ms)
            if events is None
            else [_of_range(read, author, life, events, offset_ms)]
        )
    with writing(place) as writer:
        for feed, shift in fixes:
            writer.fix_clock(feed, shift)
    if as_json:
        say_json([{"life": f"{feed.incarnation:08x}", **shift._asdict()} for feed, shift in fixes])
        return
    for _, shift in fixes:
        sign = "+" if shift.offset_ms >= 0 else "-"
        say(
            f"{shown(device)}: events {shift.first_seq} to {shift.last_seq},"
            f" {sign}{span(abs(shift.offset_ms))}"
        )


@command("mend", example="meshlog clock mend")
@store_options
def mend_command(place: Place) -> None:
    """Say that this device's clock was ahead, and is right now.

    It goes on as a new life with honest stamps, and what it wrote meanwhile counts as
    written now at the latest. Neighbours who agree with the clock do the same.
    """
    with writing(stampless(place)) as writer:
        mended = writer.mend_clock()
    say(
        "This device goes on as a new life, with honest stamps."
        if mended
        else "This device wrote nothing that is ahead of its clock: there is nothing to mend."
    )


def _offset_ms(text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} is no span of time: -7h, +30m, -2d, 45s, +56.9y")
    size_ms = round(float(found[2]) * _UNIT_MS[found[3]])
    if size_ms > WALL_MS_MAX:
        raise InputError(f"{text!r} is more than there are stamps for")
    return -size_ms if found[1] == "-" else size_ms


def _author(read: Reading, device: str) -> AuthorId:
    """Return whom a person means by a name or the beginning of an id."""
    members = read.roster.members
    found = [author for author in members if label(read.roster, author) == device]
    if not found and len(device) >= _HEX_MIN:
        found = [author for author in members if author.hex().startswith(device.lower())]
    if len(found) != 1:
        several = "several devices are" if found else "no member is"
        raise InputError(f"{several} called {device!r}: see `meshlog members`")
    return found[0]


def _of_held(
    read: Reading, author: AuthorId, life: str | None, offset_ms: int | None
) -> list[tuple[FeedKey, Shift]]:
    fixes = [
        (one.feed, Shift(one.first_seq, one.last_seq, _sum(one, offset_ms)))
        for one in held_events(read.store, read.ledger)
        if one.feed.author == author and life in (None, f"{one.feed.incarnation:08x}")
    ]
    if not fixes:
        raise InputError("nothing of this device is held: name the events with --events FIRST-LAST")
    return fixes


def _sum(held: HeldEvents, offset_ms: int | None) -> int:
    return held.to_arrival_ms if offset_ms is None else offset_ms


def _of_range(
    read: Reading, author: AuthorId, life: str | None, events: str, offset_ms: int | None
) -> tuple[FeedKey, Shift]:
    found = _EVENTS.fullmatch(events)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last <= SEQ_MAX:
        raise InputError(f"{events!r} is no range of events: give FIRST-LAST, such as 1-40")
    feeds = [
        feed
        for feed in sorted(read.ledger.frontier)
        if (feed.author, feed.kind) == (author, FeedKind.DATA)
        and life in (None, f"{feed.incarnation:08x}")
    ]
    if len(feeds) != 1:
        lives = ", ".join(f"{feed.incarnation:08x}" for feed in feeds) or "none here"
        raise InputError(f"this device has several lives, or none: name one with --life: {lives}")
    feed = feeds[0]
    if offset_ms is None:
        head = read.ledger.frontier[feed][-1]
        held = read.store.branch(head, feed, first - 1, min(last, head.seq) - first + 1)
        offset_ms = to_arrival_ms(read.store, held)
    return feed, Shift(first, last, offset_ms)


for _one in (show_command, fix_command, mend_command):
    clock_command.add_command(_one)
