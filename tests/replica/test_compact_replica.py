"""Compact segments between replicas: what needs a form waits for it, and nothing else differs."""

from __future__ import annotations

import pytest

from meshlog.core.event import Event
from meshlog.core.feed import FeedKey
from meshlog.errors import InputError
from meshlog.replica.ledger import Ledger
from meshlog.replica.replica import Replica
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX
from meshlog.sync.holdings import Verdict
from tests.replica.devices import T0_MS, holds_alike, open_replica
from tests.support.feeds import control_feed

WELL = {"form": "well", "fields": [["depth_m", "int"], ["status", "choice", {"options": ["ok"]}]]}


def compact(replica: Replica, feed: FeedKey, size_max: int | None = None) -> list[bytes]:
    replica.root()
    head = replica.ledger.frontier[feed][0]
    found, reached = replica.segments(feed, head, 0, 10**6, compact=True, size_max=size_max)
    assert reached == head.seq or size_max is not None
    return found


def writer() -> Replica:
    ann = open_replica("ann")
    ann.put_form(WELL, T0_MS)
    for number in range(100):
        ann.append(
            "record.put",
            {"record_id": f"W-{number}", "form": "well", "fields": {"depth_m": number}},
            T0_MS + 1_000 * number,
        )
        ann.root()  # as after every edit that leaves at once: each stands alone, signed
    return ann


def test_compact_segments_bring_everything_over():
    ann, ben = writer(), open_replica("ben")

    control = ben.ingest(compact(ann, control_feed(ann)), T0_MS)
    data = ben.ingest(compact(ann, ann.data_feed), T0_MS)
    ann.ingest(compact(ben, control_feed(ben)), T0_MS)

    assert {*control.verdicts, *data.verdicts} == {Verdict.ACCEPTED}
    assert holds_alike(ann, ben)
    assert ben.ledger.forms == ann.ledger.forms
    assert Ledger.load(ben.store, ben.dataset).forms == ann.ledger.forms


def test_one_batch_may_bring_the_form_that_it_needs():
    ann, ben = writer(), open_replica("ben")
    batch = [*compact(ann, ann.data_feed), *compact(ann, control_feed(ann))]

    assert {*ben.ingest(batch, T0_MS).verdicts} == {Verdict.ACCEPTED}


def test_what_names_an_unknown_form_is_a_gap_and_changes_nothing():
    ann, ben = writer(), open_replica("ben")
    ann.root()
    opening = ann.store.branch(ann.ledger.frontier[control_feed(ann)][0], control_feed(ann), 0, 1)
    assert opening[0].kind == "feed.open"
    before = ben.root()

    found = ben.ingest(compact(ann, ann.data_feed), T0_MS)

    assert {*found.verdicts} == {Verdict.GAP}
    assert ben.root() == before


def test_segments_for_a_packet_fit_it():
    ann = writer()

    pieces = compact(ann, ann.data_feed, CARGO_SIZE_MAX)

    assert all(len(data) <= CARGO_SIZE_MAX for data in pieces)
    assert 1 < len(pieces) < 10


def test_what_does_not_fit_a_packet_ends_the_row():
    ann = writer()
    ann.append("note.add", {"record_id": "W-1", "text": "".join(map(chr, range(300, 900)))}, T0_MS)
    ann.append("note.add", {"record_id": "W-1", "text": "after"}, T0_MS)
    ann.root()
    head = ann.ledger.frontier[ann.data_feed][0]

    _, reached = ann.segments(ann.data_feed, head, 0, 10**6, compact=True, size_max=CARGO_SIZE_MAX)

    assert reached == head.seq - 2


def test_a_form_is_pinned_once():
    ann = open_replica("ann")

    assert isinstance(ann.put_form(WELL, T0_MS), Event)
    assert ann.put_form(WELL, T0_MS) is None
    with pytest.raises(InputError, match="unknown type"):
        ann.put_form({"form": "x", "fields": [["a", "colour"]]}, T0_MS)
