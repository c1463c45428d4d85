"""From the shards of a store to segments: every event whose hash still holds, in its place.

An event's hash covers its feed, seq and predecessor, so a guess at these is proved or
disproved by 32 bytes. Rows that say where an event stands are hints and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from meshlog.core.event import CUT_DOMAIN, NO_DATASET, NO_PREV, DatasetId, Event, event_id
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId, Identity, verify
from meshlog.core.roster import read_opening
from meshlog.core.segment import SEGMENT_EVENTS_MAX, encode_segment
from meshlog.tools.repair.shards import RunRow, Shard, Shards
from meshlog.tools.repair.sieve import Sieve

LOOSE_MAX = 1_000
"""Events kept in memory that no guess placed; each is tried on every gap."""

LOST_KEPT_MAX = 100

FLIPPED_BODY_SIZE_MAX = 16_384
"""Bytes of a body of which each bit is tried, with a hash: 3 s for the largest. A choice."""

FLIPPED_HASHED_MAX = 2**34
"""Bytes that are hashed so in all, some 20 s: damage of that size is no flipped bit."""

_HASH_SIZE = 4_096
"""Bytes that a hash counts beside its own: what the call costs."""

GUESSES_MAX = 2_000_000
"""Events that are tried in places that no row says, a hash each, some 10 s in all."""

FLIPPED_CUTS_MAX = 100
"""Signatures of which each bit is tried, some 60 ms each."""

_POSITION_BITS = 48


class Place(NamedTuple):
    """Where an event may stand."""

    feed: FeedKey
    seq: int
    prev: bytes
    position: int


@dataclass(slots=True)
class Salvage:
    """Puts shards together: ``sort`` first, then ``segments`` as often as it takes."""

    sieve: Sieve
    dataset: DatasetId
    identity: Identity | None
    """The store's own, where it is here: signs what its device had not signed yet."""
    events: int = 0
    """Sound, and in their place."""
    lost: int = 0
    """Events that were there and cannot be read."""
    lost_places: list[str] = field(default_factory=list)
    unsigned: int = 0
    """Sound events that no signature covers and that we may not sign: others have them."""
    unsigned_places: list[str] = field(default_factory=list)
    own_heads: dict[FeedKey, int] = field(default_factory=dict)
    """Seq of the last event in each of our feeds, signed by us."""
    _last: Event | None = None
    _maybe: tuple[Shard, Event] | None = None
    """The event before, had its own id been what is damaged."""
    _loose: list[Shard] = field(default_factory=list)
    _tips: dict[bytes, tuple[FeedKey, int, int]] = field(default_factory=dict)
    """Feed, seq and position of events that nothing followed yet."""
    _keys: dict[AuthorId, bytes] = field(default_factory=dict)
    _hashed_left: int = FLIPPED_HASHED_MAX
    _guesses_left: int = GUESSES_MAX
    _cuts_left: int = FLIPPED_CUTS_MAX

    @property
    def shards(self) -> Shards:
        """What was found, and where it belongs."""
        return self.sieve.shards

    def sort(self) -> None:
        """Find every shard's place. Cost: a hash or a few per event."""
        for position in self.shards.positions():
            self._take(position)
        self._settle_maybe(None)
        for position, signature in self.shards.cuts():
            self._mend_cut(position, signature)
        for position in list(self._gaps()):
            if not self._fill(position):
                self.lost += 1
                if len(self.lost_places) < LOST_KEPT_MAX:
                    self.lost_places.append(self._name(position))

    def _gaps(self) -> Iterator[int]:
        for count, position in enumerate(self.shards.gaps()):
            if count >= LOOSE_MAX * LOOSE_MAX:
                return
            yield position

    # ── places ──

    def _take(self, position: int) -> None:
        shards, runs = self.shards.at(position), self.shards.run_at(position)
        if self._take_sound(shards) or self._take_misnamed(shards, runs):
            return
        if any(self._take_rerouted(run, position) for run in runs):
            return
        if self._take_flipped(shards, runs):
            return
        self._settle_maybe(None)
        for shard in shards:
            guess = next((place for run in runs for place in self._in_run(run, position)), None)
            if guess is None or self._maybe is not None:
                self._loosen(shard)
            else:
                self._maybe = (shard, self._event(shard, guess))

    def _take_sound(self, shards: Sequence[Shard]) -> bool:
        """Keep the shards that are what their ids say; return whether any is."""
        found = False
        for shard in shards:
            for place in self._places(shard.position):
                event = self._event(shard, place)
                if event.id == shard.id:
                    self._keep_next(shard, event, place.position)
                    found = True
                    break
        return found

    def _take_misnamed(self, shards: Sequence[Shard], runs: Sequence[RunRow]) -> bool:
        """Keep one whose id is a bit from what it is: it is the id that flipped."""
        for shard, place in self._guesses(shards, runs):
            event = self._event(shard, place)
            if _differ_by_a_bit(event.id, shard.id):
                self._keep_next(shard, event, place.position)
                return True
        return False

    def _take_rerouted(self, run: RunRow, position: int) -> bool:
        """Keep an event as it is where a run goes on on other pages than its row says."""
        best: list[Shard] = []
        sound = 0
        for shards in self.sieve.rerouted(run):
            count = self._sound(run, shards)
            if count > sound:
                best, sound = shards, count
            if count == run.events:
                break
        for one in best:
            self.shards.add(one)
        return bool(best) and self._take_sound(self.shards.at(position))

    def _sound(self, run: RunRow, shards: Sequence[Shard]) -> int:
        """Return how many events of a run are what their ids say, by the ids before them."""
        first = next(self._in_run(run, run.position), None)
        prevs = [first.prev if first else NO_PREV, *(shard.id for shard in shards)]
        return sum(
            self._event(shard, Place(run.feed, run.seq + at, prev, shard.position)).id == shard.id
            for at, (shard, prev) in enumerate(zip(shards, prevs, strict=False))
        )

    def _take_flipped(self, shards: Sequence[Shard], runs: Sequence[RunRow]) -> bool:
        """Keep one that is what its id says with one bit of its body flipped."""
        for shard, place in self._guesses(shards, runs):
            if len(shard.body) > FLIPPED_BODY_SIZE_MAX or self._hashed_left <= 0:
                return False
            self._hashed_left -= 8 * len(shard.body) * (len(shard.body) + _HASH_SIZE)
            dataset = NO_DATASET if shard.id == self.dataset else self.dataset
            for body in _flips(shard.body):
                id_ = event_id(dataset, place.feed, place.seq, shard.stamp, place.prev, body)
                if id_ == shard.id:
                    whole = shard._replace(position=place.position, body=body)
                    whole = whole._replace(row=self.shards.add(whole))
                    self._keep_next(whole, self._event(whole, place), place.position)
                    return True
        return False

    def _guesses(
        self, shards: Sequence[Shard], runs: Sequence[RunRow]
    ) -> Iterator[tuple[Shard, Place]]:
        for shard in shards:
            for run in runs:
                for place in self._in_run(run, shard.position):
                    yield shard, place

    def _loosen(self, shard: Shard) -> None:
        if len(self._loose) < LOOSE_MAX:
            self._loose.append(shard)

    def _settle_maybe(self, following: Event | None) -> None:
        """Decide about an event whose id did not fit: what else names it proves it."""
        if self._maybe is None:
            return
        shard, event = self._maybe
        self._maybe = None
        proven = following is not None and following.prev == event.id
        proven = proven or self.shards.is_head(event.id)
        if proven or self._signatures(event, shard.position):
            self._keep(shard, event, shard.position)
        else:
            self._loosen(shard)

    def _keep_next(self, shard: Shard, event: Event, position: int) -> None:
        self._settle_maybe(event)
        self._keep(shard, event, position)

    def _keep(self, shard: Shard, event: Event, position: int) -> None:
        self.events += 1
        self._last = event
        self._tips.pop(event.prev, None)
        self._tips[event.id] = (event.feed, event.seq, position)
        self.shards.place(shard, event, position)
        if event.feed.kind is FeedKind.CONTROL and event.seq == 1:
            opening = read_opening(event)
            if opening is not None:
                self._keys[event.author] = opening.keys

    def _event(self, shard: Shard, place: Place) -> Event:
        event = Event.make(place.feed, place.seq, shard.stamp, place.prev, shard.body, self.dataset)
        if place.seq == 1 and place.feed.kind is FeedKind.CONTROL and event.id != shard.id:
            genesis = Event.make(place.feed, 1, shard.stamp, place.prev, shard.body, NO_DATASET)
            event = genesis if genesis.id == self.dataset else event
        return event

    def _places(self, position: int) -> Iterator[Place]:
        """Yield where the event at a position may stand, the likeliest first."""
        for run in self.shards.run_at(position):
            yield from self._in_run(run, position)
        if self._last is not None:
            yield Place(self._last.feed, self._last.seq + 1, self._last.id, position)
        yield from self._after_tips()
        for feed in self.shards.feeds.values():
            yield Place(feed, 1, NO_PREV, position)

    def _after_tips(self) -> Iterator[Place]:
        for tip, (feed, seq, at) in list(self._tips.items()):
            self._guesses_left -= 1
            if self._guesses_left <= 0:
                return
            yield Place(feed, seq + 1, tip, at + 1)

    def _in_run(self, run: RunRow, position: int) -> Iterator[Place]:
        seq = run.seq + position - run.position
        if position == run.position and run.base is None:
            yield Place(run.feed, seq, NO_PREV, position)
            return
        before = run.base if position == run.position else position - 1
        assert before is not None, "a run without a base was handled"
        ids: list[bytes] = []
        if self._last is not None and self._last.seq == seq - 1:
            ids.append(self._last.id)
        if self._maybe is not None:
            ids.append(self._maybe[1].id)
        ids += [id_ for id_ in self.shards.ids_at(before) if id_ not in ids]
        for prev in ids:
            yield Place(run.feed, seq, prev, position)

    def _fill(self, position: int) -> bool:
        """Try loose events on a place that stayed empty: a row may have lost its position."""
        if not self._loose or self._guesses_left <= 0:
            return False
        runs = self.shards.run_at(position)
        places = [place for run in runs for place in self._in_run(run, position)]
        for shard in self._loose:
            self._guesses_left -= len(places)
            for place in (*places, *self._after_tips()):
                event = self._event(shard, place)
                if event.id == shard.id:
                    self._loose.remove(shard)
                    self._keep(shard, event, position)
                    return True
        return False

    def _name(self, position: int) -> str:
        for run in self.shards.run_at(position):
            seq = run.seq + position - run.position
            return _named(run.feed, seq, seq)
        told = self.shards.told_of(position)
        return _named(told[0], told[1], told[1]) if told else f"the event at position {position}"

    def _mend_cut(self, position: int, signature: bytes) -> None:
        """Put right a signature that does not hold, where one bit of it or of its place flipped."""
        events = self.shards.placed_at(position)
        if any(self._keys.get(event.author) is None for event in events):
            return
        if self._cuts_left <= 0 or any(self._holds(event, signature) for event in events):
            return
        self._cuts_left -= 1
        old = (position, signature)
        for event in events:
            for flipped in _flips(signature):
                if self._holds(event, flipped):
                    self.shards.move_cut(old, (position, flipped))
                    return
        for bit in range(_POSITION_BITS):
            at = position ^ 1 << bit
            if any(self._holds(event, signature) for event in self.shards.placed_at(at)):
                self.shards.move_cut(old, (at, signature))
                return

    def _holds(self, event: Event, signature: bytes) -> bool:
        keys = self._keys.get(event.author)
        return keys is not None and verify(keys, signature, CUT_DOMAIN + event.id)

    # ── segments ──

    def segments(self) -> Iterator[bytes]:
        """Yield segments, each up to a cut, mostly in the order in which the store took them."""
        self.unsigned, self.unsigned_places = 0, []
        runs: dict[bytes, list[Event]] = {}
        for position, event in self.shards.placed():
            run = [*runs.pop(event.prev, []), event]
            signatures = self._signatures(event, position)
            if not signatures and len(run) < SEGMENT_EVENTS_MAX:
                runs[event.id] = run
            else:
                yield from self._cut(run, signatures)
        for run in runs.values():
            yield from self._cut(run, [])

    def _cut(self, run: Sequence[Event], signatures: Sequence[bytes]) -> Iterator[bytes]:
        last = run[-1]
        own = self.identity is not None and last.author == self.identity.author
        if own and self.identity is not None:
            signatures = signatures or [last.signed(self.identity).signature]
            self.own_heads[last.feed] = max(self.own_heads.get(last.feed, 0), last.seq)
        if not signatures:
            self.unsigned += len(run)
            if len(self.unsigned_places) < LOST_KEPT_MAX:
                self.unsigned_places.append(_named(last.feed, run[0].seq, last.seq))
        for signature in signatures:
            yield encode_segment([*run[:-1], last._replace(signature=signature)])

    def _signatures(self, event: Event, position: int) -> list[bytes]:
        """Return a signature that holds at a position; of somebody unknown, what rows say."""
        found = self.shards.cuts_at(position)
        keys = self._keys.get(event.author)
        if keys is None:
            return found[:1]
        return [signature for signature in found if self._holds(event, signature)][:1]


def _flips(data: bytes) -> Iterator[bytes]:
    """Yield bytes with each bit flipped in turn."""
    flipped = bytearray(data)
    for bit in range(8 * len(data)):
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)
        flipped[bit // 8] ^= 1 << bit % 8


def _differ_by_a_bit(one: bytes, other: bytes) -> bool:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count() == 1


def _named(feed: FeedKey, first: int, last: int) -> str:
    kind = "data" if feed.kind is FeedKind.DATA else "control"
    events = f"event {first}" if first == last else f"events {first}–{last}"
    return f"{events} of the {kind} feed {feed.incarnation:08x} of <{feed.author.hex()[:8]}>"
