"""docs/protocol.md's golden vectors, read in both directions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshlog.core.bundlefile import (
    FRAME_HEAD_SIZE,
    FrameSealer,
    dataset_tag,
    read_frame_head,
    read_head,
    unlock,
)
from meshlog.core.cbor import decode_cbor, encode_cbor, plain
from meshlog.core.clockfix import Shift, effective, timeline
from meshlog.core.codec import Reader, varint
from meshlog.core.decrees import ClockFix, read_decree
from meshlog.core.event import (
    CUT_DOMAIN,
    OPEN_DATASET,
    DatasetId,
    Event,
    EventId,
    encode_body,
    event_id,
    read_body,
)
from meshlog.core.feed import ROOT_DOMAIN, ROSTER_DOMAIN, FeedKey, FeedKind, Head, digest
from meshlog.core.forkproof import ForkProof
from meshlog.core.grant import (
    Grant,
    Invite,
    Role,
    admit,
    check_admission,
    issue,
    open_dataset_key,
)
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity, author_id, keys_are_sound, verify
from meshlog.core.segment import decode_segment, encode_segment, is_signed, link_events
from meshlog.errors import MalformedError
from meshlog.ports.links import Peer
from meshlog.sync import hints, statements
from meshlog.sync import messages as wire
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.bundle import decode_bundle, encode_bundle
from meshlog.sync.frame import Frame, decode_frame, encode_frame
from meshlog.sync.gate import KeyGate
from meshlog.sync.keyring import KeyRing
from tests.core.vectors import cases, dataset, feed, load, untagged

ROOT = Path(__file__).parents[2]


def test_the_files_are_what_the_script_makes():
    command = [sys.executable, str(ROOT / "scripts" / "make_vectors.py"), "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


# ── §1 Codec ──


@cases("varint", "good")
def test_varint_both_ways(case: Any):
    value, data = int(case["value"]), bytes.fromhex(case["hex"])

    assert varint(value) == data
    assert Reader(data).varint() == value


@cases("varint", "refused")
def test_varint_refuses(case: Any):
    with pytest.raises(MalformedError) as caught:
        Reader(bytes.fromhex(case["hex"])).varint()

    assert caught.value.reason == case["reason"]


@cases("body", "good")
def test_cbor_both_ways(case: Any):
    value, data = untagged(case["value"]), bytes.fromhex(case["hex"])

    assert encode_cbor(value) == data
    assert repr(plain(decode_cbor(data))) == repr(plain(decode_cbor(encode_cbor(value))))
    assert plain(decode_cbor(data)) == value


@cases("body", "accepted")
def test_cbor_reads_what_it_would_not_write(case: Any):
    data = bytes.fromhex(case["hex"])

    assert plain(decode_cbor(data)) == untagged(case["value"])
    assert encode_cbor(decode_cbor(data)) != data


@cases("body", "refused")
def test_cbor_refuses(case: Any):
    with pytest.raises(MalformedError) as caught:
        decode_cbor(bytes.fromhex(case["hex"]))

    assert caught.value.reason == case["reason"]


@cases("body", "contents")
def test_body_both_ways(case: Any):
    kind, payload = case["kind"], untagged(case["payload"])
    data = bytes.fromhex(case["hex"])

    content = read_body(data)

    assert encode_body(kind, payload) == data
    assert content is not None
    assert (content.kind, plain(content.payload)) == (kind, payload)


@cases("body", "unreadable")
def test_body_unreadable(case: Any):
    assert read_body(bytes.fromhex(case["hex"])) is None


# ── §2 Identity ──


@cases("identity", "good")
def test_identity(case: Any):
    identity = Identity(bytes.fromhex(case["private"]))
    message, signature = bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])

    assert identity.keys.hex() == case["keys"]
    assert author_id(identity.keys).hex() == case["author"]
    assert identity.sign(message) == signature
    assert verify(identity.keys, signature, message)
    assert not verify(identity.keys, signature, message + b"!")


@cases("identity", "refused_keys")
def test_keys_of_small_order_are_refused(case: Any):
    keys = bytes.fromhex(case)

    assert not keys_are_sound(keys)
    assert not verify(keys, keys[32:] + bytes(32), b"anything")


# ── §3 Event, §4 cut ──


@cases("event", "cases")
def test_event_id_and_cut(case: Any):
    key = FeedKey(
        AuthorId(bytes.fromhex(case["author"])), FeedKind(case["feed_kind"]), case["incarnation"]
    )
    stamp = Stamp(case["wall_ms"], case["counter"])
    prev, body = bytes.fromhex(case["prev"]), bytes.fromhex(case["body"])

    made = event_id(bytes.fromhex(case["dataset"]), key, case["seq"], stamp, prev, body)

    assert made.hex() == case["id"]
    if case["signer"]:
        signer = Identity(bytes.fromhex(case["signer"]))
        assert signer.sign(CUT_DOMAIN + made).hex() == case["cut_signature"]


def test_open_dataset():
    vectors = load("event")

    assert vectors["cases"][0]["id"] == vectors["open_dataset"] == OPEN_DATASET.hex()
    assert open_dataset_key().hex() == vectors["open_dataset_key"]


# ── §5 Segment ──


@cases("segment", "good")
def test_segment_both_ways(case: Any):
    data = bytes.fromhex(case["hex"])

    segment = decode_segment(data)
    chain = link_events(segment, bytes.fromhex(case["base"]), dataset(case["dataset"]))

    assert segment.feed == feed(case["feed"])
    assert segment.first_seq == case["first_seq"]
    assert segment.base_hint == bytes.fromhex(case["base"])[:4]
    assert [
        [*Stamp.unpacked(stamp), body.hex()]
        for stamp, body in zip(segment.stamps, segment.bodies, strict=True)
    ] == case["entries"]
    assert [event_id.hex() for event_id in chain.ids] == case["ids"]
    assert is_signed(chain, bytes.fromhex(case["keys"]))
    assert encode_segment(chain.events()) == data


@cases("segment", "refused")
def test_segment_refuses(case: Any):
    with pytest.raises(MalformedError) as caught:
        decode_segment(bytes.fromhex(case["hex"]))

    assert caught.value.reason == case["reason"]


# ── §6 Messages ──


def head_hints(listed: Any) -> hints.HeadHints:
    return tuple(hints.HeadHint(seq, bytes.fromhex(hint)) for seq, hint in listed)


def beacon_of(fields: Any) -> wire.Beacon:
    root_hint, roster = (bytes.fromhex(fields[name]) for name in ("root_hint", "roster_digest"))
    return wire.Beacon(fields["time_s"], root_hint, roster, fields["event_count"])


def message_of(kind: str, fields: Any) -> wire.Message:
    match kind:
        case "BEACON":
            return beacon_of(fields)
        case "IDS":
            return statements.Ids(
                tuple((feed(key), head_hints(heads)) for key, heads in fields["feeds"])
            )
        case "VEC":
            digest_ = bytes.fromhex(fields["roster_digest"])
            return statements.Vec(
                digest_,
                fields["hashed"],
                tuple(map(head_hints, fields["feeds"])),
                fields["first"],
                fields["partial"],
                fields["credit"],
            )
        case "DELTA":
            base, digest_ = (bytes.fromhex(fields[name]) for name in ("base", "roster_digest"))
            steps = tuple(
                statements.Step(place, ahead, head_hints(heads), tuple(map(tuple, holes)))
                for place, ahead, heads, holes in fields["steps"]
            )
            return statements.Delta(base, digest_, fields["credit"], steps)
        case "DIGESTS":
            return statements.Digests(fields["first"], fields["last"], tuple(fields["digests"]))
        case "WANT":
            runs = tuple(wire.Run(feed(key), first, last) for key, first, last in fields["runs"])
            return wire.Want(fields["credit_bytes"], runs)
        case "SEG":
            return wire.Seg(bytes.fromhex(fields["data"]))
        case "LOC":
            points = tuple(hints.Point(seq, bytes.fromhex(hint)) for seq, hint in fields["points"])
            return statements.Loc(feed(fields["feed"]), points)
        case "ACK":
            return wire.Ack(beacon_of(fields["beacon"]), fields["accepted"], fields["refused"])
        case "PART":
            name, data = (bytes.fromhex(fields[key]) for key in ("name", "data"))
            return wire.Part(name, fields["place"], fields["count"], data)
        case "SUM":
            return wire.Sum(fields["events"], fields["size_bytes"])
        case _:
            raise AssertionError(kind)


@cases("message", "good")
def test_message_both_ways(case: Any):
    message, data = message_of(case["type"], case["fields"]), bytes.fromhex(case["hex"])

    assert wire.encode_message(message) == data
    assert decode_bundle(b"\x01" + data) == [message]


def air_of(file: Any) -> AirKey:
    ring = KeyRing((bytes.fromhex(file["key"]),))
    return AirKey(DatasetId(EventId(bytes.fromhex(file["dataset"]))), ring)


def test_packets_both_ways():
    file = load("packet")
    air, told, sealed = air_of(file), file["beacon"], file["sealed"]
    beacon, packet = beacon_of(told["fields"]), bytes.fromhex(told["hex"])
    messages = [
        message
        for data in sealed["messages"]
        for message in wire.decode_messages(bytes.fromhex(data))
    ]

    assert air.pack_beacon(beacon) == packet
    assert air.open(packet, told["near_count"]).messages == [beacon]
    assert air.seal(messages, bytes.fromhex(sealed["salt"])).hex() == sealed["hex"]
    assert air.open(bytes.fromhex(sealed["hex"]), 0) == (messages, air.ring.current)


@cases("packet", "refused")
def test_packet_refuses(case: Any):
    with pytest.raises(MalformedError) as caught:
        air_of(load("packet")).open(bytes.fromhex(case["hex"]), 0)

    assert caught.value.reason == case["reason"]


@cases("message", "bundles")
def test_bundle(case: Any):
    heard = decode_bundle(bytes.fromhex(case["hex"]))

    assert [type(message).__name__.upper() for message in heard] == case["messages"]


@cases("message", "deflated")
def test_deflated_bundle(case: Any):
    heard = decode_bundle(bytes.fromhex(case["hex"]))

    assert b"".join(map(wire.encode_message, heard)).hex() == case["plain"]
    assert decode_bundle(encode_bundle(heard)) == heard


@cases("message", "refused")
def test_bundle_refuses(case: Any):
    with pytest.raises(MalformedError) as caught:
        decode_bundle(bytes.fromhex(case["hex"]))

    assert caught.value.reason == case["reason"]


def gate_of_vectors() -> tuple[KeyGate, bytes, Any]:
    vectors = load("hello")
    identity = Identity(bytes.fromhex(vectors["private"]))
    gate = KeyGate(identity, dataset(vectors["dataset"]), KeyRing((bytes.fromhex(vectors["key"]),)))
    return gate, bytes.fromhex(vectors["binding"]), vectors


def test_tags():
    gate, _, vectors = gate_of_vectors()

    assert gate.tag().hex() == vectors["tag"]
    ours = KeyGate(gate._identity, OPEN_DATASET, KeyRing((open_dataset_key(),)))
    assert ours.tag().hex() == vectors["open_tag"]


@cases("hello", "proofs")
def test_proof_both_ways(case: Any):
    gate, binding, vectors = gate_of_vectors()
    initiator, proof = case["initiator"], bytes.fromhex(case["proof"])

    assert len(proof) == 145
    assert gate.prove(binding, initiator=initiator) == proof
    assert gate.check(binding, proof, initiator=initiator) == Peer(vectors["peer"])
    assert gate.check(binding, proof, initiator=not initiator) is None


@cases("hello", "refused")
def test_proof_refused(case: Any):
    gate, binding, _ = gate_of_vectors()

    assert gate.check(binding, bytes.fromhex(case["proof"]), initiator=True) is None


@cases("hello", "frames")
def test_frame_both_ways(case: Any):
    gate, _, _ = gate_of_vectors()
    bundle, data = bytes.fromhex(case["bundle"]), bytes.fromhex(case["hex"])

    assert encode_frame(gate, case["kind"], case["exchange"], bundle) == data
    assert decode_frame(gate, data) == Frame(
        case["kind"], case["exchange"], bundle, gate.ring.current
    )
    for at in range(len(data)):
        flipped = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        assert decode_frame(gate, flipped) is None


# ── §7 Grants ──


@cases("grant", "chains")
def test_grant_admission_and_invite_both_ways(case: Any):
    vectors = load("grant")
    of = dataset(vectors["dataset"])
    seed, author = bytes.fromhex(case["seed"]), AuthorId(bytes.fromhex(case["author"]))
    issuer, above = (
        Identity(bytes.fromhex(case["issuer_private"])),
        bytes.fromhex(case["issuer_admission"]),
    )

    marks = {key: case[key] for key in ("uses", "is_succession") if key in case}
    grant = issue(issuer, above, of, seed, Role(case["role"]), case["expires_s"], **marks)
    admission = admit(grant, seed, author, of)
    invite = Invite(of, bytes.fromhex(vectors["key"]), seed, grant, "valley")
    found = check_admission(admission, author, of, bytes.fromhex(vectors["founder_keys"]))

    assert grant.encode().hex() == case["grant"]
    assert Grant.read(Reader(bytes.fromhex(case["grant"]))) == grant
    assert admission.hex() == case["admission"]
    assert invite.text() == case["invite"]
    assert Invite.parse(case["invite"]) == invite
    assert (found is not None) == case["accepted"]
    if found is not None:
        assert (found.role, found.expires_s) == (case["role"], case["expires_s"])


def decree_of(case: Any) -> object:
    author = AuthorId(bytes.fromhex(load("decree")["author"]))
    feed, body = FeedKey(author, FeedKind.CONTROL, 1), bytes.fromhex(case["body"])
    return read_decree(Event.make(feed, 2, Stamp(9, 0), bytes(32), body))


@cases("decree", "good")
def test_decrees_are_read(case: Any):
    content = read_body(bytes.fromhex(case["body"]))

    assert content is not None
    assert encode_body(content.kind, content.payload).hex() == case["body"]
    assert decree_of(case) is not None


@cases("decree", "ignored")
def test_what_breaks_a_rule_is_no_decree(case: Any):
    assert decree_of(case) is None


# ── §7.9 Clock fixes ──


def fix_of(case: Any) -> object:
    author = AuthorId(bytes.fromhex(load("clockfix")["author"]))
    feed, body = FeedKey(author, FeedKind.CONTROL, 1), bytes.fromhex(case["body"])
    return read_decree(Event.make(feed, 2, Stamp(9, 0), bytes(32), body))


@cases("clockfix", "good")
def test_clock_fixes_are_read(case: Any):
    fix = fix_of(case)

    assert isinstance(fix, ClockFix)
    assert fix.feed.author + fix.feed.incarnation.to_bytes(4, "big") == bytes.fromhex(case["feed"])
    assert [*fix.shift] == case["shift"]


@cases("clockfix", "ignored")
def test_what_breaks_a_rule_is_no_clock_fix(case: Any):
    assert fix_of(case) is None


@cases("clockfix", "branches")
def test_effective_stamps(case: Any):
    """By the recursion of §7.9, which the code takes a short cut through."""
    raw = [Stamp(*stamp) for stamp in case["stamps"]]
    shifts = timeline([Shift(*fix) for fix in case["fixes, the lowest first"]])
    assert [[*shift] for shift in shifts] == case["stretches"]

    before, found = -1, []
    for seq, stamp in enumerate(raw, 1):
        covers = [s.offset_ms for s in shifts if s.first_seq <= seq <= s.last_seq]
        moved = stamp.packed()
        if covers:
            moved = min(max(moved + covers[0] * 2**16, seq), 2**63 - 1 - (2**32 - 1 - seq))
        before = max(moved, before + 1)
        found.append([*Stamp.unpacked(before)])

    assert found == case["effective"]
    assert [
        [*effective(seq, stamp, shifts, lambda at: raw[at - 1])] for seq, stamp in enumerate(raw, 1)
    ] == found


@cases("grant", "refused")
def test_admission_refused(case: Any):
    vectors = load("grant")
    author = AuthorId(bytes.fromhex(vectors["refused_author"]))
    founder = bytes.fromhex(vectors["founder_keys"])

    found = check_admission(
        bytes.fromhex(case["admission"]), author, dataset(vectors["dataset"]), founder
    )

    assert found is None


# ── §8 Root ──


@cases("root", "cases")
def test_root_and_roster_digest(case: Any):
    frontier = [
        (feed(key), tuple(Head(seq, bytes.fromhex(id_)) for seq, id_ in heads))
        for key, heads in case["frontier"]
    ]

    root = digest(ROOT_DOMAIN, frontier)

    assert root.hex() == case["root"]
    assert digest(ROSTER_DOMAIN, frontier).hex() == case["roster_digest"]
    assert wire.root_hint(1_750_000_000, root).hex() == case["root_hint_at_1750000000"]
    assert digest(ROOT_DOMAIN, frontier[::-1]) == root


# ── §12 Bundle files ──


@cases("bundle", "heads")
def test_bundle_head_both_ways_and_its_lock(case: Any):
    vectors = load("bundle")
    data = bytes.fromhex(case["hex"])

    head, size = read_head(data + b"what follows")

    assert size == len(data)
    assert head.encode() == data
    assert head.foot().hex() == case["foot"]
    assert head.tag == dataset_tag(dataset(vectors["dataset"]))
    found = unlock(head, [bytes(16), bytes.fromhex(vectors["key"])], dataset(vectors["dataset"]))
    assert found == bytes.fromhex(vectors["file_key"])
    member = Identity(bytes.fromhex(vectors["member_private"]))
    by_member = unlock(head, [], dataset(vectors["dataset"]), member)
    assert by_member == (found if "members" in case["name"] else None)


@cases("bundle", "refused_heads")
def test_bundle_head_refused(case: Any):
    with pytest.raises(MalformedError) as refused:
        read_head(bytes.fromhex(case["hex"]))

    assert refused.value.reason == case["reason"]


@cases("bundle", "frames")
def test_bundle_frame_both_ways(case: Any):
    vectors = load("bundle")
    salt = bytes.fromhex(vectors["salt"])
    sealer = FrameSealer(bytes.fromhex(vectors["file_key"]), salt)
    data, content = bytes.fromhex(case["hex"]), bytes.fromhex(case["content"])

    assert sealer.seal(case["type"], case["number"], content) == data
    head = read_frame_head(data, salt)
    assert head == (case["type"], case["number"], len(data) - FRAME_HEAD_SIZE)
    assert sealer.open(case["type"], case["number"], data[FRAME_HEAD_SIZE:]) == content


@cases("fork", "good")
def test_fork_proof_both_ways(case: Any):
    data = bytes.fromhex(case["hex"])
    proof = ForkProof.decode(data)
    shows = proof.check()

    assert proof.encode() == data
    assert shows is not None
    assert shows.feed.packed().hex() == case["shows"]["feed"]
    assert (shows.seq, [one.hex() for one in shows.ids]) == (
        case["shows"]["seq"],
        case["shows"]["ids"],
    )


@cases("fork", "shows_nothing")
def test_fork_proof_that_shows_nothing(case: Any):
    assert ForkProof.decode(bytes.fromhex(case["hex"])).check() is None


@cases("fork", "bad")
def test_fork_proof_refuses(case: Any):
    with pytest.raises(MalformedError) as error:
        ForkProof.decode(bytes.fromhex(case["hex"]))
    assert error.value.reason == case["reason"]
