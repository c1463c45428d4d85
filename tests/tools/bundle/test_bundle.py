"""Bundle files: what is whole is taken, what is not is named, and nobody else can read them."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from meshlog.core.bundlefile import (
    FRAME_HEAD_SIZE,
    FRAME_SIZE_MAX,
    MAGIC,
    About,
    BundleHead,
    Frame,
    FrameSealer,
    dataset_tag,
    file_key,
    frame_head,
    lock_for,
    read_about,
    read_frame_head,
    read_head,
    unlock,
)
from meshlog.core.event import Event, encode_body
from meshlog.core.hlc import WALL_MS_MAX, Stamp
from meshlog.core.segment import encode_segment
from meshlog.errors import InputError, MalformedError, StoreError
from meshlog.sync.holdings import Verdict
from meshlog.tools.bundle.exporting import Exported, Since, export_bundle
from meshlog.tools.bundle.importing import BundleReport, import_bundle
from meshlog.tools.bundle.reading import BundleReader, read_summary
from meshlog.tools.taking import BATCH_SEGMENTS_MAX, Taken
from tests.tools.camp import Device


def export(device: Device, path: Path, since: Since | None = None, seed: int = 5) -> Exported:
    device.replica.root()
    with path.open("wb") as out:
        return export_bundle(
            device.store,
            device.replica.ledger,
            device.replica.identity.author,
            device.replica.seat.key,
            out,
            since=since or Since(),
            now_ms=device.now_ms,
            rng=random.Random(seed),
        )


def bring(device: Device, path: Path) -> BundleReport:
    def ingest(segments: Sequence[bytes]) -> Taken:
        taken = device.replica.ingest(segments, device.now_ms)
        return Taken(taken.events, taken.verdicts)

    return import_bundle(
        path,
        device.replica.dataset,
        [device.replica.seat.key],
        ingest,
        lambda author: author.hex()[:8],
    )


def pieces_of(device: Device, path: Path) -> tuple[list[bytes], BundleReport]:
    """Return the segments that a reader would be given, without taking them."""
    found: list[bytes] = []

    def ingest(segments: Sequence[bytes]) -> Taken:
        found.extend(segments)
        return Taken(0, [Verdict.DUPLICATE] * len(segments))

    keys = [device.replica.seat.key]
    report = import_bundle(path, device.replica.dataset, keys, ingest, bytes.hex)
    return found, report


@pytest.fixture
def team(base: Device) -> Device:
    return Device("team", 7, at=base)


@pytest.fixture
def full(base: Device, tmp_path: Path) -> Path:
    """A bundle of five segments: who belongs, what base wrote, and what ann did."""
    ann = Device("ann", 8, at=base)
    ann.write("record.put", record_id="A-1", form="well", fields={"depth": 7})
    base.give(ann)
    ann.give(base)
    for number in range(3):
        base.write("record.put", record_id=f"W-{number}", form="well", fields={"depth": number})
        base.replica.root()
    path = tmp_path / "full.bundle"
    export(base, path)
    return path


def test_what_is_exported_is_what_the_other_gets(base: Device, team: Device, full: Path) -> None:
    report = bring(team, full)

    assert report.is_clean
    assert report.about is not None
    assert report.about.events == base.store.event_count()
    assert team.view() == base.view()


def test_bringing_it_twice_changes_nothing(team: Device, full: Path) -> None:
    bring(team, full)
    root = team.replica.root()

    again = bring(team, full)

    assert (again.events, again.known, again.is_clean) == (0, again.segments, True)
    assert team.replica.root() == root


def test_carried_both_ways_two_devices_that_never_meet_agree(
    base: Device, team: Device, full: Path, tmp_path: Path
) -> None:
    bring(team, full)
    team.write("field.set", record_id="W-1", field="depth", value=40)
    base.write("note.add", record_id="W-0", text="dry")
    there, back = tmp_path / "there", tmp_path / "back"

    keys = [base.replica.seat.key]
    held_by_base = read_summary(full, base.replica.dataset, keys).frontier
    export(team, there, Since(frontier=held_by_base))
    bring(base, there)
    held_by_team = read_summary(there, base.replica.dataset, keys).frontier
    export(base, back, Since(frontier=held_by_team))
    bring(team, back)

    assert team.replica.root() == base.replica.root()
    assert team.view() == base.view()


def test_since_a_bundle_carries_only_data_that_its_writer_lacked(
    base: Device, full: Path, tmp_path: Path
) -> None:
    base.write("note.add", record_id="W-0", text="dry")
    frontier = read_summary(full, base.replica.dataset, [base.replica.seat.key]).frontier

    done = export(base, tmp_path / "news", Since(frontier=frontier))

    control = sum(
        head.seq
        for feed, heads in base.replica.frontier().items()
        for head in heads
        if feed.kind == 0
    )
    assert done.events == control + 1


def test_since_a_time_carries_what_arrived_from_then_on(base: Device, tmp_path: Path) -> None:
    base.write("note.add", record_id="W-0", text="old")
    base.replica.root()
    base.now_ms += 60_000
    base.write("note.add", record_id="W-0", text="new")

    done = export(base, tmp_path / "news", Since(arrived_ms=base.now_ms))

    assert done.events == export(base, tmp_path / "all").events - 1


def test_both_branches_of_a_fork_travel_and_their_start_only_once(
    base: Device, team: Device, tmp_path: Path
) -> None:
    base.write("note.add", record_id="W-0", text="before")
    base.replica.root()
    feed = base.replica.data_feed
    (head,) = base.replica.frontier()[feed]
    stamp = Stamp(base.now_ms + 5_000, 0)
    branches = [
        Event.make(feed, 2, stamp, head.id, encode_body("note.add", {"text": text}), dataset)
        for dataset in [base.replica.dataset]
        for text in ("one", "other")
    ]
    runs = [encode_segment([event.signed(base.replica.identity)]) for event in branches]
    base.replica.ingest(runs, base.now_ms + 10_000)
    path = tmp_path / "fork"

    done = export(base, path)
    bring(team, path)

    assert len(base.replica.frontier()[feed]) == 2
    assert done.events == base.store.event_count()
    assert team.replica.frontier()[feed] == base.replica.frontier()[feed]


def test_torn_at_every_byte_brings_what_is_whole(base: Device, full: Path, tmp_path: Path) -> None:
    data = full.read_bytes()
    whole, _ = pieces_of(base, full)
    _, head_size = read_head(data)
    torn = tmp_path / "torn"

    counts = []
    for size in range(len(data)):
        torn.write_bytes(data[:size])
        if size < head_size:
            with pytest.raises(InputError):
                pieces_of(base, torn)
            continue
        found, report = pieces_of(base, torn)
        assert found == whole[: len(found)]
        assert report.is_torn or report.damage_count
        assert not report.is_clean
        counts.append(len(found))

    assert counts == sorted(counts)
    assert counts[-1] == len(whole)


def test_one_flipped_bit_anywhere_costs_at_most_its_own_segment(
    base: Device, full: Path, tmp_path: Path
) -> None:
    data = full.read_bytes()
    whole, _ = pieces_of(base, full)
    flipped = tmp_path / "flipped"
    luck = random.Random(3)

    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= 1 << luck.randrange(8)
        flipped.write_bytes(bad)
        found, report = pieces_of(base, flipped)
        assert not report.is_clean, place
        assert len(found) >= len(whole) - 1, place
        assert set(found) <= set(whole), place


def test_a_flipped_segment_is_named_and_the_others_count(
    base: Device, team: Device, full: Path
) -> None:
    data = bytearray(full.read_bytes())
    head_read, at = read_head(bytes(data))
    salt, last = head_read.salt, at
    while (head := read_frame_head(bytes(data[at : at + FRAME_HEAD_SIZE]), salt)) is not None:
        last = at if head[0] == Frame.SEGMENT else last
        at += FRAME_HEAD_SIZE + head[2]
    data[last + FRAME_HEAD_SIZE + 40] ^= 1
    full.write_bytes(data)
    all_records = set(base.view())

    report = bring(team, full)

    assert report.damage_count == report.missing == 1
    assert report.damages[0].at_bytes == last
    assert set(team.view()) in ({"A-1"}, all_records - {"A-1"})


def test_a_hole_in_a_segment_costs_at_most_that_segment(
    base: Device, full: Path, tmp_path: Path
) -> None:
    """A stick that lost a block inside one frame: the next frame begins sooner than it should."""
    data = full.read_bytes()
    whole, _ = pieces_of(base, full)
    head_read, at = read_head(data)
    holed = tmp_path / "holed"
    while (head := read_frame_head(data[at : at + FRAME_HEAD_SIZE], head_read.salt)) is not None:
        start = at + FRAME_HEAD_SIZE
        holed.write_bytes(data[: start + 4] + data[start + 8 :])
        found, _ = pieces_of(base, holed)
        assert len(found) >= len(whole) - 1, at
        at = start + head[2]


class Counted(io.FileIO):
    """A file that counts what is read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        got = super().read(size) or b""
        self.read_bytes += len(got)
        return got


def test_made_up_beginnings_inside_of_a_frame_cost_a_few_readings_of_the_file(
    base: Device, full: Path, tmp_path: Path
) -> None:
    """Each of them claims a quarter of a megabyte, and there are thousands in a megabyte."""
    data = full.read_bytes()
    head, start = read_head(data)
    made_up = frame_head(head.salt, Frame.SEGMENT, 9, FRAME_SIZE_MAX)
    path = tmp_path / "made up"
    path.write_bytes(data[:start] + made_up * (1_000_000 // len(made_up)) + data[start:])
    dataset, keys = base.replica.dataset, [base.replica.seat.key]

    with Counted(path) as file:
        assert [*BundleReader(file, "made up", dataset, keys, None).pieces()]

    assert file.read_bytes < 10 * path.stat().st_size


def test_a_head_with_a_time_that_no_calendar_has_says_nothing(base: Device) -> None:
    said = About(base.replica.identity.author, WALL_MS_MAX, 1, is_whole=True)
    assert read_about(said.encode()) == said

    with pytest.raises(MalformedError):
        read_about(replace(said, at_ms=WALL_MS_MAX + 1).encode())


def forged_bundle(device: Device, path: Path, segments: Sequence[bytes]) -> None:
    """A member's bundle with whatever it likes in it, correctly sealed."""
    seat = device.replica.seat
    secret, salt = bytes(16), bytes(16)
    lock = lock_for(seat.key, seat.dataset, salt, secret)
    head = BundleHead(dataset_tag(seat.dataset), salt, (lock,))
    sealer = FrameSealer(file_key(secret, salt), salt)
    frames = [sealer.seal(Frame.SEGMENT, number, data) for number, data in enumerate(segments)]
    end = sealer.seal(Frame.END, len(segments), b"")
    path.write_bytes(head.encode() + b"".join(frames) + end + head.foot())


def test_a_member_who_forges_is_named_and_the_honest_rest_is_taken(
    base: Device, team: Device, full: Path, tmp_path: Path
) -> None:
    honest, _ = pieces_of(base, full)
    signature_off = honest[-1][:-1] + bytes((honest[-1][-1] ^ 1,))
    path = tmp_path / "forged"
    forged_bundle(base, path, [*honest[:-1], signature_off, b"", b"\xff" * 90])

    report = bring(team, path)

    assert (report.refused, report.damage_count) == (3, 0)
    assert {refusal.where for refusal in report.refusals} == {
        f"part {len(honest) - 1}", f"part {len(honest)}", f"part {len(honest) + 1}",
    }  # fmt: skip
    assert "is not what its author signed" in " ".join(r.what for r in report.refusals)
    assert team.store.event_count() > 1


def test_segments_in_any_order_are_taken(
    base: Device, team: Device, full: Path, tmp_path: Path
) -> None:
    honest, _ = pieces_of(base, full)
    path = tmp_path / "backwards"
    forged_bundle(base, path, honest[::-1])

    assert bring(team, path).is_clean
    assert team.view() == base.view()


def test_what_waits_for_an_earlier_bundle_is_said(
    base: Device, team: Device, full: Path, tmp_path: Path
) -> None:
    honest, _ = pieces_of(base, full)
    late = base.replica.segments(
        base.replica.data_feed, base.replica.frontier()[base.replica.data_feed][0], 2, 10**6
    )[0]
    path = tmp_path / "late"
    forged_bundle(base, path, [*honest[:3], *late])

    report = bring(team, path)

    assert report.waiting == 1
    assert not report.is_clean
    assert "not here yet" in report.refusals[0].what


def test_a_bundle_of_another_dataset_is_refused_in_one_sentence(full: Path, other: Device) -> None:
    with pytest.raises(InputError, match="another dataset"):
        bring(other, full)


def test_without_the_datasets_key_nothing_can_be_read(base: Device, full: Path) -> None:
    head, _ = read_head(full.read_bytes())

    assert unlock(head, [bytes(16)], base.replica.dataset) is None
    with pytest.raises(InputError, match="under a key"):
        import_bundle(full, base.replica.dataset, [bytes(16)], lambda _: Taken(0, []), bytes.hex)
    assert b"W-1" not in full.read_bytes()
    assert b"well" not in full.read_bytes()


def test_a_member_who_missed_a_rotation_opens_it_with_its_own_key(base: Device, full: Path) -> None:
    """The file is sealed under a key that ann has never had; base knows ann."""
    ann = Device("ann", 8, at=base)
    head, _ = read_head(full.read_bytes())
    stranger, dataset = Device("other", 9), base.replica.dataset

    assert unlock(head, [bytes(16)], dataset, ann.replica.identity) == unlock(
        head, [base.replica.seat.key], dataset
    )
    assert unlock(head, [bytes(16)], dataset, stranger.replica.identity) is None


def test_a_newer_bundle_is_said_to_be_newer(base: Device, full: Path) -> None:
    data = full.read_bytes()
    full.write_bytes(data.replace(MAGIC + b"\x01", MAGIC + b"\x02"))

    with pytest.raises(InputError, match="newer meshlog"):
        bring(base, full)


@pytest.mark.parametrize("content", [b"", b"x", MAGIC, b"PK\x03\x04" * 99, MAGIC + b"\x01" * 400])
def test_what_is_no_bundle_is_said_to_be_none(base: Device, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo"
    path.write_bytes(content)

    with pytest.raises(InputError):
        bring(base, path)


def test_a_frame_that_claims_a_huge_size_is_no_frame(base: Device, full: Path) -> None:
    head, _ = read_head(full.read_bytes())
    sealer = FrameSealer(bytes(32), head.salt)
    frame = sealer.seal(Frame.SEGMENT, 1, bytes(FRAME_SIZE_MAX))

    assert read_frame_head(frame, head.salt) is None


def test_a_frame_of_another_place_or_file_does_not_open() -> None:
    sealer = FrameSealer(bytes(32), bytes(16))
    frame = sealer.seal(Frame.SEGMENT, 1, b"text")[FRAME_HEAD_SIZE:]

    assert sealer.open(Frame.SEGMENT, 1, frame) == b"text"
    for type_, number, salt in ((3, 2, bytes(16)), (4, 1, bytes(16)), (3, 1, b"\x01" * 16)):
        with pytest.raises(Exception, match="not sealed"):
            FrameSealer(bytes(32), salt).open(type_, number, frame)


def test_many_segments_go_in_batches(base: Device, team: Device, tmp_path: Path) -> None:
    for number in range(BATCH_SEGMENTS_MAX + 10):
        base.write("note.add", record_id="W-0", text=str(number))
        base.replica.root()
    path, sizes = tmp_path / "many", []
    honest = [
        data
        for seq in range(BATCH_SEGMENTS_MAX + 10)
        for data in base.replica.segments(
            base.replica.data_feed,
            base.replica.frontier()[base.replica.data_feed][0],
            seq,
            0,
        )[0]
    ]
    forged_bundle(base, path, honest)

    def ingest(segments: Sequence[bytes]) -> Taken:
        sizes.append(len(segments))
        return Taken(0, [Verdict.DUPLICATE] * len(segments))

    import_bundle(path, base.replica.dataset, [base.replica.seat.key], ingest, bytes.hex)

    assert max(sizes) == BATCH_SEGMENTS_MAX
    assert sum(sizes) == len(honest)


def test_a_full_disk_is_said_and_the_file_can_be_brought_again(base: Device, full: Path) -> None:
    with pytest.raises(StoreError, match="bring the same file again"):
        import_bundle(
            full,
            base.replica.dataset,
            [base.replica.seat.key],
            lambda segments: Taken(0, [Verdict.BUSY] * len(segments)),
            bytes.hex,
        )


def test_the_same_luck_makes_the_same_file(base: Device, full: Path) -> None:
    out = io.BytesIO()
    export_bundle(
        base.store,
        base.replica.ledger,
        base.replica.identity.author,
        base.replica.seat.key,
        out,
        since=Since(),
        now_ms=base.now_ms,
        rng=random.Random(5),
    )
    assert out.getvalue() == full.read_bytes()
