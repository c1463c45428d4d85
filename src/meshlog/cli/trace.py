"""history and log: what was written, by whom, when it came, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from meshlog.cli.command import TEXT, Place, Whole, command, json_option, store_options
from meshlog.cli.output import count, printable, say, say_json, show_table, shown, when
from meshlog.cli.read import find
from meshlog.cli.stores import Reading, reading
from meshlog.core.cbor import plain
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId
from meshlog.core.roster import label
from meshlog.errors import InputError
from meshlog.replica.twins import twins_status
from meshlog.tools.arrivals import LogLine, log_entries
from meshlog.views.changes import Ref
from meshlog.views.history import Entry, Fate, Label, history
from meshlog.views.standing import Standing

_HEX_DIGITS = 32


@command(
    "history",
    example="""
        meshlog history W-7
        meshlog history W-7 --field depth_m --full
        meshlog history W-7 --json
    """,
)
@click.argument("record", type=TEXT)
@click.option("--field", type=TEXT, metavar="FIELD", help="Only what was written to this field.")
@click.option("--full", is_flag=True, help="Show when each event came here, and its feed, too.")
@json_option("Print everything as JSON.")
@store_options
def history_command(
    place: Place, record: str, field: str | None, full: bool, as_json: bool
) -> None:
    """Show who wrote what to a record, and when.

    Says what became of each value, too. Deleted records keep their history.
    """
    with reading(place) as read:
        entries = history(read.store, record, _label(read), read.standings)
        if not entries:
            find(read, record)
        later = {entry.event_id: entry for entry in entries}
        if field is not None:
            entries = [_only(entry, field) for entry in entries]
            entries = [entry for entry in entries if entry.wrote]
            if not entries:
                raise InputError(f"nobody ever wrote {field!r} of record {record!r}")
        if as_json:
            say_json([_entry(entry) for entry in entries])
            return
        found = read.view.get(record)
        form = shown(found.form) if found is not None and found.form else "(none)"
        is_hidden = found is not None and not found.visible
        say(f"{shown(record)}  form {form}{', deleted' if is_hidden else ''}")
        say()
        show_table(
            ["when", "by", *(["came", "feed"] if full else []), "what", "value", "became"],
            [
                [*_stamped(entry), *(_came(entry) if full else []), *row]
                for entry in entries
                for row in _rows(entry, later, is_hidden=is_hidden)
            ],
            whole=["when", "came", "feed"],
        )
        own = AuthorId(read.store.get_meta("author") or b"")
        wrote = {entry.feed.author.hex() for entry in entries}
        for twin in twins_status(read.ledger, own):
            if twin["author"] in wrote:
                say()
                say(printable(twin["words"]))


def _stamped(entry: Entry) -> list[str]:
    return [when(entry.stamp.wall_ms), _name(entry.who)]


def _came(entry: Entry) -> list[str]:
    """Return when an entry came here, the time alone where that was on its day, and its place."""
    feed, came = entry.feed, when(entry.arrived_ms)
    day, _, clock = came.partition(" ")
    is_same_day = when(entry.stamp.wall_ms).startswith(f"{day} ")
    return [clock if is_same_day else came, f"{feed.incarnation:08x} {entry.seq}"]


def _only(entry: Entry, field: str) -> Entry:
    """Return an entry as far as it wrote a field."""
    wrote = tuple(one for one in entry.wrote if one.field == field)
    return replace(entry, wrote=wrote, form=None, note=None, attachment=None)


def _rows(entry: Entry, entries: Mapping[bytes, Entry], *, is_hidden: bool) -> list[list[str]]:
    """Return what, value and what became of it, for everything that an event did."""
    waits = f"{entry.standing}: {entry.why}" if entry.standing is not Standing.COUNTS else ""
    hidden = str(Fate.DELETED) if is_hidden else ""
    rows = []
    if entry.form is not None:
        rows.append(["form", shown(entry.form), waits or hidden])
    for wrote in entry.wrote:
        became = "" if wrote.fate is Fate.SHOWN else str(wrote.fate)
        if wrote.superseded_by:
            became += f" {_by(entries[wrote.superseded_by], entry)}"
        rows.append([shown(wrote.field), shown(wrote.value), waits or became])
    if entry.note is not None:
        rows.append(["(note)", shown(entry.note), waits or hidden])
    if entry.attachment is not None:
        what = f"{shown(entry.attachment.field)} (file)"
        rows.append([what, shown(entry.attachment.blob_hash), waits or hidden])
    return rows or [[entry.kind, "", waits]]


def _by(later: Entry, entry: Entry) -> str:
    """Return which later entry it was: its time, or its day where that is another, and name."""
    day, _, clock = when(later.stamp.wall_ms).partition(" ")
    is_same_day = when(entry.stamp.wall_ms).startswith(f"{day} ")
    return f"{clock if is_same_day else day} by {_name(later.who)}"


def _name(who: str) -> str:
    return (
        f"<{who[:8]}>"
        if len(who) == _HEX_DIGITS and set(who) <= set("0123456789abcdef")
        else printable(who)
    )


def _entry(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {
        "event": entry.event_id.hex(),
        "kind": entry.kind,
        "name": entry.who,
        **_place(entry.feed, entry.seq),
        "stamp": list(entry.stamp),
        "carried_stamp": list(entry.carried),
        "arrived_ms": entry.arrived_ms,
        "standing": str(entry.standing),
        "why": entry.why,
        "wrote": [
            {
                "field": wrote.field,
                "value": wrote.value,
                "fate": str(wrote.fate),
                "superseded_by": wrote.superseded_by.hex() if wrote.superseded_by else None,
            }
            for wrote in entry.wrote
        ],
    }
    if entry.form is not None:
        told["form"] = entry.form
    if entry.note is not None:
        told["note"] = entry.note
    if entry.attachment is not None:
        told["attachment"] = entry.attachment._asdict()
    if entry.origin is not None:
        told["origin"] = {"author": entry.origin.author, "seq": entry.origin.seq}
    return told


def _place(feed: FeedKey, seq: int) -> dict[str, Any]:
    ref = Ref(feed.author + feed.incarnation.to_bytes(4, "big"), seq)
    return {
        "author": feed.author.hex(),
        "feed": ref.feed.hex(),
        "feed_kind": feed.kind.name.lower(),
        "seq": seq,
    }


@command("log", example="meshlog log --limit 5\nmeshlog log --after 120 --json")
@click.option(
    "--limit",
    "-n",
    type=Whole(1, 100_000),
    default=20,
    show_default=True,
    help="How many events.",
)
@click.option(
    "--after",
    type=Whole(0, 2**62),
    metavar="POSITION",
    help="Begin behind this position.  [default: show the latest]",
)
@json_option("Print everything as JSON.")
@store_options
def log_command(place: Place, limit: int, after: int | None, as_json: bool) -> None:
    """Show events as they arrived, the newest last."""
    with reading(place) as read:
        held = read.store.event_count()
        start = max(held - limit, 0) if after is None else after
        lines = log_entries(read.store, _label(read), start, limit)
        if as_json:
            say_json([_line(line) for line in lines])
            return
        if not lines:
            say(f"Nothing behind position {start}; this device holds {count(held, 'event')}.")
            return
        show_table(
            ["position", "arrived", "by", "seq", "what", "about"],
            [
                [str(line.position), when(line.arrived_ms), _name(line.who), _seq(line),
                 printable(line.kind) or "(unreadable)", _gist(line)]
                for line in lines
            ],
            whole=["position", "arrived", "seq"],
        )  # fmt: skip


def _label(read: Reading) -> Label:
    def name(author: AuthorId) -> str:
        return label(read.roster, author)

    return name


def _seq(line: LogLine) -> str:
    """Return the place in the author's feed; the control feed, where few events are, is named."""
    return str(line.seq) if line.feed.kind is FeedKind.DATA else f"ctrl {line.seq}"


def _gist(line: LogLine) -> str:
    payload = line.payload
    words = [
        shown(payload[key])
        for key in ("record_id", "field", "form", "value", "text", "name")
        if key in payload
    ]
    fields = payload.get("fields")
    if isinstance(fields, Mapping):
        words += [shown(str(name)) for name in fields]
    return " ".join(words)


def _line(line: LogLine) -> dict[str, Any]:
    return {
        "position": line.position,
        "event": line.event_id.hex(),
        "kind": line.kind,
        "payload": plain(line.payload),
        "name": line.who,
        **_place(line.feed, line.seq),
        "stamp": list(line.stamp),
        "arrived_ms": line.arrived_ms,
        "size_bytes": line.size_bytes,
        "is_cut": line.is_cut,
    }
