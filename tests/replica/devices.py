"""Devices for the tests of replica and sync: real keys, stores in memory, a synchronous pump."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from meshlog.core.event import NO_PREV, OPEN_DATASET, DatasetId, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Invite, Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import Identity
from meshlog.core.segment import encode_segment
from meshlog.ports.links import Answered, Asked, AskFailed, LinkUp, Peer, PeerSeen
from meshlog.replica import Replica, found, join, join_open
from meshlog.store import SqliteStore
from meshlog.sync.bundle import decode_bundle, encode_bundle
from meshlog.sync.effects import Answer, Ask, Effect, Input, Poke, Shout, WakeAt
from meshlog.sync.messages import Message

T0_MS = 1_750_000_000_000
BATCH = 16_384


def identity(name: str) -> Identity:
    """Return the same identity for the same name."""
    return Identity(Random(name).randbytes(64))


def name_of(replica: Replica) -> Peer:
    """Return a device's name among peers."""
    return Peer(replica.identity.author.hex())


def open_replica(name: str, now_ms: int = T0_MS, store: SqliteStore | None = None) -> Replica:
    """Return a device of the open dataset; another store makes another life of the same device."""
    store = store or SqliteStore()
    who = identity(name)
    if store.get_meta("dataset") is None:
        join_open(store, who, name)
    return Replica(store, who, now_ms, Random(name))


def founder(name: str = "base", now_ms: int = T0_MS) -> Replica:
    """Return the founder's device of a dataset with a roster."""
    store, who = SqliteStore(), identity(name)
    found(store, who, name, "valley", now_ms, Random(f"{name} dataset"))
    return Replica(store, who, now_ms, Random(name))


def invited(
    host: Replica, name: str, role: Role = Role.WRITER, invite: Invite | None = None
) -> Replica:
    """Return a device that joined with an invite and met nobody."""
    store, who = SqliteStore(), identity(name)
    join(store, who, name, invite or host.invite(role))
    return Replica(store, who, T0_MS, Random(name))


def note(replica: Replica, text: str, now_ms: int = T0_MS, record: str = "r") -> Event:
    return replica.append("note.add", {"record_id": record, "text": text}, now_ms)


def texts(replica: Replica) -> set[str]:
    """Return the notes that record "r" shows."""
    record = replica.record("r")
    return {one.text for one in record.notes} if record else set()


def share(source: Replica, target: Replica, now_ms: int = T0_MS) -> None:
    """Hand over all that ``source`` holds, when the target's clock shows ``now_ms``."""
    source.root()
    for feed, heads in sorted(source.frontier().items()):
        target.ingest(source.segments(feed, heads[0], 0, 100_000)[0], now_ms)


def dump(replica: Replica) -> tuple[object, ...]:
    """Return all that a refused segment must not change."""
    store, ledger = replica.store, replica.ledger
    return (
        [*store.scan()],
        [arrival.event.signature for arrival in store.scan()],
        store.heads(),
        [*store.records()],
        dict(ledger.frontier),
        ledger.roster,
        ledger.clock,
        ledger.root,
        ledger.roster_digest,
        ledger.indexed,
        store.get_meta("clock"),
        store.get_meta("incarnation"),
    )


def holds_alike(*replicas: Replica) -> bool:
    """Say whether all hold the same events, show the same rows, and know it."""
    first = replicas[0]
    rows = [*first.store.records()]
    for one in replicas:
        assert dict(one.ledger.frontier) == one.store.heads(), "memory and store agree"
        assert one.view.check() == []
    ids = {arrival.event.id for arrival in first.store.scan()}
    return all(
        one.root() == first.root()
        and {arrival.event.id for arrival in one.store.scan()} == ids
        and [*one.store.records()] == rows
        for one in replicas[1:]
    )


# ── Other people's feeds, written by hand ──


def chain(
    who: Identity,
    feed: FeedKey,
    stamps: Iterable[Stamp | int],
    after: Event | None = None,
    dataset: DatasetId = OPEN_DATASET,
    bodies: Sequence[bytes] = (),
    word: str = "",
) -> list[Event]:
    """Return a signed run; whole numbers count milliseconds from ``T0_MS``."""
    events: list[Event] = []
    for number, when in enumerate(stamps):
        stamp = Stamp(T0_MS + when, 0) if isinstance(when, int) else when
        payload = {"record_id": "r", "text": f"{word}{number}"}
        body = bodies[number] if bodies else encode_body("note.add", payload)
        seq, prev = (after.seq + 1, after.id) if after else (1, NO_PREV)
        after = Event.make(feed, seq, stamp, prev, body, dataset)
        events.append(after)
    events[-1] = events[-1].signed(who)
    return events


@dataclass
class Stranger:
    """Somebody whose segments are made by hand: honest or not."""

    who: Identity
    dataset: DatasetId = OPEN_DATASET
    life: int = 7
    more: Mapping[str, Any] = field(default_factory=dict)
    """Into its opening, e.g. an admission."""

    @property
    def data(self) -> FeedKey:
        return FeedKey(self.who.author, FeedKind.DATA, self.life)

    @property
    def control(self) -> FeedKey:
        return FeedKey(self.who.author, FeedKind.CONTROL, self.life)

    def opening(self, **changed: Any) -> list[Event]:
        payload: dict[str, Any] = {"keys": self.who.keys, "name": "x", "data": self.life}
        body = encode_body("feed.open", payload | dict(self.more) | changed)
        return chain(self.who, self.control, [0], None, self.dataset, [body])

    def run(
        self, stamps: Iterable[Stamp | int], after: Event | None = None, word: str = ""
    ) -> list[Event]:
        return chain(self.who, self.data, stamps, after, self.dataset, word=word)

    def run_of(self, *bodies: bytes) -> list[Event]:
        return chain(self.who, self.data, range(len(bodies)), None, self.dataset, bodies)


def segs(*runs: Sequence[Event]) -> list[bytes]:
    """Return runs as segments, each ending at a cut."""
    return [encode_segment(run) for run in runs]


def forged(run: Sequence[Event], signer: Identity) -> list[Event]:
    """Return a run whose cut somebody else signed."""
    return [*run[:-1], run[-1]._replace(signature=b"").signed(signer)]


# ── The pump ──


class Pump:
    """Carries effects between replicas at once, and counts."""

    def __init__(self, *replicas: Replica, now_ms: int = T0_MS) -> None:
        self.replicas = {name_of(replica): replica for replica in replicas}
        self.now_ms = now_ms
        self.offsets_ms: dict[Peer, int] = {}
        """By how much a clock is off; none where not said."""
        self.asks = 0
        self.sizes: list[int] = []
        """Bytes of every request and answer, in order."""
        self.impostors: dict[Peer, Callable[[bytes], bytes]] = {}
        """Peers that are no replicas: request to answer."""
        self.asks_max = 1_000
        self.tamper: Callable[[bytes], bytes | None] = lambda data: data
        """What becomes of a bundle on its way; None loses it."""
        self.woken: dict[Peer, int] = {}
        self._queue: deque[tuple[Peer, Input]] = deque()
        self._open: dict[int, tuple[Peer, Peer, int]] = {}

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)

    def tell(self, replica: Replica, happened: Input) -> None:
        """Hand over one input and carry out all that follows."""
        self._queue.append((name_of(replica), happened))
        while self._queue:
            peer, now = self._queue.popleft()
            now_ms = self.now_ms + self.offsets_ms.get(peer, 0)
            for effect in self.replicas[peer].handle(now, now_ms):
                self._carry_out(peer, effect)

    def _carry_out(self, us: Peer, effect: Effect) -> None:
        match effect:
            case Ask(peer, exchange, request):
                self.asks += 1
                assert self.asks <= self.asks_max, "a sync without end"
                self.sizes.append(len(request))
                seen = self.tamper(request)
                if peer in self.impostors:
                    answer = self.impostors[peer](request)
                    self._queue.append((us, Answered(peer, exchange, answer)))
                elif peer not in self.replicas or seen is None:
                    self._queue.append((us, AskFailed(peer, exchange, "no answer")))
                else:
                    self._open[self.asks] = (us, peer, exchange)
                    self._queue.append((peer, Asked(us, self.asks, seen)))
            case Answer(token, answer):
                who, peer, exchange = self._open.pop(token)
                self.sizes.append(len(answer))
                back = self.tamper(answer)
                if back is None:
                    self._queue.append((who, AskFailed(peer, exchange, "no answer")))
                else:
                    self._queue.append((who, Answered(peer, exchange, back)))
            case Shout():
                pass  # these devices have links only
            case WakeAt(when_ms):
                self.woken[us] = when_ms

    def meet(self, one: Replica, other: Replica, batch_size_bytes: int = BATCH) -> int:
        """Let one ask the other now, whatever it remembers; return how many asks it took."""
        before = self.asks
        self.now_ms += 3_600_000
        peer = name_of(other)
        for known in one.engine.peers:
            known.due_ms = None
        self.tell(one, LinkUp(peer, batch_size_bytes))
        if self.asks == before:
            self.tell(one, Poke())
        return self.asks - before

    def impostor(self, answer: Callable[[bytes], bytes]) -> Peer:
        """Add a peer that answers as it likes."""
        peer = Peer(f"impostor {len(self.impostors)}")
        self.impostors[peer] = answer
        return peer

    def ask_impostor(self, replica: Replica, peer: Peer) -> int:
        """Let a replica sync with an impostor; return how many asks it took."""
        before = self.asks
        self.now_ms += 3_600_000
        self.tell(replica, PeerSeen(peer, b""))
        state = replica.engine.peers.known(peer)
        if self.asks == before and state is not None and state.due_ms is not None:
            self.now_ms = max(self.now_ms, state.due_ms)
            self.tell(replica, Poke())
        return self.asks - before


def ask(replica: Replica, *messages: Message, now_ms: int = T0_MS) -> list[Message]:
    """Let a peer that proved itself ask; return what it is answered."""
    return decode_bundle(ask_bytes(replica, encode_bundle(messages), now_ms))


def ask_bytes(replica: Replica, request: bytes, now_ms: int = T0_MS) -> bytes:
    effects = replica.handle(Asked(Peer("asker"), 1, request), now_ms)
    (answer,) = [effect.answer for effect in effects if isinstance(effect, Answer)]
    return answer
