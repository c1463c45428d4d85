"""Our replicas in range of each other where nothing is lost: what they say, packet by packet."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from random import Random

from bench.air.inputs import lacking
from bench.air.onair import LORA
from meshlog.core.air import plain_size
from meshlog.core.event import Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.segment import CUT_EVENTS_MAX, encode_segment
from meshlog.errors import MalformedError
from meshlog.ports.links import Medium, Overheard
from meshlog.replica import Replica, found, join
from meshlog.sim.agenda import EPOCH_MS, Agenda
from meshlog.store.sqlite import SqliteStore
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.effects import Input, Shout, WakeAt, Woke
from meshlog.sync.messages import Beacon, Message, Seg, encode_messages

KIND = "bench.tick"
"""Of no form and no record: what is said about events does not depend on what is in them."""

HOUR_MS = 3_600_000
QUIET_MS = 600_000
"""Long enough to agree in and to remember it."""


class Ether:
    """Replicas that hear each other after the time on air of a packet; nothing collides.

    There are no links and no announces.
    """

    def __init__(self, *replicas: Replica) -> None:
        """Take replicas of one dataset."""
        self.said: list[bytes] = []
        """Every packet so far."""
        self._agenda = Agenda(EPOCH_MS + HOUR_MS)
        self._replicas = replicas
        self._wake_ms: dict[int, int] = {}
        self._air = AirKey(replicas[0].dataset, replicas[0].ring)

    @property
    def now_ms(self) -> int:
        """Wall time."""
        return self._agenda.now_ms

    def start(self) -> None:
        """Give all of them the radio."""
        for replica in self._replicas:
            self.tell(replica, Medium(LORA.bit_rate_bps))

    def run(self, for_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; say whether ``until`` came true, looked at every 100 ms."""
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            if until():
                return True
            self._agenda.run(100)
        return until()

    def agrees(self) -> bool:
        """Say whether all hold the same."""
        return len({replica.root() for replica in self._replicas}) == 1

    def tell(self, replica: Replica, happened: Input) -> None:
        """Hand over an input, and carry out what follows."""
        for effect in replica.handle(happened, self.now_ms):
            match effect:
                case Shout(packet):
                    self.said.append(packet)
                    wait_ms = math.ceil(LORA.airtime_ms(plain_size(len(packet))))
                    for other in self._replicas:
                        if other is not replica:
                            hear = partial(self.tell, other, Overheard(packet))
                            self._agenda.later(wait_ms, hear)
                case WakeAt(when_ms):
                    self._wake_ms[id(replica)] = when_ms
                    self._agenda.at(when_ms, partial(self._wake, replica, when_ms))

    def messages(self, packet: bytes) -> list[Message]:
        """Open a packet that was said."""
        try:
            return self._air.open(packet, 0).messages
        except MalformedError as error:
            raise AssertionError("they say what they can read") from error

    def _wake(self, replica: Replica, when_ms: int) -> None:
        if self._wake_ms.get(id(replica)) == when_ms:
            self.tell(replica, Woke())


class Archive:
    """Two devices that hold the feeds of many authors, kept on disk: each use gets copies."""

    def __init__(self, author_count: int, events_each: int) -> None:
        """Write it. Cost: about 0.4 ms an event."""
        self._folder = tempfile.TemporaryDirectory(prefix="meshlog-bench-")
        self._rng = Random(author_count)  # noqa: S311 - a seed must repeat
        self._identities: dict[AuthorId, Identity] = {}
        paths = [self._path("one"), self._path("other")]
        one, other = self._founded(paths[0]), None
        other = self._joined(paths[1], one)
        for _ in range(author_count):
            author = self._joined(None, one)
            author.append_many([(KIND, {"n": n}) for n in range(events_each)], EPOCH_MS)
            _hand_over(author, one)
            _hand_over(author, other)
            author.store.close()
        _hand_over(one, other)
        _hand_over(other, one)
        assert one.root() == other.root(), "both hold all"
        self._names = [one.identity, other.identity]
        self._authors = set(self._identities) - {who.author for who in self._names}
        for replica in (one, other):
            replica.store.close()

    def pair(self, seed: int) -> tuple[Replica, Replica]:
        """Return the two, with nothing in memory."""
        replicas = []
        for number, (name, who) in enumerate(zip(("one", "other"), self._names, strict=True)):
            copy = self._path(f"{name}-copy")
            copy.unlink(missing_ok=True)
            shutil.copyfile(self._path(name), copy)
            luck = Random(2 * seed + number)  # noqa: S311 - a seed must repeat
            replicas.append(Replica(SqliteStore(copy), who, EPOCH_MS, luck))
        one, other = replicas
        _hand_over(one, other)  # a copied store goes on as a new life, and says so in its feeds
        _hand_over(other, one)
        return one, other

    def news(self, replica: Replica, missing: int, rng: Random) -> tuple[list[bytes], list[bytes]]:
        """Return segments of new events that each of the two lacks: see ``inputs.lacking``."""
        feeds = {
            feed.author.hex(): feed
            for feed in replica.frontier()
            if feed.kind is FeedKind.DATA and feed.author in self._authors
        }
        one, other = (
            [
                segment
                for author, count in lacked.items()
                for segment in self._run(replica, feeds[author], count)
            ]
            for lacked in lacking(rng, feeds, missing)
        )
        return one, other

    def _run(self, replica: Replica, feed: FeedKey, count: int) -> list[bytes]:
        [head] = replica.frontier()[feed]
        [last] = replica.store.at(feed, head.seq)
        segments = []
        while count > 0:
            run: list[Event] = []
            for _ in range(min(count, CUT_EVENTS_MAX)):
                stamp = Stamp(last.stamp.wall_ms + 1, 0)
                body = encode_body(KIND, {"n": last.seq})
                last = Event.make(feed, last.seq + 1, stamp, last.id, body, replica.dataset)
                run.append(last)
            run[-1] = run[-1].signed(self._identities[feed.author])
            segments.append(encode_segment(run))
            count -= len(run)
        return segments

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.db"

    def _identity(self) -> Identity:
        who = Identity(self._rng.randbytes(64))
        self._identities[who.author] = who
        return who

    def _founded(self, path: Path) -> Replica:
        store, who = SqliteStore(path), self._identity()
        found(store, who, "one", "bench", EPOCH_MS, self._rng)
        return Replica(store, who, EPOCH_MS, self._rng)

    def _joined(self, path: Path | None, host: Replica) -> Replica:
        store = SqliteStore(path) if path else SqliteStore()
        who = self._identity()
        join(store, who, "member", host.invite(Role.WRITER))
        return Replica(store, who, EPOCH_MS, self._rng)


@cache
def archive(author_count: int, events_each: int) -> Archive:
    """Return the archive of this size, written once."""
    return Archive(author_count, events_each)


def beacon_bytes(seed: int, author_count: int, events_each: int) -> float:
    """Return the payload of the largest packet that two who agree say in an hour."""
    one, other = archive(author_count, events_each).pair(seed)
    ether = Ether(one, other)
    ether.start()
    ether.run(HOUR_MS)
    for replica in (one, other):
        replica.store.close()
    return float(max(map(len, ether.said)))


def find_bytes(
    seed: int, missing: int, author_count: int, events_each: int, *, remembered: bool
) -> float:
    """Return the payload both ways, after the beacons and before the first event.

    Of a packet that carries events already, what is not events counts. Afterwards the two must
    agree, or the measurement fails.

    Args:
        seed: Decides which events are missing, and all waiting.
        missing: Events that one of them lacks, of authors drawn at random.
        author_count: Authors whose feeds both hold.
        events_each: Events of each.
        remembered: Whether the two agreed on what they held before, and were on since.
    """
    held = archive(author_count, events_each)
    one, other = held.pair(seed)
    ether = Ether(one, other)
    lacked = held.news(one, missing, Random(seed))  # noqa: S311 - a seed must repeat
    if remembered:
        ether.start()
        ether.run(QUIET_MS)
        ether.said.clear()
    for replica, segments in zip((other, one), lacked, strict=True):
        replica.ingest(segments, ether.now_ms)
        if remembered:
            ether.tell(replica, Woke())
    if not remembered:
        ether.start()
    assert ether.run(24 * HOUR_MS, ether.agrees), "they agree in the end"
    for replica in (one, other):
        replica.store.close()
    total = 0
    for packet in ether.said:
        messages = ether.messages(packet)
        events = [message for message in messages if isinstance(message, Seg)]
        if not all(isinstance(message, Beacon | Seg) for message in messages):
            total += len(packet) - len(encode_messages(events))
        if events:
            break
    return float(total)


def _hand_over(source: Replica, sink: Replica) -> None:
    source.root()  # signs
    frontier: Mapping[FeedKey, object] = sink.frontier()
    for feed, heads in source.frontier().items():
        if feed in frontier and sink.frontier()[feed] == heads:
            continue
        for head in heads:
            sink.ingest(source.segments(feed, head, 0, 1 << 30)[0], EPOCH_MS)
