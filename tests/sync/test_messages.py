"""Messages on anything at all: they come back, or the bundle is malformed, at a bounded cost."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.codec import varint
from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId
from meshlog.errors import MalformedError
from meshlog.sync import hints, statements
from meshlog.sync import messages as wire
from meshlog.sync.bundle import decode_bundle, encode_bundle
from tests.support.cost import bytes_taken, lines_run

seqs = st.integers(1, SEQ_MAX)
counts = st.integers(0, 2**63 - 1)
authors = st.binary(min_size=16, max_size=16).map(AuthorId)
lives = st.integers(0, 2**32 - 1)
feeds = st.builds(FeedKey, authors, st.sampled_from(FeedKind), lives)
controls = st.builds(FeedKey, authors, st.just(FeedKind.CONTROL), lives)


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


hashed = st.builds(hints.HeadHint, seqs, octets(4))
forks = st.lists(hashed, min_size=2, max_size=5)
heads_hashed = st.one_of(st.just([]), st.lists(hashed, min_size=1, max_size=1), forks).map(tuple)
plain = st.builds(hints.HeadHint, seqs, st.just(b""))
heads_plain = st.one_of(st.just([]), st.lists(plain, min_size=1, max_size=1), forks).map(tuple)
beacons = st.builds(wire.Beacon, st.integers(0, 2**32 - 1), octets(8), octets(4), counts)
messages: st.SearchStrategy[wire.Message] = st.one_of(
    beacons,
    st.builds(statements.Ids, st.lists(st.tuples(controls, heads_hashed), max_size=4).map(tuple)),
    st.builds(
        statements.Vec,
        octets(4),
        st.just(value=True),
        st.lists(heads_hashed, max_size=6).map(tuple),
    ),
    st.builds(
        statements.Vec,
        octets(4),
        st.just(value=False),
        st.lists(heads_plain, max_size=6).map(tuple),
    ),
    st.builds(
        wire.Want, counts, st.lists(st.builds(wire.Run, feeds, seqs, seqs), max_size=4).map(tuple)
    ),
    st.builds(wire.Seg, st.binary(max_size=80)),
    st.builds(
        statements.Loc,
        feeds,
        st.lists(st.builds(hints.Point, seqs, octets(8)), max_size=6).map(tuple),
    ),
    st.builds(wire.Ack, beacons, counts, counts),
    st.builds(wire.Sum, counts, counts),
)
bundles = st.lists(messages, max_size=6, unique_by=type)


def decoded(data: bytes) -> list[wire.Message] | None:
    try:
        return decode_bundle(data)
    except MalformedError as error:
        if error.reason not in REASONS:
            raise AssertionError(error.reason) from error
        return None


REASONS = {
    "truncated", "trailing bytes", "varint not shortest", "varint too long",
    "number past its limit", "no such number", "seq out of range", "unknown feed kind",
    "unknown version",
    "newer version", "repeated message", "segment too large", "bundle too large",
    "not deflated", "inflates past its limit",
}  # fmt: skip
"""All that a counter may be named after: a peer must not be able to make up names."""


@given(bundles)
def test_a_bundle_comes_back(bundle: list[wire.Message]):
    assert decode_bundle(encode_bundle(bundle)) == bundle


@given(st.binary(max_size=300))
def test_any_bytes_are_malformed_or_a_bundle(data: bytes):
    decoded(data)
    decoded(b"\x01" + data)


@given(bundles, st.data())
def test_damage_is_malformed_or_another_bundle(bundle: list[wire.Message], data: st.DataObject):
    good = encode_bundle(bundle)
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255))

    for bad in (good[:at] + bytes([byte]) + good[at + 1 :], good[:at], good + bytes([byte])):
        found = decoded(bad)
        if found is not None:
            assert decoded(encode_bundle(found)) == found


@given(messages, st.data())
def test_damage_inside_a_message_is_found_at_its_end(message: wire.Message, data: st.DataObject):
    """Structure-aware: type and length are right, the content is not."""
    good = wire.encode_message(message)
    content = good[1 + len(varint(len(good))) :] if len(good) > 2 else b""
    at = data.draw(st.integers(0, max(len(content) - 1, 0)))
    insert = data.draw(st.binary(max_size=6))
    cut = data.draw(st.integers(0, 6))
    bad = content[:at] + insert + content[at + cut :]

    decoded(b"\x01" + good[:1] + varint(len(bad)) + bad)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 7, 8])
def test_a_statement_stands_once_in_a_bundle(kind: int):
    """Each is compared with all that is held: a thousand would multiply the work."""
    examples: dict[int, wire.Message] = {
        1: wire.Beacon(0, bytes(8), bytes(4), 0),
        2: statements.Ids(()),
        3: statements.Vec(bytes(4), hashed=False, feeds=()),
        4: wire.Want(0, ()),
        7: wire.Ack(wire.Beacon(0, bytes(8), bytes(4), 0), 0, 0),
        8: wire.Sum(0, 0),
    }

    with pytest.raises(MalformedError, match="repeated"):
        decode_bundle(encode_bundle([examples[kind]] * 2))


def test_locators_are_few():
    loc = statements.Loc(FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 1), ())

    assert len(decode_bundle(encode_bundle([loc] * wire.LOCATORS_MAX))) == 16
    with pytest.raises(MalformedError, match="repeated"):
        decode_bundle(encode_bundle([loc] * (wire.LOCATORS_MAX + 1)))


@pytest.mark.parametrize(
    "content",
    [
        bytes([2]) + varint(20_000),
        bytes([4, 0]) + varint(1_024),
        bytes([6]) + bytes(21) + varint(1_024),
    ],
)
def test_a_claimed_count_costs_nothing(content: bytes):
    kind, rest = content[:1], content[1:]
    data = b"\x01" + kind + varint(len(rest)) + rest

    assert decoded(data) is None
    assert bytes_taken(lambda: decoded(data)) < 20_000


def test_the_largest_statement_is_read_at_a_cost_that_follows_its_size():
    """20,000 feeds, each with its own id."""

    def cost(feeds: int) -> int:
        heads = (hints.HeadHint(SEQ_MAX, b"aaaa"),)
        ids = statements.Ids(
            tuple(
                (FeedKey(AuthorId(number.to_bytes(16, "big")), FeedKind.CONTROL, 1), heads)
                for number in range(feeds)
            )
        )
        bundle = encode_bundle([ids])
        assert decode_bundle(bundle) == [ids]
        return lines_run(lambda: decode_bundle(bundle))

    assert cost(20_000) < 10 * cost(2_500)


def test_a_want_and_heads_are_cut_to_what_a_peer_reads():
    feed = FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 1)
    want = wire.Want(1, tuple(wire.Run(feed, 1, number) for number in range(1, 2_000)))
    many = tuple(hints.HeadHint(number, b"aaaa") for number in range(1, 200))
    vec = statements.Vec(bytes(4), hashed=True, feeds=(many,))

    heard: list[Any] = decode_bundle(encode_bundle([want, vec]))

    assert heard[0].runs == want.runs[: wire.RUNS_MAX]
    assert heard[1].feeds == (many[-statements.HEADS_MAX :],)


def test_a_newer_version_is_told_from_an_unknown_one():
    """A newer one is reported: somebody should update."""
    reasons = {}
    for version in (0, 2, 255):
        with pytest.raises(MalformedError) as caught:
            decode_bundle(bytes([version]) + b"\x08\x02\x00\x00")
        reasons[version] = caught.value.reason

    assert reasons == {0: "unknown version", 2: "newer version", 255: "newer version"}


def test_a_bundle_inflates_to_its_limit_and_no_further():
    """A kilobyte may claim to be a gigabyte."""
    bomb = zlib.compress(bytes(50_000_000), 9, -15)

    assert decoded(b"\x81" + bomb) is None
    assert bytes_taken(lambda: decoded(b"\x81" + bomb)) < 1_000_000


@given(st.binary(max_size=100))
def test_any_bytes_are_not_deflated_or_a_bundle(data: bytes):
    decoded(b"\x81" + data)
    decoded(b"\x81" + zlib.compress(data, 9, -15))


def test_what_repeats_is_deflated():
    seg = wire.Seg(b"the same again, " * 200)

    data = encode_bundle([seg])

    assert (data[0], len(data) < 100) == (0x81, True)
    assert decode_bundle(data) == [seg]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), octets(32))
def test_the_hint_of_a_root_changes_with_time(one: int, other: int, root: bytes):
    """A collision lasts one beacon (I4)."""
    assert (wire.root_hint(one, root) == wire.root_hint(other, root)) == (one == other)
