"""The golden vectors of the range coder and of compact segments, read in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from meshlog.core.coder import Coder
from meshlog.core.compact.names import Codebook
from meshlog.core.compact.run import decode_compact, encode_compact
from meshlog.core.event import OPEN_DATASET
from meshlog.core.form import FormBook, read_form
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import author_id
from meshlog.core.rangecoder import ReaderCoder, Writer
from meshlog.core.roster import Member, Roster
from meshlog.core.segment import is_signed, link_events, placed
from meshlog.errors import MalformedError
from tests.core.vectors import cases, dataset, feed, load


def code(coder: Coder, step: Any, *, told: bool) -> Any:
    name, arguments, value = step
    if name == "plain":
        return coder.plain(arguments[0], bytes.fromhex(value) if told else b"").hex()
    first, *others = arguments
    said = value if told else 0
    match name:
        case "bit":
            return coder.bit(first, said, *others)
        case "direct":
            return coder.direct(first, said)
        case "symbol":
            return coder.symbol(first, others[0], said, *others[1:])
        case "nested":
            return coder.nested(first, others[0], said)
        case "uint":
            return coder.uint(first, said, *others)
    return coder.sint(first, said, *others)


@cases("rangecoder", "coded")
def test_the_range_coder_both_ways(case: Any):
    writer = Writer()
    for step in case["steps"]:
        code(writer, step, told=True)
    reader = ReaderCoder(bytes.fromhex(case["hex"]))

    assert writer.finish().hex() == case["hex"]
    assert [code(reader, step, told=False) for step in case["steps"]] == [
        value for _, _, value in case["steps"]
    ]
    reader.end()


def book() -> Codebook:
    vectors = load("compact")
    members = {}
    for one in vectors["members"]:
        keys = bytes.fromhex(one["keys"])
        author = author_id(keys)
        members[author] = Member(
            author, keys, one["name"], Role.WRITER, b"", (one["data"],), (0, b"", 0, 0, b"")
        )
    forms = FormBook((read_form(bytes.fromhex(vectors["form"])),))
    return Codebook.of(Roster(OPEN_DATASET, members=members), forms)


@cases("compact", "good")
def test_a_compact_segment_both_ways(case: Any):
    data, base = bytes.fromhex(case["hex"]), Stamp(*case["base_stamp"])

    segment = decode_compact(data, book())
    assert segment is not None
    whole = placed(segment, base)
    assert whole is not None
    chain = link_events(whole, bytes.fromhex(case["base"]), dataset(case["dataset"]))

    assert whole.feed == feed(case["feed"])
    assert whole.first_seq == case["first_seq"]
    assert whole.base_hint == bytes.fromhex(case["base"])[:2]
    assert [
        [*Stamp.unpacked(stamp), body.hex()]
        for stamp, body in zip(whole.stamps, whole.bodies, strict=True)
    ] == case["entries"]
    assert [event_id.hex() for event_id in chain.ids] == case["ids"]
    assert is_signed(chain, bytes.fromhex(case["keys"]))
    assert encode_compact(chain.events(), book(), base) == data


@cases("compact", "refused")
def test_a_compact_segment_refuses(case: Any):
    with pytest.raises(MalformedError) as caught:
        decode_compact(bytes.fromhex(case["hex"]), book())

    assert caught.value.reason == case["reason"]
