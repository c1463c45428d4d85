"""Bugs that are put in on purpose, to see whether the storm notices: each undoes one promise."""

from __future__ import annotations

from collections.abc import Callable, ValuesView
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from meshlog.core.event import NO_PREV, Event, encode_body
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.errors import MalformedError, StoreError
from meshlog.replica import intake, pen, replica, serving
from meshlog.replica.ledger import Ledger
from meshlog.store import file, instance
from meshlog.sync import difference
from meshlog.sync.broadcast import loose
from meshlog.sync.bundle import Bundle
from meshlog.sync.engine import Engine
from meshlog.sync.holdings import Verdict
from meshlog.views import fold, look, rowcheck, standing

Patch = pytest.MonkeyPatch


class Mutation(NamedTuple):
    """A bug, and in which storms to look for it."""

    put_in: Callable[[Patch], None]
    seeds: int = 12
    """It is noticed within so many."""
    lane: str = "links"
    hours: float = 1.0
    fault: str = ""
    """It shows in storms with this one only."""


MUTATIONS: dict[str, Mutation] = {}


def mutation(
    seeds: int = 12, lane: str = "links", hours: float = 1.0, fault: str = ""
) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register what puts a bug in."""

    def register(function: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTATIONS[function.__name__] = Mutation(function, seeds, lane, hours, fault)
        return function

    return register


# ── the way in ──────────────────────────────────────────────────────────────────────


@mutation()
def no_signature_check(patch: Patch) -> None:
    patch.setattr(intake, "is_signed", lambda _chain, _keys: True)


@mutation(seeds=20)
def role_not_checked(patch: Patch) -> None:
    real = intake._member

    def lenient(segment: Any, roster: Any, dataset: Any) -> Any:
        member = roster.members.get(segment.feed.author)
        if segment.feed.kind is FeedKind.DATA and member is not None:
            raised = {**roster.members, member.author: replace(member, role=Role.WRITER)}
            roster = replace(roster, members=raised)
        return real(segment, roster, dataset)

    patch.setattr(intake, "_member", lenient)


@mutation()
def stamps_may_fall(patch: Patch) -> None:
    patch.setattr(intake, "stamps_rise", lambda _stamps, _base: True)


@mutation()
def duplicate_stored_again(patch: Patch) -> None:
    patch.setattr(intake, "_held", lambda _chain, _store, _ledger: 0)


@mutation()
def clock_moved_before_the_verdict(patch: Patch) -> None:
    real = intake.judge

    def judge(segment: Any, store: Any, ledger: Any, dataset: Any) -> Any:
        for stamp in segment.stamps:
            ledger.clock = intake_observe(ledger.clock, Stamp.unpacked(stamp), ledger.horizon_ms)
        return real(segment, store, ledger, dataset)

    patch.setattr(intake, "judge", judge)


def intake_observe(clock: Any, stamp: Any, horizon_ms: int) -> Any:
    """Follow any stamp up to the horizon."""
    return max(clock, stamp) if stamp.wall_ms <= horizon_ms else clock


@mutation(seeds=20, fault="clone")
def a_second_child_is_refused(patch: Patch) -> None:
    real = intake.judge

    def judge(segment: Any, store: Any, ledger: Any, dataset: Any) -> Any:
        verdict, new = real(segment, store, ledger, dataset)
        heads = ledger.frontier.get(segment.feed, ())
        if new and heads and new.prev not in {head.id for head in heads}:
            return Verdict.FORGED, None
        return verdict, new

    patch.setattr(intake, "judge", judge)


# ── memory and disk ─────────────────────────────────────────────────────────────────


@mutation()
def frontier_entry_forgotten_at_start(patch: Patch) -> None:
    real = Ledger.load.__func__  # type: ignore[attr-defined]

    def load(cls: Any, store: Any, dataset: Any) -> Any:
        ledger = real(cls, store, dataset)
        data = [feed for feed in ledger.frontier if feed.kind is FeedKind.DATA]
        for feed in data[-1:]:
            del ledger.frontier[feed]
        return ledger

    patch.setattr(Ledger, "load", classmethod(load))


@mutation(fault="disk")
def nothing_is_synced(patch: Patch) -> None:
    pragmas = tuple(pragma.replace("FULL", "OFF") for pragma in file._WRITER_PRAGMAS)
    patch.setattr(file, "_WRITER_PRAGMAS", pragmas)


@mutation(seeds=20, fault="full_disk")
def acknowledged_though_the_disk_refused(patch: Patch) -> None:
    real = replica.Replica.append_many

    def append_many(self: Any, items: Any, now_ms: int) -> Any:
        try:
            return real(self, items, now_ms)
        except StoreError:
            feed, dataset = self.data_feed, self.dataset
            return [
                Event.make(feed, 1, Stamp(now_ms, 0), NO_PREV, encode_body(*item), dataset)
                for item in items
            ]

    patch.setattr(replica.Replica, "append_many", append_many)


@mutation(seeds=20, fault="restore")
def life_goes_on_after_a_restore(patch: Patch) -> None:
    patch.setattr(instance.Instance, "continues", lambda *_args: True)


# ── the view ────────────────────────────────────────────────────────────────────────


@mutation()
def last_writer_by_arrival(patch: Patch) -> None:
    def by_arrival(items: Any, key: Any = None) -> Any:
        return list(items) if isinstance(items, ValuesView) else sorted(items, key=key)

    patch.setattr(fold, "sorted", by_arrival, raising=False)


@mutation()
def earlier_write_wins(patch: Patch) -> None:
    real = fold.fold_state

    def reversed_fields(record_id: str, told: Any, lineage: Any) -> Any:
        record = real(record_id, told, lineage)
        record.fields = {name: values[::-1] for name, values in record.fields.items()}
        return record

    for module in (fold, look, rowcheck):
        patch.setattr(module, "fold_state", reversed_fields)
    patch.setattr(fold, "_superseded", lambda _ranked, _spots, _before: set())


@mutation()
def only_the_first_record_of_a_batch_is_folded(patch: Patch) -> None:
    real = look.Look.grown

    def grown(self: Any, some: Any) -> Any:
        yield from real(self, some[:1])
        yield from ((record_id, kept.row) for record_id, kept, _ in some[1:])

    patch.setattr(look.Look, "grown", grown)


@mutation()
def a_later_write_supersedes_nothing(patch: Patch) -> None:
    patch.setattr(fold, "_superseded", lambda _ranked, _spots, _before: set())


@mutation()
def the_horizon_is_ignored(patch: Patch) -> None:
    real = standing.Standings.of

    def of(self: Any, event: Any) -> Any:
        stands = real(self, event)
        return standing.Standing.COUNTS if stands is standing.Standing.HELD else stands

    patch.setattr(standing.Standings, "of", of)


# ── membership ──────────────────────────────────────────────────────────────────────


@mutation(fault="revoke")
def writes_after_the_cut_count(patch: Patch) -> None:
    patch.setattr(standing, "is_within", lambda *_args, **_kw: True)


@mutation(fault="revoke")
def a_revoked_device_loses_all_it_wrote(patch: Patch) -> None:
    patch.setattr(standing, "is_within", lambda *_args, **_kw: False)


# ── the air ─────────────────────────────────────────────────────────────────────────


@mutation()
def cuts_are_never_signed(patch: Patch) -> None:
    serve = serving.segments
    patch.setattr(pen, "_cut_ends", lambda _sizes: ())
    patch.setattr(serving, "segments", lambda *of, **how: serve(*of, **how | {"signer": None}))


@mutation()
def all_is_told_again(patch: Patch) -> None:
    """Whoever lacks something is told everything."""

    def compare_feed(holdings: Any, feed: Any, ours: Any, theirs: Any) -> Any:
        found = compare(holdings, feed, ours, theirs)
        found.pushes = [difference.Push(feed, head, 0) for head in ours]
        return found

    compare = difference.compare_feed
    patch.setattr(difference, "compare_feed", compare_feed)


@mutation()
def agreement_forgotten(patch: Patch) -> None:
    real = Engine._agree

    def agree(self: Any, state: Any) -> None:
        real(self, state)
        state.due_ms = self._latest_ms + 60_000

    patch.setattr(Engine, "_agree", agree)


@mutation()
def bad_packet_raises(patch: Patch) -> None:
    patch.setattr(Engine, "_decoded", staticmethod(lambda _state, data: Bundle(data)))


@mutation()
def bad_packets_are_not_counted(patch: Patch) -> None:
    def decoded(_state: Any, data: bytes) -> Any:
        try:
            return Bundle(data)
        except MalformedError:
            return None

    patch.setattr(Engine, "_decoded", staticmethod(decoded))


@mutation()
def a_counter_for_every_bad_packet(patch: Patch) -> None:
    def decoded(state: Any, data: bytes) -> Any:
        try:
            return Bundle(data)
        except MalformedError as error:
            state.counts[f"{error.reason}: {data[:4].hex()}"] += 1
            return None

    patch.setattr(Engine, "_decoded", staticmethod(decoded))


@mutation(seeds=20, lane="radio", fault="hostile")
def a_made_up_segment_is_asked_for_for_ever(patch: Patch) -> None:
    """As it was until a storm found it."""
    patch.setattr(loose, "ASKED_MAX", 1_000_000)


@mutation(lane="radio")
def full_disk_breaks_the_receive_path(patch: Patch) -> None:
    """As it was until a storm found it."""
    real = replica.Replica._too_busy

    def too_busy(self: Any, segments: Any) -> Any:
        return replace(real(self, segments), runs=())

    patch.setattr(replica.Replica, "_too_busy", too_busy)
