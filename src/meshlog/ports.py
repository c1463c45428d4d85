"""Every seam of the house, on one page.

A port states a promise; the adapters in ``store/``, ``transport/`` and ``sim/`` keep it,
and one contract suite per port (``tests/contracts``) checks every adapter alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, NewType, Protocol, TypeAlias

from meshlog.core.chain import Chain
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import Stamp

Peer = NewType("Peer", str)
"""Name of a neighbour the transport can reach: 32 hex digits of its identity hash over
Reticulum, any string in the simulator. A handle, not a proof."""


SHOUT_SIZE_MAX = 464
"""Bytes of one broadcast packet: what a PLAIN packet of Reticulum carries at its MTU of 500."""

# ── The link lane: exchanges with one peer over a link that proved itself ────────────


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """An announce of a peer that carries our dataset's tag was heard."""

    peer: Peer
    hint: bytes
    """What the peer's announce carried; a hint, never believed."""
    hops: int = 1
    """How far away; broadcast packets reach one hop."""
    is_fast: bool = False
    """Whether the way there begins on a medium so fast that links cost nothing worth saving."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link to ``peer`` proved itself, whoever dialled it."""

    peer: Peer
    batch_size_bytes: int
    """What this link moves in about 30 s: the most that one request or answer may hold."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The last link to ``peer`` is gone; every open exchange with it has failed."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Asked:
    """``peer`` asked; call ``Links.answer(token, ...)`` exactly once."""

    peer: Peer
    token: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the exchange that ``Links.ask`` started under this number."""

    peer: Peer
    exchange: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class AskFailed:
    """The exchange ended without an answer, after the transport's own retries."""

    peer: Peer
    exchange: int
    reason: str
    """Short words for the log: ``"no path"``, ``"timeout"``, ``"link closed"``."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """A broadcast packet was heard, from whomever; hostile until it is opened."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class Medium:
    """What broadcast packets go over from now on."""

    rate_bps: float
    """Raw bits per second of the slowest interface online; 0 where there is none."""


LinkEvent: TypeAlias = (
    PeerSeen | LinkUp | LinkDown | Asked | Answered | AskFailed | Overheard | Medium
)


class Gate(Protocol):
    """Who may talk to us: both ends of a link prove that they hold the dataset's key.

    Pure functions of their arguments; a transport may call them on any thread.
    """

    def tag(self) -> bytes:
        """Return the 8 bytes by which members recognise each other's announces."""

    def prove(self, binding: bytes, *, initiator: bool) -> bytes:
        """Return the proof for one link, at most 160 bytes.

        Args:
            binding: Bytes that only the two ends of this link share (its link id).
            initiator: Whether we opened the link: the two proofs differ.
        """

    def check(self, binding: bytes, proof: bytes, *, initiator: bool) -> Peer | None:
        """Return who the other end is, or None when ``proof`` does not hold.

        Args:
            binding: As in ``prove``.
            proof: What the other end sent; hostile until checked.
            initiator: Whether the *other* end opened the link.
        """


class Links(Protocol):
    """Request and answer with peers in range; opens and proves links on demand.

    Every method returns at once and may be called from one thread; ``deliver`` is called
    on foreign threads and only enqueues.
    """

    peer: Peer
    """Our own name among peers."""

    def start(
        self, gate: Gate, hint: Callable[[], bytes], deliver: Callable[[LinkEvent], None]
    ) -> None:
        """Begin to announce, to listen and to deliver.

        Args:
            gate: Proves and checks every link before it counts.
            hint: At most 64 bytes to carry in announces, asked for at each announce.
            deliver: Takes what happens; must only enqueue.
        """

    def ask(self, peer: Peer, exchange: int, request: bytes) -> None:
        """Send ``request``; exactly one ``Answered`` or ``AskFailed`` follows."""

    def answer(self, token: int, answer: bytes) -> None:
        """Answer an ``Asked``; an unknown or expired token is ignored."""

    def announce(self) -> None:
        """Tell the neighbourhood that we are here, now (rate-limited by the adapter)."""

    def shout(self, packet: bytes) -> None:
        """Broadcast at most ``SHOUT_SIZE_MAX`` bytes to every neighbour, once, unacknowledged."""

    def hang_up(self, peer: Peer) -> None:
        """Close the links to ``peer``; a later ``ask`` opens a new one."""

    def close(self) -> None:
        """Tear down, stop every thread, forget every callback. Idempotent."""


# ── The seed's seam: plain messages ─────────────────────────────────────────────────


class Transport(Protocol):
    """What carries messages between nodes, as the seed defined it; best effort.

    ``meshlog.sim`` and ``meshlog.transport`` have adapters; any object with these four does.
    """

    node_id: str
    """Our own name among peers."""

    def set_receive(self, cb: Callable[[str, bytes], None]) -> None:
        """Register ``cb(peer_id, message)`` for what arrives."""

    def reachable_peers(self) -> list[str]:
        """Return whom a message would reach now."""

    def send(self, peer_id: str, message: bytes) -> None:
        """Send one message; dropped silently where the peer is out of reach."""


# ── The store: one file holds a replica ──────────────────────────────────────────────


class Arrival(NamedTuple):
    """An event as the log holds it."""

    position: int
    """Rises with arrival on this device; means nothing elsewhere."""
    event: Event
    arrived_ms: int
    """Wall time of this device when it was stored."""


class Stretch(Protocol):
    """Events that follow one another in the log and in their feed, as the log keeps them.

    For whoever reads all of it: an object for each event costs more than what is asked of most.
    """

    position: int
    """Of the first; the others follow."""
    feed: FeedKey
    seq: int
    """Of the first."""
    prev: bytes
    """Id of the event before the first; zeros at seq 1."""
    stamps: list[int]
    """Packed."""
    ids: bytes
    """All of them, joined."""
    cuts: dict[int, bytes]
    """Signatures by position."""

    def __len__(self) -> int:
        """Return how many events there are."""

    def all_bodies(self) -> list[bytes]:
        """Return the body of each event."""

    def event(self, index: int) -> Event:
        """Return an event, from 0."""

    def events(self) -> list[Event]:
        """Return all of them."""


class EventLog(Protocol):
    """Every event held, append-only. Reads see what the open transaction wrote."""

    def add(self, chain: Chain, arrived_ms: int) -> None:
        """Write events whose prev is held; none of them is held yet."""

    def sign(self, event: Event) -> None:
        """Keep ``event.signature`` for the held event with its id."""

    def get(self, event_id: bytes) -> Arrival | None:
        """Return the event with this 32-byte id, or None."""

    def at(self, feed: FeedKey, seq: int) -> list[Event]:
        """Return the events at one place of a feed: several where it forked, by id."""

    def branch(self, tip: Head, feed: FeedKey, after_seq: int, limit: int) -> list[Event]:
        """Return up to ``limit`` events of a branch, those just after ``after_seq``, by seq.

        Args:
            tip: The head that the branch ends in.
            feed: The feed it is a branch of.
            after_seq: 0 for the start.
            limit: At most this many.

        Cost: O(result) in a feed without forks, O(branch) with.
        """

    def scan(self, after_position: int = 0) -> Iterator[Arrival]:
        """Yield everything held in arrival order, from just after a position."""

    def stretches(self, kind: FeedKind | None = None, after_position: int = 0) -> Iterator[Stretch]:
        """Yield what is held in arrival order, of one kind of feed or of all. Read only.

        The first may begin before what follows ``after_position``.
        """

    def arrivals(self, positions: Iterable[int]) -> list[Arrival]:
        """Return what is held at these positions, in their order."""


class LogIndex(Protocol):
    """What the log sums up."""

    def heads(self) -> dict[FeedKey, tuple[Head, ...]]:
        """Return the last events of all branches, sorted within a feed."""

    def event_count(self) -> int:
        """Return how many events are held. O(1)."""

    def log_size(self) -> int:
        """Return how many bytes all bodies take as they are kept. O(events), and reads none."""

    def fork_seq(self, feed: FeedKey) -> int | None:
        """Return the seq of the last event before the first fork of a feed; None without one.

        0 where its first events differ already. Cost: O(the feed's length / 64).
        """

    def touching(self, record_id: str, after_position: int = 0) -> list[Arrival]:
        """Return the data events after a position whose body names a record, as they arrived.

        All that touch it are among them, and some that no view can read.
        """

    def touches(self, after_position: int = 0) -> Iterator[tuple[str, Arrival]]:
        """Yield the events after a position, each with the id of the record that it touches.

        The id is empty where the body names none; see ``touching``.
        """

    def touched_between(self, after_ms: int, until_ms: int) -> list[str]:
        """Return ids of records touched by events with after_ms < stamp.wall_ms <= until_ms."""

    def latest_between(self, after_ms: int, until_ms: int) -> Stamp:
        """Return the greatest stamp of data events with after_ms < its wall_ms <= until_ms.

        ``ZERO`` where there is none; whether they touch a record does not matter.
        """

    def latest_stamp(self, until_ms: int, after_position: int = 0) -> Stamp:
        """Return the greatest stamp that an event carries with wall_ms <= until_ms, or ``ZERO``.

        Args:
            until_ms: Latest wall time that is asked for.
            after_position: The events up to here are left out; 0, or a ``checkpoint``.
        """

    def checkpoint(self) -> int:
        """Return the position as of which values that were set later are told to who opens it."""

    def records_of(self, feeds: Iterable[FeedKey]) -> list[str]:
        """Return ids of records that events of these feeds touch, sorted; each once."""


class RecordRow(NamedTuple):
    """One record of the live view, as the store keeps it."""

    record_id: str
    form: str
    visible: bool
    """False where a delete hides it."""
    conflicts: int
    """Fields with more than one live value."""
    state: bytes
    """Everything else, in the encoding of ``views.records``."""


class RecordChange(NamedTuple):
    """The last change of a record's row."""

    number: int
    """Rises from change to change of any row; each number is given once."""
    record_id: str
    row: RecordRow | None
    """As it is now; None where it was dropped."""


class KeptRow(NamedTuple):
    """What the store keeps of a record."""

    row: RecordRow | None
    """None where nothing that counted touched it."""
    position: int | None
    """Up to where the log is in the row; None where it is to be made anew."""


class RecordTable(Protocol):
    """The live view's rows: what the log made of each record, up to a position."""

    def put_records(self, rows: Sequence[tuple[str, RecordRow | None]], position: int) -> None:
        """Keep rows by record id, as the log up to ``position`` makes them; None drops one.

        One that is equal to what was kept is no change.
        """

    def get_record(self, record_id: str) -> KeptRow | None:
        """Return what is kept of a record, or None."""

    def get_records(self, record_ids: Iterable[str]) -> dict[str, KeptRow]:
        """Return what is kept of each of these records."""

    def records(self) -> Iterator[RecordRow]:
        """Yield all rows in order of the record id's UTF-8 bytes, hidden ones included."""

    def mark_stale(self, record_ids: Iterable[str] | None) -> None:
        """Note that these records, or all that have a row, are to be made anew."""

    def stale_records(self, limit: int | None = None) -> list[str]:
        """Return ids of records that are to be made anew; at most ``limit``."""

    def changes(self, after: int, limit: int) -> list[RecordChange]:
        """Return up to ``limit`` last changes with a number above ``after``, lowest first.

        A row that changed twice is there once, with its later number. Cost: O(result).
        """

    def left(self, form: str, after: int, limit: int) -> list[RecordChange]:
        """Return up to ``limit`` records that left a form by a change numbered above ``after``.

        Each is there once, as it is now, with the number of the change by which it last left,
        lowest first; not where it has that form again. Cost: O(result + those).
        """

    def last_change(self) -> int:
        """Return the number of the latest change; 0 before the first. Cost: one index look-up."""


# ── Views of the caller's own: where a reducer has come to ──────────────────────────


class ReductionRow(NamedTuple):
    """How far one reducer has come, as the store keeps it."""

    name: str
    version: int
    """Of the reducer that did it."""
    position: int
    """Log position up to which entries are made."""
    judgement: bytes
    """What decides which entries count, horizon aside: see ``views.reduction.Grounds``."""
    horizon_ms: int
    """Up to which entries count."""


class ReductionEntry(NamedTuple):
    """An event that a reducer takes."""

    stamp: int
    """Packed; the one by which the event is ordered."""
    position: int
    counts: bool
    why: str
    """Why the reducer skipped it; empty where it did not."""


class ReductionTable(Protocol):
    """What is kept for each reducer: how far it came, and the order of its events."""

    def get_reduction(self, name: str) -> ReductionRow | None:
        """Return how far a reducer has come; None where it never ran, or the row is damaged."""

    def put_reduction(self, row: ReductionRow) -> None:
        """Keep how far a reducer has come."""

    def drop_reduction(self, name: str) -> None:
        """Forget a reducer: its row, its entries, its checkpoints."""

    def put_entries(self, name: str, entries: Iterable[ReductionEntry]) -> None:
        """Insert entries, or replace those at their stamp and position."""

    def drop_entries(self, name: str, entries: Iterable[ReductionEntry]) -> None:
        """Drop entries, whatever they say beside stamp and position."""

    def entries(self, name: str, after: int, limit: int) -> list[ReductionEntry]:
        """Return up to ``limit`` entries with a packed stamp above ``after``, by stamp."""


class CheckpointTable(Protocol):
    """States of a reducer at some stamps, so that a late event costs what comes after it."""

    def checkpoints(self, name: str) -> list[tuple[int, int]]:
        """Return packed stamp and number of events of each, by stamp."""

    def get_checkpoint(self, name: str, stamp: int) -> bytes | None:
        """Return the state at a stamp, or None; None, too, where it is damaged."""

    def put_checkpoint(self, name: str, stamp: int, events: int, state: bytes) -> None:
        """Keep the state that the first ``events`` events up to a stamp make."""

    def drop_checkpoints(self, name: str, stamps: Iterable[int]) -> None:
        """Drop the checkpoints at these stamps."""


class Meta(Protocol):
    """Small named values of this replica: clock, horizon, incarnation, dataset, key."""

    def get_meta(self, key: str) -> bytes | None:
        """Return a value, or None."""

    def set_meta(self, key: str, value: bytes) -> None:
        """Keep a value."""

    def set_meta_later(self, key: str, value: bytes) -> None:
        """Keep a value that the log tells, too: it costs nothing now.

        Whoever holds this store reads it at once; another who opens it, as of ``checkpoint``. After
        a kill there is no new checkpoint before such a value was set again: set it early.
        """


class Continuity(Protocol):
    """Whether the store is the one that this device left, or a copy of it."""

    def continues(self, life: int) -> bool:
        """Say whether the store is as the life with this incarnation left it.

        False for a copy, a restored backup, and a file that lost its latest events.

        Raises:
            StoreError: It is a copy that is not whole.
        """

    def begin_life(self, life: int) -> None:
        """Bind the store to where it lies, for a new incarnation, in the open transaction.

        Raises:
            StoreError: The disk refused; the transaction is lost.
        """


class Store(
    EventLog, LogIndex, RecordTable, ReductionTable, CheckpointTable, Meta, Continuity, Protocol
):
    """The file (or the memory) that a replica lives in; one writer at a time."""

    def transaction(self) -> AbstractContextManager[None]:
        """Write all of it or nothing; durable when the block ends.

        Raises:
            StoreError: On exit, when the disk failed: nothing was written.
        """

    def close(self) -> None:
        """Release the file and its lock. Idempotent."""
