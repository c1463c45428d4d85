"""Write tests/vectors/*.json, the golden vectors of docs/protocol.md, from fixed seeds.

    python scripts/make_vectors.py           write them anew
    python scripts/make_vectors.py --check   compare; exit 1 where one differs

A change here is a change of the wire: it takes an ADR. Byte strings stand as hex; inside
CBOR values as {"$bytes": hex}; a varint's value is text, for readers without 64-bit integers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from meshlog.core import bundlefile as carried
from meshlog.core import grant as grants
from meshlog.core.cbor import encode_cbor
from meshlog.core.clockfix import Shift, effective, timeline
from meshlog.core.codec import varint
from meshlog.core.coder import Coder, prior
from meshlog.core.compact.memory import PRIMED
from meshlog.core.compact.names import Codebook
from meshlog.core.compact.run import encode_compact
from meshlog.core.compact.texts import WEIGHTS as LETTERS
from meshlog.core.decrees import FIX_KIND
from meshlog.core.derived import derived_id
from meshlog.core.event import (
    CUT_DOMAIN,
    NO_DATASET,
    NO_PREV,
    OPEN_DATASET,
    OPEN_GENESIS_BODY,
    DatasetId,
    Event,
    encode_body,
)
from meshlog.core.feed import ROOT_DOMAIN, ROSTER_DOMAIN, FeedKey, FeedKind, Head, digest
from meshlog.core.forkproof import ForkProof
from meshlog.core.form import FormBook, form_body, read_form
from meshlog.core.grant import Invite, Role, admit, issue, open_dataset_key
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.keylog import KEY_KIND, key_id, key_payload
from meshlog.core.rangecoder import Writer
from meshlog.core.roster import Member, Roster
from meshlog.core.sealedbox import seal_boxes
from meshlog.core.segment import encode_segment
from meshlog.ports.links import Peer
from meshlog.sync import hints, statements
from meshlog.sync import messages as wire
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.bundle import encode_bundle
from meshlog.sync.frame import ANSWER, ASK, encode_frame
from meshlog.sync.gate import KeyGate
from meshlog.sync.keyring import KeyRing

FOLDER = Path(__file__).parents[1] / "tests" / "vectors"
T0_MS = 1_750_000_000_000
P = 2**255 - 19
DEFLATED = bytes.fromhex("81e36066ddc30a44c5a54565a9950aa3d42835e42800")
"""A bundle deflated once and for all: compressors differ, and each may write its own bytes."""

INFLATING = bytes.fromhex("81edc1010d000008032013be92158c6c8f0fd8cb000000000000000000408107")
"""An unknown message of 10,000 zeros, deflated once and for all."""

SHOWN_MAX = 100
"""Bytes of the longest refused body that a file holds."""


def bytes_of(name: str, size: int) -> bytes:
    """Return fixed bytes for a name: SHAKE-128 of it."""
    return hashlib.shake_128(name.encode()).digest(size)


def identity(name: str) -> Identity:
    """Return a fixed identity for a name."""
    return Identity(bytes_of(name, 64))


FOUNDER, ANN, BOB = identity("founder"), identity("ann"), identity("bob")
GENESIS_BODY = encode_body(
    "dataset.genesis", {"keys": FOUNDER.keys, "name": "valley", "salt": bytes_of("salt", 16)}
)
GENESIS = Event.make(
    FeedKey(FOUNDER.author, FeedKind.CONTROL, 0),
    1,
    Stamp(T0_MS, 0),
    NO_PREV,
    GENESIS_BODY,
    NO_DATASET,
)
DATASET = DatasetId(GENESIS.id)
KEY = bytes_of("dataset key", 16)
RING = KeyRing((KEY,))
ANN_DATA = FeedKey(ANN.author, FeedKind.DATA, 0x01020304)


Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def plain(value: object) -> Json:
    """Return ``value`` as JSON can carry it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, FeedKey):
        return value.packed().hex()
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return cast(Json, value)


def tagged(value: object) -> Json:
    """Return a CBOR value as JSON can carry it, byte strings marked."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, Mapping):
        return {key: tagged(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [tagged(item) for item in value]
    return cast(Json, value)


def refused(*cases: tuple[str, bytes, str]) -> list[dict[str, str]]:
    """Return cases that a decoder refuses: why, the bytes, and the reason it counts."""
    return [{"name": name, "hex": data.hex(), "reason": reason} for name, data, reason in cases]


def varints() -> dict[str, Any]:
    """§1: numbers."""
    values = (0, 1, 127, 128, 300, 16_383, 16_384, 2**32 - 1, 2**48, 2**56 - 1, 2**56, 2**63 - 1)
    return {
        "good": [{"value": str(value), "hex": varint(value).hex()} for value in values],
        "refused": refused(
            ("empty", b"", "truncated"),
            ("cut short", b"\x80", "truncated"),
            ("zero in two bytes", b"\x80\x00", "varint not shortest"),
            ("one in two bytes", b"\x81\x00", "varint not shortest"),
            ("2**63", b"\x80" * 9 + b"\x01", "varint too long"),
            ("ten bytes", b"\xff" * 10, "varint too long"),
        ),
    }


def bodies() -> dict[str, Any]:
    """§1: the CBOR of bodies."""
    values: tuple[object, ...] = (
        None, False, True, 0, 23, 24, 255, 256, 65_536, 2**63 - 1, -1, -24, -25, -(2**63),
        0.0, -0.0, 1.5, 0.1, 65_504.0, 1e300, "", "a", "Wasserstelle Süd", "水", b"", b"\x00\xff",
        [], [1, [2, 3]], {}, {"a": 1, "b": [True, None]}, {"bb": 1, "a": 2, "aa": 3},
    )  # fmt: skip
    nested: object = 0
    for _ in range(16):
        nested = [nested]
    accepted = (
        ("long integer", "1801", 1),
        ("double that a half would hold", "fb3ff8000000000000", 1.5),
        ("single that a half would hold", "fa3fc00000", 1.5),
        ("keys unsorted", "a2616201616101", {"b": 1, "a": 1}),
    )
    cases = (
        ("empty", b""), ("break alone", b"\xff"), ("NaN", b"\xf9\x7e\x00"),
        ("infinity", b"\xf9\x7c\x00"), ("undefined", b"\xf7"), ("simple value", b"\xe0"),
        ("tag", b"\xc0\x61a"), ("tag of a big number", b"\xc2\x41\x01"),
        ("tag of a set", b"\xd9\x01\x02\x81\x01"), ("shared reference", b"\xd8\x1d\x00"),
        ("past 64 bits", b"\x1b" + b"\xff" * 8), ("below 64 bits", b"\x3b\x80" + bytes(7)),
        ("indefinite array", b"\x9f\x01\xff"), ("indefinite map", b"\xbf\xff"),
        ("indefinite text", b"\x7f\x61a\xff"), ("indefinite bytes", b"\x5f\x41a\xff"),
        ("number as key", b"\xa1\x01\x01"), ("array as key", b"\xa1\x80\x01"),
        ("key twice", b"\xa2\x61a\x01\x61a\x02"), ("text not UTF-8", b"\x61\xff"),
        ("text of a surrogate", b"\x63\xed\xa0\x80"), ("huge bytes", b"\x5b" + b"\x7f" * 8),
        ("huge array", b"\x9b" + b"\x7f" * 8), ("huge map", b"\xbb" + b"\x7f" * 8),
        ("cut short", b"\x82\x01"), ("reserved length", b"\x1c"),
        ("seventeen deep", b"\x81" * 17 + b"\x00"), ("very deep", b"\x81" * 60_000),
    )  # fmt: skip
    unplain = "body is not plain CBOR"
    contents: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("x", {}),
        ("record.create", {"record_id": "WP-1", "form": "water_point", "by": "ann"}),
        ("field.set", {"record_id": "WP-1", "field": "working", "value": True}),
        ("note.add", {"record_id": "WP-1", "text": "pump is dry"}),
    )
    return {
        "good": [
            {"value": tagged(item), "hex": encode_cbor(item).hex()} for item in (*values, nested)
        ],
        "accepted": [
            {"name": name, "hex": text, "value": tagged(value)} for name, text, value in accepted
        ],
        "refused": [
            *refused(*((name, data, unplain) for name, data in cases if len(data) < SHOWN_MAX)),
            *refused(("two items", b"\x01\x01", "trailing bytes")),
        ],
        "contents": [
            {"kind": kind, "payload": tagged(payload), "hex": encode_body(kind, payload).hex()}
            for kind, payload in contents
        ],
        "unreadable": [
            {"name": name, "hex": data.hex()}
            for name, data in (
                ("not an array", b"\x01"),
                ("one item", b"\x81\x61x"),
                ("three items", b"\x83\x61x\xa0\x00"),
                ("kind is a number", b"\x82\x01\xa0"),
                ("payload is text", b"\x82\x61x\x61y"),
                ("trailing", b"\x82\x61x\xa0\x00"),
            )
        ],
    }


def identities() -> dict[str, Any]:
    """§2: keys and author ids."""
    small = (
        0, 1, P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    )  # fmt: skip
    unsound = [y | sign << 255 for y in (*small, P, P + 1, 2**255 - 1) for sign in (0, 1)]
    return {
        "good": [
            {
                "private": who.private.hex(),
                "keys": who.keys.hex(),
                "author": who.author.hex(),
                "message": "6d657368",
                "signature": who.sign(b"mesh").hex(),
            }
            for who in (FOUNDER, ANN, BOB)
        ],
        "refused_keys": [(ANN.keys[:32] + key.to_bytes(32, "little")).hex() for key in unsound],
    }


def event_case(name: str, event: Event, dataset: bytes, signer: Identity | None) -> dict[str, Any]:
    """Return all parts of an event."""
    return {
        "name": name,
        "dataset": dataset.hex(),
        "author": event.author.hex(),
        "feed_kind": int(event.feed.kind),
        "incarnation": event.feed.incarnation,
        "seq": event.seq,
        "wall_ms": event.stamp.wall_ms,
        "counter": event.stamp.counter,
        "prev": event.prev.hex(),
        "body": event.body.hex(),
        "id": event.id.hex(),
        "signer": signer.private.hex() if signer else "",
        "cut_signature": signer.sign(CUT_DOMAIN + event.id).hex() if signer else "",
    }


def events() -> dict[str, Any]:
    """§3 and §4: ids and cuts."""
    nobody = FeedKey(AuthorId(bytes(16)), FeedKind.CONTROL, 0)
    genesis = Event.make(nobody, 1, Stamp(0, 0), NO_PREV, OPEN_GENESIS_BODY, NO_DATASET)
    first, second = chain(ANN_DATA, DATASET, 2)
    greatest = Event.make(
        FeedKey(BOB.author, FeedKind.DATA, 2**32 - 1),
        2**32 - 1,
        Stamp(WALL_MS_MAX, COUNTER_MAX),
        b"\xff" * 32,
        b"",
        DATASET,
    )
    return {
        "cases": [
            event_case("genesis of the open dataset", genesis, NO_DATASET, None),
            event_case("genesis of a dataset with a founder", GENESIS, NO_DATASET, FOUNDER),
            event_case("first of a data feed", first, DATASET, ANN),
            event_case("second of a data feed", second, DATASET, ANN),
            event_case("every number at its greatest, no body", greatest, DATASET, BOB),
        ],
        "open_dataset": OPEN_DATASET.hex(),
        "open_dataset_key": open_dataset_key().hex(),
    }


def chain(
    feed: FeedKey, dataset: DatasetId, length: int, prev: Event | None = None, word: str = "n"
) -> list[Event]:
    """Return a run of notes, a second apart."""
    made: list[Event] = []
    for number in range(length):
        stamp = Stamp(prev.stamp.wall_ms + 1000 if prev else T0_MS, 0)
        body = encode_body("note.add", {"record_id": "WP-1", "text": f"{word}{number}"})
        seq, prev_id = (prev.seq + 1, prev.id) if prev else (1, NO_PREV)
        prev = Event.make(feed, seq, stamp, prev_id, body, dataset)
        made.append(prev)
    return made


def cut(run: Sequence[Event], signer: Identity) -> bytes:
    """Return a run as a segment."""
    return encode_segment([*run[:-1], run[-1].signed(signer)])


def segment_case(name: str, run: Sequence[Event], signer: Identity) -> dict[str, Any]:
    """Return a segment, and all that follows from it."""
    return {
        "name": name,
        "dataset": DATASET.hex(),
        "hex": cut(run, signer).hex(),
        "feed": run[0].feed.packed().hex(),
        "first_seq": run[0].seq,
        "base": run[0].prev.hex(),
        "entries": [[*event.stamp, event.body.hex()] for event in run],
        "ids": [event.id.hex() for event in run],
        "keys": signer.keys.hex(),
    }


def segments() -> dict[str, Any]:
    """§5: runs that end at a cut."""
    run = chain(ANN_DATA, DATASET, 3)
    branch = chain(ANN_DATA, DATASET, 2, run[0], "other")
    stamps = ((T0_MS, 7), (T0_MS, 8), (T0_MS, 10), (T0_MS + 1, 0), (T0_MS + 1, 1), (T0_MS + 5, 3))
    odd: list[Event] = []
    for seq, stamp in enumerate(stamps, 1):
        prev_id = odd[-1].id if odd else NO_PREV
        odd.append(Event.make(ANN_DATA, seq, Stamp(*stamp), prev_id, b"\x82\x61x\xa0", DATASET))
    opening = {"keys": ANN.keys, "name": "ann", "data": ANN_DATA.incarnation}
    control = FeedKey(ANN.author, FeedKind.CONTROL, ANN_DATA.incarnation)
    body = encode_body("feed.open", opening)
    opens = Event.make(control, 1, Stamp(T0_MS, 0), NO_PREV, body, DATASET)
    good = cut(run[:1], ANN)
    head, tail = good[:22], good[27:]  # around the first seq and the base hint
    return {
        "good": [
            segment_case("one event", run[:1], ANN),
            segment_case("three events", run, ANN),
            segment_case("two events after the first", run[1:], ANN),
            segment_case("a branch that forks after the first", branch, ANN),
            segment_case("counters as expected and odd", odd, ANN),
            segment_case("the opening of a control feed", [opens], ANN),
            segment_case("a genesis", [GENESIS], FOUNDER),
        ],
        "refused": refused(
            ("empty", b"", "truncated"),
            ("unknown coding", b"\x07" + good[1:], "unknown coding"),
            ("unknown feed kind", good[:17] + b"\x02" + good[18:], "unknown feed kind"),
            ("seq 0", head + b"\x00" + bytes(4) + tail, "seq out of range"),
            ("seq past 32 bits", head + varint(2**32) + bytes(4) + tail, "number past its limit"),
            (
                "last seq past 32 bits",
                head + varint(2**32 - 1) + bytes(4) + b"\x02" + tail[1:],
                "seq out of range",
            ),
            ("no events", head + b"\x01" + bytes(4) + b"\x00" + bytes(64), "seq out of range"),
            (
                "too many events",
                head + b"\x01" + bytes(4) + varint(1025) + tail[1:],
                "number past its limit",
            ),
            (
                "odd counter that was expected",
                head
                + b"\x01"
                + bytes(4)
                + b"\x01"
                + varint(T0_MS << 1 | 1)
                + b"\x00\x00"
                + bytes(64),
                "stamp out of range",
            ),
            (
                "body past its limit",
                head + b"\x01" + bytes(4) + b"\x01" + varint(T0_MS << 1) + varint(65_537),
                "number past its limit",
            ),
            ("signature cut short", good[:-1], "truncated"),
            ("trailing byte", good + b"\x00", "trailing bytes"),
        ),
    }


CODED: list[tuple[str, list[Any], Any]] = [
    ("bit", ["a"], 1),
    ("bit", ["a"], 1),
    ("bit", ["a"], 0),
    ("bit", ["p", prior(1, 30), 4], 1),
    ("direct", [5], 19),
    ("direct", [64], 2**63 + 12_345),
    ("symbol", ["s", 5], 4),
    ("symbol", ["s", 5], 0),
    ("symbol", ["w", 4, [64, 16, 4, 4]], 3),
    ("uint", ["u", 2**32, 3], 0),
    ("uint", ["u", 2**32, 3], 700),
    ("uint", ["u", 2**32, 3], 2**32),
    ("sint", ["i", 2**47, 0], -90_000),
    ("nested", [["l", 1, 2], 256], 104),
    ("nested", [["l", 1, 3], 256], 105),
    ("plain", [3], "00ff80"),
    ("bit", ["a"], 1),
]
"""Method, arguments as in ``core.coder``, and what is coded."""


def code_one(coder: Coder, step: tuple[str, list[Any], Any]) -> None:
    """Write one step of ``CODED``."""
    name, arguments, value = step
    first, *others = arguments
    if name == "plain":
        coder.plain(first, bytes.fromhex(value))
    elif name in ("symbol", "nested"):
        getattr(coder, name)(first, others[0], value, *others[1:])
    else:
        getattr(coder, name)(first, value, *others)


def range_codings() -> dict[str, Any]:
    """§5: the range coder alone."""
    found = []
    for count in (1, 5, 9, 12, len(CODED)):
        writer = Writer()
        for step in CODED[:count]:
            code_one(writer, step)
        found.append(
            {"steps": [list(step) for step in CODED[:count]], "hex": writer.finish().hex()}
        )
    return {"coded": found}


WELL = {
    "form": "well",
    "fields": [
        ["status", "choice", {"options": ["works", "dry", "gone"], "weights": [23, 18, 9]}],
        ["depth_m", "int"],
        ["lat", "decimal", {"scales": [7, 6], "low": -150_000_000, "high": -130_000_000}],
        ["visited", "date", {"pattern": "%d/%m/%Y", "first": 738_000, "share": 64}],
        ["photo", "uuid", {"prefix": "https://example.org/"}],
        ["problems", "choices", {"options": ["leak", "noise", "rust"], "shares": [20, 3, 40]}],
        ["works", "bool"],
        ["remark", "text", {"share": 3}],
    ],
}


def compact_book() -> Codebook:
    """Return what Ann's and Bob's openings and one form say."""
    members = {
        who.author: Member(
            who.author, who.keys, name, Role.WRITER, b"", (life,), (0, b"", 0, 0, b"")
        )
        for who, name, life in ((ANN, "ann", ANN_DATA.incarnation), (BOB, "bob", 5))
    }
    return Codebook.of(Roster(DATASET, members=members), FormBook((read_form(form_body(WELL)),)))


def compact_bodies() -> list[tuple[str, int, list[tuple[str, dict[str, Any]] | bytes]]]:
    """Return names, first seqs and what the events say."""
    ref = BOB.author + (5).to_bytes(4, "big")
    answers = {
        "status": "dry", "depth_m": 30, "lat": -14.5240718, "visited": "06/04/2022",
        "photo": "https://example.org/e4619786467e4c0288dd6d903e87e7ac", "problems": "rust, leak",
        "works": True, "remark": "dry since June", "other": 2.5,
    }  # fmt: skip
    well, fields = {"form": "well"}, {"status": "works", "depth_m": 12}
    record_id = derived_id("well", {"status": "works", "depth_m": "12"}, 0)
    edit = {"record_id": "93aef01c5d7b2244", "field": "status", "value": "dry"}
    return [
        ("a note at seq 1", 1, [("note.add", {"record_id": "WP-1", "text": "pump broken"})]),
        ("an edit alone", 4_712, [("field.set", {**edit, "replaces": [[ref, 77]]})]),
        (
            "edits of one record",
            300,
            [
                ("field.set", {**edit, "replaces": [[ref, 77]]}),
                ("field.set", {**edit, "field": "depth_m", "value": 31, "replaces": [[ref, 77]]}),
                ("field.set", {**edit, "field": "new", "value": None}),
            ],
        ),
        (
            "records of a form",
            20,
            [
                ("record.put", well | {"record_id": "WP-0007", "by": "ann", "fields": answers}),
                ("record.put", well | {"record_id": "WP-0008", "fields": answers | fields}),
                ("record.put", well | {"record_id": record_id, "fields": fields}),
            ],
        ),
        (
            "other kinds",
            2,
            [
                ("record.create", {"record_id": "x", "form": "school", "by": "bob"}),
                ("attachment.add", {"record_id": "x", "field": "photo", "blob_hash": "ab" * 32}),
                ("record.delete", {"record_id": "x", "replaces": [[ref, 9], [bytes(20), 8]]}),
                ("camp.report", {"team": "blue", "at": [-14.5, 35, None], "raw": b"\x00\x01"}),
                b"\xff not a body",
            ],
        ),
    ]  # fmt: skip


def compact_segments() -> dict[str, Any]:
    """§5: compact runs, and what a reader has to know."""
    book, good = compact_book(), []
    for name, first_seq, said in compact_bodies():
        base = Stamp(T0_MS, 3)
        prev = bytes_of(name, 32) if first_seq > 1 else NO_PREV
        run: list[Event] = []
        for at, item in enumerate(said):
            body = item if isinstance(item, bytes) else encode_body(*item)
            stamp = Stamp(T0_MS, 4) if at == 0 else Stamp(T0_MS + 17_321 * at, at % 2)
            run.append(Event.make(ANN_DATA, first_seq + at, stamp, prev, body, DATASET))
            prev = run[-1].id
        data = encode_compact([*run[:-1], run[-1].signed(ANN)], book, base)
        assert data is not None, name
        case = segment_case(name, run, ANN) | {"hex": data.hex(), "base_stamp": [*base]}
        good.append(case)
    lone = bytes.fromhex(good[1]["hex"])
    return {
        "texts": list(PRIMED),
        "letters": list(LETTERS),
        "form": form_body(WELL).hex(),
        "members": [
            {"keys": ANN.keys.hex(), "name": "ann", "data": ANN_DATA.incarnation},
            {"keys": BOB.keys.hex(), "name": "bob", "data": 5},
        ],
        "good": good,
        "refused": refused(
            ("unknown coding", b"\x02" + lone[1:], "unknown coding"),
            ("no signature", lone[:64], "truncated"),
            ("cut short", lone[:6] + lone[-64:], "truncated"),
            ("bytes left over", lone[:-64] + bytes(8) + lone[-64:], "trailing bytes"),
        ),
    }


def example_messages() -> list[wire.Message]:
    """Return one message of each type and of each shape that it takes."""
    ann_control = FeedKey(ANN.author, FeedKind.CONTROL, 9)
    run = chain(ANN_DATA, DATASET, 2)
    beacon = wire.Beacon(
        T0_MS // 1000, wire.root_hint(T0_MS // 1000, bytes_of("root", 32)), b"rost", 300
    )
    fork = (hints.HeadHint(4, b"aaaa"), hints.HeadHint(700, b"bbbb"))
    return [
        beacon,
        statements.Ids(()),
        statements.Ids(
            (
                (ann_control, (hints.HeadHint(1, b"aaaa"),)),
                (replace_life(ann_control, 10), fork),
            )
        ),
        statements.Vec(b"rost", hashed=False, feeds=()),
        statements.Vec(
            b"rost",
            hashed=False,
            feeds=((hints.HeadHint(5, b""),), (), fork, (hints.HeadHint(300, b""),)),
        ),
        statements.Vec(b"rost", hashed=True, feeds=((hints.HeadHint(5, b"aaaa"),), (), fork)),
        wire.Want(16_384, ()),
        wire.Want(16_384, (wire.Run(ANN_DATA, 1, 5), wire.Run(ann_control, 300, 2**32 - 1))),
        wire.Seg(cut(run, ANN)),
        statements.Loc(ANN_DATA, ()),
        statements.Loc(ANN_DATA, (hints.Point(10, b"aaaaaaaa"), hints.Point(1, b"bbbbbbbb"))),
        wire.Ack(beacon, 32, 1),
        statements.Vec(
            b"rost",
            hashed=False,
            feeds=((hints.HeadHint(1_000, b""),),) * 50,
            first=100,
            partial=True,
            credit=16,
        ),
        statements.Delta(b"base", b"r", 0, ()),
        statements.Delta(
            b"base",
            b"r",
            16,
            (
                statements.Step(0, 1),
                statements.Step(7, -20, holes=((2, 8), (1, 300))),
                statements.Step(300, 0, fork),
            ),
        ),
        statements.Digests(0, statements.FEED_DIGEST_MAX, ()),
        statements.Digests(5, 0xABCDEF, (5, 77, 0xABCDEF)),
        wire.Part(b"name", 2, 7, b"the third of seven"),
        wire.Sum(1200, 90_000),
    ]


def replace_life(feed: FeedKey, life: int) -> FeedKey:
    """Return the same feed in another life."""
    return feed._replace(incarnation=life)


def packets() -> dict[str, Any]:
    """§6.6: broadcast packets."""
    air = AirKey(DATASET, RING)
    beacon = wire.Beacon(T0_MS // 1000, bytes_of("hint", 8), b"r", 70_000)
    said: list[wire.Message] = [
        statements.Delta(b"base", b"r", 16, (statements.Step(7, -20),)),
        wire.Seg(b"a segment"),
    ]
    sealed = air.seal(said, b"ab")
    packed = air.pack_beacon(beacon)
    return {
        "dataset": DATASET.hex(),
        "key": KEY.hex(),
        "beacon": {"fields": plain(beacon), "near_count": 69_000, "hex": packed.hex()},
        "sealed": {
            "salt": b"ab".hex(),
            "messages": [wire.encode_message(message).hex() for message in said],
            "hex": sealed.hex(),
        },
        "refused": refused(
            ("a bent beacon", packed[:-1] + b"\x00", "not sealed"),
            ("a beacon cut short", packed[:-1], "not sealed"),
            ("a bent sealed packet", sealed[:-1] + bytes((sealed[-1] ^ 1,)), "not sealed"),
            ("a type alone", b"\x12", "not sealed"),
            ("version 2", b"\x21" + packed[1:], "newer version"),
            ("version 0", b"\x02" + packed[1:], "unknown version"),
            ("nothing", b"", "unknown version"),
            ("465 bytes", bytes(465), "packet too large"),
        ),
    }


def messages() -> dict[str, Any]:
    """§6.2: messages and bundles."""
    examples = example_messages()
    bundle = encode_bundle([examples[0], examples[4], examples[8]])

    def one(kind: int, content: bytes) -> bytes:
        return b"\x01" + bytes((kind,)) + varint(len(content)) + content

    key = ANN_DATA.packed()
    return {
        "good": [
            {
                "type": type(message).__name__.upper(),
                "fields": plain(message),
                "hex": wire.encode_message(message).hex(),
            }
            for message in examples
        ],
        "bundles": [
            {"name": "empty", "hex": encode_bundle([]).hex(), "messages": []},
            {
                "name": "beacon, statement and segment",
                "hex": bundle.hex(),
                "messages": ["BEACON", "VEC", "SEG"],
            },
            {
                "name": "an unknown type is skipped",
                "hex": (one(200, b"what?") + wire.encode_message(examples[-1])).hex(),
                "messages": ["SUM"],
            },
        ],
        "deflated": [
            {
                "name": "SUM and a SEG of 700 bytes of text",
                "hex": DEFLATED.hex(),
                "plain": wire.encode_message(wire.Sum(5, 700)).hex()
                + wire.encode_message(wire.Seg(b"survey " * 100)).hex(),
            }
        ],
        "refused": refused(
            ("deflated and cut short", DEFLATED[:-1], "inflates past its limit"),
            ("inflates to 300 times its size", INFLATING, "inflates past its limit"),
            ("deflated and more", DEFLATED + b"\x00", "inflates past its limit"),
            ("not deflated", b"\x81\xff\xff\xff", "not deflated"),
            ("newer version, deflated", b"\x82" + DEFLATED[1:], "newer version"),
            (
                "a statement twice",
                encode_bundle([wire.Sum(0, 0), wire.Sum(0, 0)]),
                "repeated message",
            ),
            ("no version", b"", "truncated"),
            ("version 0", b"\x00", "unknown version"),
            ("version 2", b"\x02", "newer version"),
            ("type without length", b"\x01\x01", "truncated"),
            ("length past the end", b"\x01\x01\x20", "truncated"),
            ("beacon cut short", one(1, bytes(16)), "truncated"),
            ("beacon with more", one(1, bytes(18)), "trailing bytes"),
            ("too many feeds", one(2, varint(20_001)), "number past its limit"),
            ("fork of one head", one(2, b"\x01" + bytes(20) + b"\x03"), "number past its limit"),
            (
                "fork of 65 heads",
                one(2, b"\x01" + bytes(20) + varint(65 << 1 | 1)),
                "number past its limit",
            ),
            ("too many runs", one(4, b"\x00" + varint(4097)), "number past its limit"),
            ("unknown feed kind", one(4, b"\x00\x01" + bytes(16) + b"\x02"), "truncated"),
            (
                "unknown feed kind in full",
                one(4, b"\x00\x01" + bytes(16) + b"\x02" + bytes(6)),
                "unknown feed kind",
            ),
            ("too many points", one(6, key + varint(1025)), "number past its limit"),
            (
                "seq past 32 bits",
                one(6, key + b"\x01" + varint(2**32) + bytes(8)),
                "number past its limit",
            ),
            ("sum with more", one(8, b"\x00\x00\x00"), "trailing bytes"),
        ),
    }


def hellos() -> dict[str, Any]:
    """§6.1 and §6.3: proofs of a link, frames of the seam."""
    gate = KeyGate(ANN, DATASET, RING)
    binding = bytes_of("link", 16)
    bundle = encode_bundle([wire.Sum(0, 0)])
    proofs = [
        {"initiator": initiator, "proof": gate.prove(binding, initiator=initiator).hex()}
        for initiator in (False, True)
    ]
    good = gate.prove(binding, initiator=True)
    others = (
        ("other key", KeyGate(ANN, DATASET, KeyRing((bytes(16),))).prove(binding, initiator=True)),
        ("other dataset", KeyGate(ANN, OPEN_DATASET, RING).prove(binding, initiator=True)),
        ("other link", gate.prove(binding[::-1], initiator=True)),
        ("other direction", gate.prove(binding, initiator=False)),
        ("newer version", b"\x02" + good[1:]),
        ("keys of another", good[:17] + BOB.keys + good[81:]),
        ("signature broken", good[:-1] + bytes((good[-1] ^ 1,))),
        ("cut short", good[:-1]),
        ("trailing byte", good + b"\x00"),
    )
    return {
        "dataset": DATASET.hex(),
        "key": KEY.hex(),
        "private": ANN.private.hex(),
        "peer": Peer(ANN.author.hex()),
        "binding": binding.hex(),
        "tag": gate.tag().hex(),
        "open_tag": KeyGate(ANN, OPEN_DATASET, KeyRing((open_dataset_key(),))).tag().hex(),
        "proofs": proofs,
        "refused": [{"name": name, "proof": proof.hex()} for name, proof in others],
        "frames": [
            {
                "kind": kind,
                "exchange": 7,
                "bundle": bundle.hex(),
                "hex": encode_frame(gate, kind, 7, bundle).hex(),
            }
            for kind in (ASK, ANSWER)
        ],
    }


def _marked_grants(seed: bytes, writer: Identity, above: bytes) -> list[dict[str, Any]]:
    """Grants that are counted, and one by which a writer hands its seat to new keys."""
    made = []
    for name, issuer, proof, marks in (
        ("for three", FOUNDER, b"", {"uses": 3}),
        ("a writer's new keys", writer, above, {"is_succession": True}),
    ):
        grant = issue(issuer, proof, DATASET, seed, Role.WRITER, **marks)
        admission = admit(grant, seed, BOB.author, DATASET)
        case = {
            "name": name,
            "issuer_private": issuer.private.hex(),
            "issuer_admission": proof.hex(),
            "seed": seed.hex(),
            "role": int(Role.WRITER),
            "expires_s": 0,
            **marks,
            "author": BOB.author.hex(),
            "grant": grant.encode().hex(),
            "admission": admission.hex(),
            "invite": Invite(DATASET, KEY, seed, grant, "valley").text(),
            "accepted": True,
        }
        made.append(case)
    return made


def decree_cases() -> dict[str, Any]:
    """§7.6: bodies of the decrees, and bodies that are none."""
    cut = [1, 7, 3, bytes_of("cut", 32)]
    revoke = {
        "author": BOB.author,
        "cuts": [[0, 7, 1, bytes_of("opening", 32)], cut],
        "mode": "hard",
        "keeps": [ANN.author],
    }
    rotate = {"to": ANN.author, "cuts": [cut], "keeps": []}
    readmit = {"author": BOB.author, "answers": [bytes_of("removal", 32)], "cuts": [cut]}
    welcome = {"guests": [BOB.author, ANN.author]}
    good = (
        ("member.revoke", revoke),
        ("member.rotate", rotate),
        ("member.readmit", readmit),
        ("member.welcome", welcome),
    )
    bad = (
        ("no such mode", "member.revoke", revoke | {"mode": "medium"}),
        ("a cut at seq 0", "member.revoke", revoke | {"cuts": [[1, 7, 0, bytes(32)]]}),
        ("a cut of a third kind", "member.revoke", revoke | {"cuts": [[2, 7, 1, bytes(32)]]}),
        ("an author of 15 bytes", "member.readmit", readmit | {"author": bytes(15)}),
        ("65 answers", "member.readmit", readmit | {"answers": [bytes(32)] * 65}),
        ("nobody welcomed", "member.welcome", {"guests": []}),
        ("65 guests", "member.welcome", {"guests": [ANN.author] * 65}),
        ("no successor", "member.rotate", {"cuts": [cut]}),
    )
    return {
        "author": FOUNDER.author.hex(),
        "good": [
            {"name": kind, "kind": kind, "body": encode_body(kind, payload).hex()}
            for kind, payload in good
        ],
        "ignored": [
            {"name": name, "kind": kind, "body": encode_body(kind, payload).hex()}
            for name, kind, payload in bad
        ],
    }


def clock_fixes() -> dict[str, Any]:
    """§7.9: bodies of clock fixes, bodies that are none, and what comes out along a branch."""
    fix = {"feed": ANN.author + b"\0\0\0\7", "first": 2, "last": 3, "offset_ms": -3_600_000}
    good = (
        ("an hour back", fix),
        ("the widest", fix | {"first": 1, "last": 2**32 - 1, "offset_ms": WALL_MS_MAX}),
        ("a key that is not known", fix | {"why": "a dead battery"}),
    )
    bad: tuple[tuple[str, dict[str, Any]], ...] = (
        ("a feed of 21 bytes", fix | {"feed": bytes(21)}),
        ("from seq 0", fix | {"first": 0}),
        ("backwards", fix | {"last": 1}),
        ("past the last seq", fix | {"last": 2**32}),
        ("further than there are stamps", fix | {"offset_ms": WALL_MS_MAX + 1}),
        ("an offset that is true", fix | {"offset_ms": True}),
        ("an offset with a fraction", fix | {"offset_ms": 0.5}),
        ("no offset", {key: value for key, value in fix.items() if key != "offset_ms"}),
    )
    hour_ms = 3_600_000
    ahead = [(T0_MS, 0), (T0_MS + hour_ms, 0), (T0_MS + hour_ms, 1), (T0_MS + 5, 0)]
    branches: tuple[tuple[str, list[tuple[int, int]], list[Shift]], ...] = (
        ("nothing fixed", ahead[:3], []),
        ("an hour back", ahead[:3], [Shift(2, 3, -hour_ms)]),
        ("before its predecessor: just after it", ahead[:2], [Shift(2, 2, -2 * hour_ms)]),
        ("to the beginning of time", ahead[:2], [Shift(1, 2, -WALL_MS_MAX)]),
        ("to the end of time", ahead[:2], [Shift(1, 2, WALL_MS_MAX)]),
        ("what follows a stretch that was set ahead", ahead[:3], [Shift(1, 1, 2 * hour_ms)]),
        ("of two fixes of one event the later", ahead[:3], [Shift(1, 3, 9), Shift(2, 2, -7)]),
        ("a full counter carries", [(T0_MS, COUNTER_MAX), (T0_MS + 1, 0)], [Shift(2, 2, -1)]),
    )
    return {
        "author": FOUNDER.author.hex(),
        "good": [
            {
                "name": name,
                "body": encode_body(FIX_KIND, said).hex(),
                "feed": said["feed"].hex(),
                "shift": [said["first"], said["last"], said["offset_ms"]],
            }
            for name, said in good
        ],
        "ignored": [
            {"name": name, "body": encode_body(FIX_KIND, said).hex()} for name, said in bad
        ],
        "branches": [
            {
                "name": name,
                "stamps": stamps,
                "fixes, the lowest first": shifts,
                "stretches": timeline(shifts),
                "effective": [
                    effective(
                        seq,
                        Stamp(*stamps[seq - 1]),
                        timeline(shifts),
                        lambda at, stamps=stamps: Stamp(*stamps[at - 1]),
                    )
                    for seq in range(1, len(stamps) + 1)
                ],
            }
            for name, stamps, shifts in branches
        ],
    }


def grant_cases() -> dict[str, Any]:
    """§7: grants, admissions, invites."""
    seeds = [bytes_of(f"seed {number}", 16) for number in range(8)]
    devices = [identity(f"device {number}") for number in range(8)]
    chained: list[dict[str, Any]] = []
    issuer, above = FOUNDER, b""
    for depth, (seed, device) in enumerate(zip(seeds, devices, strict=True), 1):
        role = Role.WRITER if depth == 1 else Role.COORDINATOR
        expires_s = 1_800_000_000 if depth == 1 else 0
        grant = issue(issuer, above, DATASET, seed, role, expires_s)
        admission = admit(grant, seed, device.author, DATASET)
        invite = Invite(DATASET, KEY, seed, grant, "valley")
        case = {
            "name": f"chain of {max(depth - 1, 1)}",
            "issuer_private": issuer.private.hex(),
            "issuer_admission": above.hex(),
            "seed": seed.hex(),
            "role": int(role),
            "expires_s": expires_s,
            "author": device.author.hex(),
            "grant": grant.encode().hex(),
            "admission": admission.hex(),
            "invite": invite.text(),
            "accepted": max(depth - 1, 1) <= grants.CHAIN_DEPTH_MAX,
        }
        chained.append(case)
        if depth > 1:  # the first is a writer's, who may invite nobody
            issuer, above = device, admission
    chained += _marked_grants(seeds[0], devices[0], bytes.fromhex(chained[0]["admission"]))
    seed, device = seeds[0], devices[0]
    writer_admission = bytes.fromhex(chained[0]["admission"])
    good = issue(FOUNDER, b"", DATASET, seed, Role.WRITER)
    by_writer = issue(device, writer_admission, DATASET, seeds[1], Role.WRITER)
    raised = issue(
        device, writer_admission, DATASET, seeds[1], Role.COORDINATOR, is_succession=True
    )
    swapped = replace(good, role=Role.COORDINATOR)
    small = replace(good, holder=b"\x01" + bytes(31))
    small = replace(small, signature=FOUNDER.sign(small.message(DATASET)))
    cases = (
        ("issued by a writer", admit(by_writer, seeds[1], BOB.author, DATASET)),
        ("a writer's successor as coordinator", admit(raised, seeds[1], BOB.author, DATASET)),
        ("for nobody", bytes((0x40 | Role.WRITER,)) + bytes(4 + 2 + 32 + 64 + 64)),
        ("role raised after signing", admit(swapped, seed, BOB.author, DATASET)),
        (
            "of another dataset",
            admit(
                issue(FOUNDER, b"", OPEN_DATASET, seed, Role.WRITER), seed, BOB.author, OPEN_DATASET
            ),
        ),
        (
            "signed by a stranger",
            admit(issue(ANN, b"", DATASET, seed, Role.WRITER), seed, BOB.author, DATASET),
        ),
        ("proof for another author", admit(good, seed, ANN.author, DATASET)),
        ("proof with another seed", admit(good, seeds[3], BOB.author, DATASET)),
        ("holder of small order", small.encode() + b"\x01" + bytes(63)),
        ("unknown role", bytes((4,)) + admit(good, seed, BOB.author, DATASET)[1:]),
        ("cut short", admit(good, seed, BOB.author, DATASET)[:-1]),
        ("trailing byte", admit(good, seed, BOB.author, DATASET) + b"\x00"),
        ("empty", b""),
    )
    return {
        "dataset": DATASET.hex(),
        "key": KEY.hex(),
        "founder_keys": FOUNDER.keys.hex(),
        "chains": chained,
        "refused_author": BOB.author.hex(),
        "refused": [{"name": name, "admission": admission.hex()} for name, admission in cases],
    }


def boxes() -> dict[str, Any]:
    """§7.7: a rotation of the dataset's key."""
    ephemeral = bytes_of("ephemeral", 32)
    sealed = seal_boxes(KEY, [ANN.keys, BOB.keys], ephemeral, DATASET)
    small = seal_boxes(KEY, [bytes(32) + ANN.keys[32:], BOB.keys], ephemeral, DATASET)
    return {
        "dataset": DATASET.hex(),
        "key": KEY.hex(),
        "key_id": key_id(KEY).hex(),
        "ephemeral_private": ephemeral.hex(),
        "members": [{"private": who.private.hex(), "keys": who.keys.hex()} for who in (ANN, BOB)],
        "stranger_private": FOUNDER.private.hex(),
        "boxes": sealed.hex(),
        "first_of_small_order": small.hex(),
        "body": encode_body(KEY_KIND, key_payload(1, KEY, sealed)).hex(),
    }


def roots() -> dict[str, Any]:
    """§8: what stands for everything held."""
    ann, bob = ANN_DATA, FeedKey(BOB.author, FeedKind.DATA, 5)
    one, other = Head(3, bytes_of("three", 32)), Head(3, bytes_of("other three", 32))
    frontiers = (
        ("nothing", ()),
        ("one feed", ((ann, (one,)),)),
        ("two feeds", ((bob, (one,)), (ann, (other,)))),
        ("a fork", ((ann, (other, one)),)),
    )
    return {
        "cases": [
            {
                "name": name,
                "frontier": [[key.packed().hex(), plain(heads)] for key, heads in frontier],
                "root": digest(ROOT_DOMAIN, frontier).hex(),
                "roster_digest": digest(ROSTER_DOMAIN, frontier).hex(),
                "root_hint_at_1750000000": wire.root_hint(
                    1_750_000_000, digest(ROOT_DOMAIN, frontier)
                ).hex(),
            }
            for name, frontier in frontiers
        ]
    }


def bundle_files() -> dict[str, Any]:
    """§12: bundle files."""
    salt, secret = bytes_of("bundle salt", 16), bytes_of("bundle secret", 16)
    file_key = carried.file_key(secret, salt)
    lock = carried.lock_for(KEY, DATASET, salt, secret)
    boxes = carried.locks_for(
        [ANN.keys, BOB.keys], DATASET, secret, lambda size: bytes_of("bundle ephemeral", size)
    )
    both = carried.BundleHead(carried.dataset_tag(DATASET), salt, (lock, *boxes))
    head = carried.BundleHead(carried.dataset_tag(DATASET), salt, (lock,))
    later = carried.BundleHead(head.tag, salt, (carried.Lock(9, b"later"), lock))
    frontier = {ANN_DATA: (Head(3, bytes_of("three", 32)),)}
    contents = (
        (carried.Frame.ABOUT, carried.About(ANN.author, T0_MS, 4, is_whole=True).encode()),
        (carried.Frame.HOLDS, next(carried.holds_frames(frontier))),
        (carried.Frame.SEGMENT, cut([GENESIS], FOUNDER)),
        (carried.Frame.END, b""),
    )
    sealer = carried.FrameSealer(file_key, salt)
    frames = [sealer.seal(type_, number, data) for number, (type_, data) in enumerate(contents)]
    data = head.encode()
    return {
        "dataset": DATASET.hex(),
        "key": KEY.hex(),
        "salt": salt.hex(),
        "secret": secret.hex(),
        "file_key": file_key.hex(),
        "member_private": ANN.private.hex(),
        "heads": [
            {
                "name": "a lock for two members, too",
                "hex": both.encode().hex(),
                "foot": both.foot().hex(),
            },
            {"name": "one lock", "hex": data.hex(), "foot": head.foot().hex()},
            {
                "name": "a lock of an unknown type first",
                "hex": later.encode().hex(),
                "foot": later.foot().hex(),
            },
        ],
        "frames": [
            {"type": int(type_), "number": number, "content": content.hex(), "hex": frame.hex()}
            for number, ((type_, content), frame) in enumerate(zip(contents, frames, strict=True))
        ],
        "refused_heads": refused(
            ("empty", b"", "not a bundle file"),
            ("another file", b"SQLite format 3\x00", "not a bundle file"),
            ("newer", data[:14] + b"\x02" + data[15:], "newer version"),
            ("cut short", data[:-1], "truncated"),
            ("flipped", data[:20] + bytes((data[20] ^ 1,)) + data[21:], "damaged head"),
        ),
    }


def fork_proofs() -> dict[str, Any]:
    """§4.1: fork proofs."""
    run = chain(ANN_DATA, DATASET, 3)
    longer = cut(chain(ANN_DATA, DATASET, 2, run[0], "other"), ANN)
    short = cut(run[1:2], ANN)

    def proof(base: bytes, *branches: bytes, keys: bytes = ANN.keys) -> ForkProof:
        return ForkProof(DATASET, keys, base, *sorted(branches))

    def case(name: str, made: ForkProof) -> dict[str, Any]:
        shows = made.check()
        return {
            "name": name,
            "hex": made.encode().hex(),
            "shows": shows
            and {
                "feed": shows.feed.packed().hex(),
                "seq": shows.seq,
                "ids": [event_id.hex() for event_id in shows.ids],
            },
        }

    start = [cut(chain(ANN_DATA, DATASET, 1, None, word), ANN) for word in ("a", "b")]
    good = proof(run[0].id, short, longer)
    forged = bytearray(longer)
    forged[-1] ^= 1
    data = good.encode()
    return {
        "good": [case("after the first event", good), case("at the start", proof(NO_PREV, *start))],
        "shows_nothing": [
            case("one branch, cut twice", proof(run[0].id, short, cut(run[1:3], ANN))),
            case("a signature that does not hold", proof(run[0].id, short, bytes(forged))),
            case("somebody else's keys", proof(run[0].id, short, longer, keys=FOUNDER.keys)),
            case("another base", proof(run[1].id, short, longer)),
            case("no base", proof(NO_PREV, short, longer)),
        ],
        "bad": refused(
            ("empty", b"", "not a fork proof"),
            ("a newer version", data[:12] + b"\x02" + data[13:], "newer version"),
            ("cut short", data[:-1], "truncated"),
            ("bytes behind it", data + b"\x00", "trailing bytes"),
            (
                "branches the other way round",
                ForkProof(DATASET, ANN.keys, run[0].id, *sorted((short, longer))[::-1]).encode(),
                "branches out of order",
            ),
        ),
    }


FILES = {
    "varint": varints,
    "body": bodies,
    "identity": identities,
    "event": events,
    "segment": segments,
    "rangecoder": range_codings,
    "compact": compact_segments,
    "message": messages,
    "packet": packets,
    "hello": hellos,
    "grant": grant_cases,
    "box": boxes,
    "decree": decree_cases,
    "clockfix": clock_fixes,
    "root": roots,
    "fork": fork_proofs,
    "bundle": bundle_files,
}


def main() -> int:
    """Write or compare all files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    differing = []
    for name, make in FILES.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            differing.append(path.name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if differing:
        print("differ from what the code makes:", *differing)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
