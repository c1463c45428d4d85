"""Serving neighbours: who is owed what, what was said lately, and what fits the next packet."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable

from meshlog.core.feed import FeedKey
from meshlog.core.identity import AuthorId
from meshlog.sync.broadcast.owing import Owed, Owing
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX
from meshlog.sync.broadcast.parts import PARTED_SIZE_MAX, split
from meshlog.sync.broadcast.turns import Turns
from meshlog.sync.difference import Push
from meshlog.sync.holdings import Holdings
from meshlog.sync.messages import Message, Part, Run, Seg

HOLD_OFF_SLOTS = 10.0
"""What was said so lately is not said again: whoever asks had asked before. Source: the hold-off
of Floyd et al., A reliable multicast framework, 1997."""

SAID_MAX = 256
"""Feeds whose last saying is remembered."""

REPEATS_MAX = 5
"""How often the same lack is served within ``REPEAT_MS``: a replayed packet drains no budget."""

REPEAT_MS = 600_000
LACKS_MAX = 256
"""Lacks counted at once; more than that were never made up by honest neighbours."""

LOADED_MAX = 16
"""Stretches that are tried for one packet."""

PART_REST_SLOTS = 4
"""After a part its speaker is left alone so long, at most: the next part renews it."""

SEG_OVERHEAD = 3
"""Type byte and length of a SEG in a packet."""

EVENT_SIZE_GUESS = 20.0
"""Bytes of an event on the air, before any was sent. A guess; what was sent corrects it."""


class Repairs:
    """What we owe the neighbourhood, and how it is paid."""

    def __init__(self, author: AuthorId, holdings: Holdings, turns: Turns) -> None:
        """Take who we are, the replica, and when whose turn is."""
        self._author = author
        self._holdings = holdings
        self._turns = turns
        self._owing = Owing()
        self._credit = 0
        self._said: OrderedDict[FeedKey, tuple[int, int]] = OrderedDict()
        """Per feed, up to which seq anybody said it, and until when it is not said again."""
        self._served: OrderedDict[Hashable, int] = OrderedDict()
        self._asked: dict[FeedKey, tuple[int, int]] = {}
        """Per feed, the earliest seq asked for within ``REPEAT_MS``, and the events said since."""
        self._served_until_ms = 0
        self._parts: deque[Part] = deque()
        """Of a segment that no packet carries: they go out one after the other."""
        self._parted: Owed | None = None
        """What they are parts of."""
        self._sent_bytes = EVENT_SIZE_GUESS
        self._sent_events = 1.0

    @property
    def events(self) -> int:
        """Events owed, at most."""
        return self._owing.events

    @property
    def event_size_bytes(self) -> float:
        """What an event took on the air so far, on average."""
        return self._sent_bytes / self._sent_events

    def due(self, now_ms: int) -> Owed | None:
        """Return the most urgent stretch whose time has come."""
        parted = self._parted if self._parts else None
        owed = self._owing.due(now_ms)
        if parted is None or owed is None:
            return parted or owed
        return owed if owed.urgency < parted.urgency else parted

    def next_ms(self) -> int | None:
        """Return when the next stretch is due; None where nothing is owed."""
        return 0 if self._parts else self._owing.next_ms()

    def owe_news(self, pushes: Iterable[Push], due_ms: int, *, urgent: bool) -> None:
        """Owe what we just wrote, unasked."""
        for push in pushes:
            self._owing.owe(push, due_ms, urgent=urgent, fresh=True)

    def owe(
        self,
        pushes: Iterable[Push],
        credit: int,
        now_ms: int,
        *,
        lack: Hashable,
        first: bool = False,
    ) -> None:
        """Owe what a neighbour lacks; what we wrote ourselves, or were asked for, is said first.

        Where it lacks the genesis nothing goes before that: it could take nothing else.

        Args:
            pushes: Stretches that it lacks.
            credit: Packets that it takes now.
            now_ms: Wall time.
            lack: Stands for what it said; the same is not served for ever.
            first: Whether it meant us.
        """
        genesis = self._holdings.genesis_feed()
        pushes = sorted(
            pushes, key=lambda push: (push.feed != genesis, push.tip.seq - push.after_seq)
        )
        if not pushes or not self._may_serve(lack, now_ms):
            return
        first_ms = now_ms + self._turns.first(len(pushes))
        turn_ms = now_ms + self._turns.later(len(pushes))
        is_newcomer = pushes[0].feed == genesis and not pushes[0].after_seq
        for push in pushes:
            if not self._is_new_lack(push):
                continue
            said, until_ms = self._said.get(push.feed, (0, 0))
            is_said = now_ms < until_ms and said > push.after_seq
            if first or (push.feed.author == self._author and not is_newcomer):
                self._owing.owe(push, max(first_ms, until_ms if is_said else 0))
            elif not is_said:
                self._owing.owe(push, turn_ms)
        self._credit = max(self._credit, credit)

    def set_back(self, by_ms: int) -> None:
        """Move with the wall clock; what was said and served lately is forgotten."""
        self._owing.set_back(by_ms)
        self._said.clear()
        self._served_until_ms -= by_ms

    def forgive(self) -> None:
        """Owe nothing but our own news."""
        self._owing.forgive()
        self._parts.clear()

    def overheard(self, runs: Iterable[Run | None], now_ms: int) -> None:
        """Owe no more what a neighbour said."""
        again_ms = now_ms + self._turns.turn()
        for run in runs:
            if run is not None:
                self._note_said(run.feed, run.last, now_ms)
                self._owing.overheard(run.feed, run.first, run.last, again_ms)

    def overheard_part(self, part: Part, now_ms: int) -> None:
        """Leave the parts of a segment to the neighbour who says them."""
        self._parts = deque(
            ours for ours in self._parts if (ours.name, ours.place) != (part.name, part.place)
        )
        rest_ms = min(part.count - part.place, PART_REST_SLOTS) * self._turns.slot_ms
        self._owing.postpone(now_ms + rest_ms + self._turns.turn())

    def load(self, now_ms: int, room: int = CARGO_SIZE_MAX) -> list[Message]:
        """Return the segments of the next packet, the most urgent first; they count as said.

        Args:
            now_ms: Wall time.
            room: Bytes that the packet has left for them.
        """
        cargo: list[Message] = []
        if self._parts and room == CARGO_SIZE_MAX:
            self._credit = max(self._credit, 1)
            return [self._parts.popleft()]
        for item in list(self._owing)[:LOADED_MAX]:
            segments, reached = self._stretch(item.push, room)
            if not segments:
                if room == CARGO_SIZE_MAX:
                    return self._in_parts(item, now_ms)
                continue
            size_bytes = sum(len(segment) + SEG_OVERHEAD for segment in segments)
            self._sent_bytes += size_bytes
            self._sent_events += reached - item.push.after_seq
            self._count(item.push, reached)
            self._note_said(item.push.feed, reached, now_ms)
            self._owing.sent(item, reached)
            cargo += map(Seg, segments)
            room -= size_bytes
        self._credit -= bool(cargo)
        if self._credit <= 0:
            self._owing.forgive()
        return cargo

    def _in_parts(self, item: Owed, now_ms: int) -> list[Message]:
        """Return the first part of what no packet carries; what is too large goes by link."""
        push = item.push
        segments, reached = self._holdings.segments(
            push.feed, push.tip, push.after_seq, 0, compact=True
        )
        if not segments or len(segments[0]) > PARTED_SIZE_MAX:
            self._owing.drop(item)
            return []
        self._parts, self._parted = deque(split(segments[0])), item
        self._note_said(push.feed, reached, now_ms)
        self._count(push, reached)
        self._owing.sent(item, reached)
        return [self._parts.popleft()]

    def _stretch(self, push: Push, room: int) -> tuple[list[bytes], int]:
        """Return what fits ``room`` of a stretch, and the seq reached."""
        most = room - SEG_OVERHEAD
        if most <= 0:
            return [], push.after_seq
        for budget in (most, 0):  # with 0 there is one segment at most
            segments, reached = self._holdings.segments(
                push.feed, push.tip, push.after_seq, budget, compact=True, size_max=most
            )
            if sum(len(segment) + SEG_OVERHEAD for segment in segments) <= room:
                return segments, reached  # none at all, too: then one alone is too large
        return [], push.after_seq

    def _note_said(self, feed: FeedKey, last_seq: int, now_ms: int) -> None:
        self._said[feed] = (last_seq, now_ms + int(HOLD_OFF_SLOTS * self._turns.slot_ms))
        self._said.move_to_end(feed)
        if len(self._said) > SAID_MAX:
            self._said.popitem(last=False)

    def _may_serve(self, lack: Hashable, now_ms: int) -> bool:
        """Say whether this lack was not served too often of late (a replay, a hostile member)."""
        if now_ms >= self._served_until_ms:
            self._served.clear()
            self._asked.clear()
            self._served_until_ms = now_ms + REPEAT_MS
        self._served[lack] = self._served.get(lack, 0) + 1
        if len(self._served) > LACKS_MAX:
            self._served.popitem(last=False)
        return self._served.get(lack, 0) <= REPEATS_MAX

    def _is_new_lack(self, push: Push) -> bool:
        """Say whether a feed was not said so often of late that whoever asks had it by now."""
        first, said = self._asked.get(push.feed, (push.after_seq, 0))
        first = min(first, push.after_seq)
        self._asked[push.feed] = (first, said)
        return said <= REPEATS_MAX * (push.tip.seq - first)

    def _count(self, push: Push, reached: int) -> None:
        first, said = self._asked.get(push.feed, (push.after_seq, 0))
        self._asked[push.feed] = (first, said + reached - push.after_seq)
