"""Late decrees re-evaluate old data: the live view equals the pure fold in every order."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.chain import Chain
from meshlog.core.clockfix import Shift
from meshlog.core.decrees import fix_payload
from meshlog.core.event import NO_PREV, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.identity import AuthorId
from meshlog.replica.ledger import Ledger
from meshlog.replica.refold import stale_records
from meshlog.store.sqlite import SqliteStore
from meshlog.views.live import LiveView
from meshlog.views.materialize import shown
from meshlog.views.standing import Standings
from tests.views.members import Person, found, invited
from tests.views.world import settle

FAR_MS = 2**47 - 1
NAMES = ("base", "cora", "carl", "wim", "wes")


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    """Draw what a founder, two coordinators and two writers did to each other."""
    base = found()
    cora, carl = (invited(base, name, Role.COORDINATOR) for name in ("cora", "carl"))
    wim, wes = invited(cora, "wim"), invited(carl, "wes")
    people = [base, cora, carl, wim, wes]
    who = st.sampled_from(people)
    for _ in range(draw(st.integers(2, 14))):
        person, wall_ms = draw(who), draw(st.integers(1, 20))
        match draw(st.sampled_from(["set", "set", "fork", "revoke", "revoke", "readmit"])):
            case "set":
                person.set(draw(st.sampled_from(["r1", "r2"])), draw(st.integers(0, 9)), wall_ms)
            case "fork":
                earlier = [e for e in person.said if e.feed.kind is FeedKind.DATA]
                if earlier:
                    after = draw(st.sampled_from(earlier))
                    person.set("r1", draw(st.integers(10, 19)), wall_ms, after)
            case "revoke":
                other = draw(who)
                at = {kind: draw(st.integers(0, last.seq)) for kind, last in other.last.items()}
                keeps = [p.author for p in people if draw(st.booleans())]
                person.revoke(other, wall_ms, draw(st.sampled_from(["soft", "hard"])), at, keeps)
            case "readmit":
                _readmit(draw, people, person, wall_ms)
    return [event for person in people for event in person.said]


def _readmit(draw: st.DrawFn, people: list[Person], person: Person, wall_ms: int) -> None:
    revoked = [e for p in people for e in p.said if e.kind == "member.revoke"]
    if not revoked:
        return
    answered = draw(st.sampled_from(revoked))
    other = next(p for p in people if p.author == answered.payload["author"])
    cuts = [
        [int(f.kind), f.incarnation, h.seq, h.id] for f, hs in other.heads().items() for h in hs
    ]
    payload: dict[str, Any] = {"author": other.author, "answers": [answered.id], "cuts": cuts}
    person.decree("member.readmit", payload, wall_ms)


def arrive(events: list[Event], rng: Random) -> list[Event]:
    """Return the events in some order that a store accepts."""
    waiting, held, out = list(events), {NO_PREV}, []
    while waiting:
        event = rng.choice([event for event in waiting if event.prev in held])
        waiting.remove(event)
        held.add(event.id)
        out.append(event)
    return out


@given(stories(), st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 7))
def test_the_live_view_equals_the_pure_fold_in_every_order_of_arrival(
    events: list[Event], seed: int, batch: int, settled: int
):
    dataset = next(e.id for e in events if e.kind == "dataset.genesis")
    events = list({event.id: event for event in events}.values())  # a story may say it twice
    arrived = arrive(events, Random(seed))
    with closing(SqliteStore(":memory:")) as store:
        view = LiveView(store, lambda: ledger.standings(store))
        ledger = Ledger.load(store, dataset)  # type: ignore[arg-type]
        ledger.horizon_ms = FAR_MS
        for start in range(0, len(arrived), batch):
            some = arrived[start : start + batch]
            after = ledger.copy()
            with store.transaction():
                for event in some:
                    store.add(Chain.of([event]), 0)
                    after.advance(Chain.of([event]), store)
                new = [Chain.of([e]) for e in some if e.feed.kind is FeedKind.DATA]
                view.mark(stale_records(store, ledger, after, new))
            ledger = after
            if settled:
                settle(store, view, settled)
            if ledger.roster.founder:
                pure = shown(arrived[: start + batch], dataset, FAR_MS)  # type: ignore[arg-type]
                assert encode_cbor(view.snapshot()) == encode_cbor(pure)
            assert view.check() == []
        assert Ledger.load(store, dataset).decrees == ledger.decrees  # type: ignore[arg-type]
        settle(store, view)
        rows, number = list(store.records()), store.last_change()
        with store.transaction():
            view.rebuild()
        assert (list(store.records()), store.last_change()) == (rows, number)


def test_grounds_differ_for_those_alone_of_whom_something_was_said():
    base = found()
    cora, wim, wes = (
        invited(base, "cora", Role.COORDINATOR),
        invited(base, "wim"),
        invited(base, "wes"),
    )
    for person in (wim, wes):
        person.set("r1", 1, 1)
    people = [base, cora, wim, wes]
    authors = {person.author: person for person in people}
    wims = FeedKey(wim.author, FeedKind.DATA, wim.life)

    def grounds(**quarantine: int) -> dict[AuthorId, bytes]:
        with closing(SqliteStore(":memory:")) as store:
            ledger = Ledger.load(store, base.dataset)
            with store.transaction():
                for event in arrive([e for p in people for e in p.said], Random(1)):
                    store.add(Chain.of([event]), 0)
                    ledger.advance(Chain.of([event]), store)
            rules = ledger.standings(store)
            fenced = {wims: quarantine["seq"]} if quarantine else {}
            told = (ledger.decrees, ledger.roster, rules.lineage, 0, fenced)
            return Standings(*told).grounds(authors)

    def changed(old: dict[AuthorId, bytes], new: dict[AuthorId, bytes]) -> list[Person]:
        return [authors[author] for author in new if new[author] != old[author]]

    plain = grounds()
    assert changed(plain, grounds(seq=3)) == [wim]
    assert changed(grounds(seq=4), grounds(seq=3)) == [wim]
    base.decree("key.none", {}, 5)  # a kind that decides nothing
    assert changed(plain, grounds()) == []
    base.decree("clock.fix", fix_payload(wims, Shift(1, 1, 1_000)), 6)
    fixed = grounds()
    assert changed(plain, fixed) == [wim]
    base.revoke(wes, 7, "soft", {}, [])
    assert changed(fixed, grounds()) == [wes]
