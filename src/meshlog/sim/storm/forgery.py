"""Events that a hostile member makes: some that must be taken, some that nobody may take.

It holds a valid grant and signs with its own key. What it may write, it writes badly: forks on
purpose, stamps from 1970 and 6429, bodies that no view can read. What it may not, it tries.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from meshlog.core.event import NO_PREV, DatasetId, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.form import FORM_KIND
from meshlog.core.grant import Role
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import Identity
from meshlog.core.segment import encode_segment
from meshlog.sim.storm.book import Book
from meshlog.sim.storm.writing import RECORDS

EVENTS_MAX = 60
"""Events of a hostile member: what it may write everybody has to keep."""

LIVES = (0, 7, 2**32 - 1)
"""Incarnations that it opens."""

NEVER_OPENED = 99
CONTROL_KINDS = (
    "member.revoke", "member.readmit", "member.rotate", "dataset.key", "feed.seal", "clock.fix",
    "feed.open", "dataset.genesis", FORM_KIND, "unheard.of",
)  # fmt: skip
DEEP = 40


class Forger:
    """Makes one enemy's events; remembers its own branches."""

    def __init__(
        self,
        identity: Identity,
        dataset: DatasetId,
        admission: bytes,
        role: Role,
        book: Book,
        luck: random.Random,
    ) -> None:
        """Take the enemy's keys and grant; forbidden events go into ``book``."""
        self._identity = identity
        self._dataset = dataset
        self._admission = admission
        self._role = role
        self._book = book
        self._luck = luck
        self._stranger = Identity(luck.randbytes(64))
        self._held: dict[FeedKey, list[Event]] = {}
        self._made = 0

    def segments(self, now_ms: int, victims: Sequence[FeedKey]) -> list[bytes]:
        """Return segments to push: good ones, forked ones, forbidden ones.

        Args:
            now_ms: What an honest stamp would be.
            victims: Feeds of others, to squat on.
        """
        luck = self._luck
        if luck.random() < 0.3:
            return [self._forbidden(now_ms, victims)]
        if self._made >= EVENTS_MAX:
            return [self._again()]
        life = luck.choice(LIVES)
        if FeedKey(self._identity.author, FeedKind.CONTROL, life) not in self._held:
            return [self._opening(life, now_ms)]
        kind = FeedKind.CONTROL if luck.random() < 0.25 else FeedKind.DATA
        feed = FeedKey(self._identity.author, kind, life)
        run = self._grow(feed, luck.randint(1, 4), now_ms)
        if kind is FeedKind.DATA and self._role < Role.WRITER:
            self._forbid(run, "its author may not write")
        return [encode_segment(run)]

    # ── what must be taken ──────────────────────────────────────────────────────────

    def _opening(self, life: int, now_ms: int) -> bytes:
        feed = FeedKey(self._identity.author, FeedKind.CONTROL, life)
        payload = {
            "keys": self._identity.keys,
            "name": "enemy",
            "data": life,
            "admission": self._admission,
        }
        event = self._event(feed, None, Stamp(now_ms, 0), encode_body("feed.open", payload))
        return encode_segment([event])

    def _grow(self, feed: FeedKey, length: int, now_ms: int) -> list[Event]:
        """Return a run that follows some event of ours: not always the last one."""
        held = self._held.get(feed, [])
        base = None
        if held:
            base = held[-1] if self._luck.random() < 0.6 else self._luck.choice(held)
        run: list[Event] = []
        for _ in range(length):
            control = feed.kind is FeedKind.CONTROL
            body = self._control_body() if control else self._body()
            base = self._event(feed, base, self._stamp(base, now_ms), body)
            run.append(base)
        return run

    def _event(self, feed: FeedKey, base: Event | None, stamp: Stamp, body: bytes) -> Event:
        seq, prev = (base.seq + 1, base.id) if base else (1, NO_PREV)
        event = Event.make(feed, seq, stamp, prev, body, self._dataset).signed(self._identity)
        self._held.setdefault(feed, []).append(event)
        self._made += 1
        return event

    def _again(self) -> bytes:
        events = [event for feed in sorted(self._held) for event in self._held[feed]]
        return encode_segment([self._luck.choice(events)])

    def _stamp(self, base: Event | None, now_ms: int) -> Stamp:
        """Return a stamp that rises: honest, from 1970 where that is possible, or far ahead."""
        luck = self._luck
        wall_ms = luck.choice((now_ms, now_ms, 0, now_ms + 3_600_000, WALL_MS_MAX - EVENTS_MAX))
        stamp = Stamp(wall_ms, luck.choice((0, 0, COUNTER_MAX)))
        if base is not None and stamp <= base.stamp:
            return Stamp(base.stamp.wall_ms + 1, 0)
        return stamp

    def _body(self) -> bytes:
        luck = self._luck
        record = f"R-{luck.randrange(RECORDS)}"
        match luck.randrange(10):
            case 0:
                return luck.randbytes(luck.randrange(200))
            case 1:
                return b"\x81" * DEEP + b"\x00"
            case 2:
                return encode_body("note.add", {"record_id": record, "text": "x" * 30_000})
            case 3:
                return encode_body("field.set", {"record_id": 7, "field": [], "value": {}})
            case 4:
                refs = [[luck.randbytes(16), 1, luck.randrange(9)] for _ in range(3)]
                payload = {"record_id": record, "field": "name", "value": "evil", "replaces": refs}
                return encode_body("field.set", payload)
            case 5:
                return encode_body("record.delete", {"record_id": record})
            case 6:
                return encode_body("record.put", {"record_id": record, "fields": {"name": None}})
            case 7:
                return b""
        return encode_body("note.add", {"record_id": record, "text": "hostile but legal"})

    def _control_body(self) -> bytes:
        luck = self._luck
        kind = luck.choice(CONTROL_KINDS)
        values: tuple[object, ...] = (
            0, -1, 2**63 - 1, "", "x" * 100, b"", luck.randbytes(16), luck.randbytes(32),
            luck.randbytes(64), [], {}, None, True, 2.5, [[luck.randbytes(16), 1, 2]],
        )  # fmt: skip
        keys = (
            "author", "feed", "cut", "keys", "name", "data", "admission", "seq", "offset_ms",
            "form", "fields", "hard", "boxes", "first", "last", "id", "reason", "old", "new",
        )  # fmt: skip
        payload = {key: luck.choice(values) for key in luck.sample(keys, luck.randrange(8))}
        return encode_body(kind, payload)

    # ── what nobody may take ────────────────────────────────────────────────────────

    def _forbidden(self, now_ms: int, victims: Sequence[FeedKey]) -> bytes:
        luck = self._luck
        body = encode_body("note.add", {"record_id": "R-0", "text": "forbidden"})
        own = FeedKey(self._identity.author, FeedKind.DATA, luck.choice(LIVES))
        stamp = Stamp(now_ms, luck.randrange(100))
        match luck.randrange(5):
            case 0:
                event = self._drafted(own, self._tip(own), stamp, body).signed(self._stranger)
                return self._forbid([event], "another key signed it")
            case 1 if self._tip(own):
                tip = self._tip(own)
                assert tip is not None, "just seen"
                event = self._drafted(own, tip, tip.stamp, body).signed(self._identity)
                return self._forbid([event], "its stamp does not rise")
            case 2:
                feed = FeedKey(self._identity.author, FeedKind.DATA, NEVER_OPENED)
                event = self._drafted(feed, None, stamp, body).signed(self._identity)
                return self._forbid([event], "its feed was never opened")
            case 3 if victims:
                event = self._drafted(luck.choice(victims), None, stamp, body)
                return self._forbid([event.signed(self._identity)], "it squats on another's feed")
        return self._strangers_opening(stamp)

    def _strangers_opening(self, stamp: Stamp) -> bytes:
        stranger = self._stranger
        feed = FeedKey(stranger.author, FeedKind.CONTROL, 1)
        payload = {"keys": stranger.keys, "name": "x", "data": 1, "admission": self._admission}
        kind = self._luck.choice(("feed.open", "dataset.genesis"))
        event = self._drafted(feed, None, stamp, encode_body(kind, payload)).signed(stranger)
        return self._forbid([event], "its author has another's grant")

    def _drafted(self, feed: FeedKey, base: Event | None, stamp: Stamp, body: bytes) -> Event:
        seq, prev = (base.seq + 1, base.id) if base else (1, NO_PREV)
        return Event.make(feed, seq, stamp, prev, body, self._dataset)

    def _tip(self, feed: FeedKey) -> Event | None:
        held = self._held.get(feed)
        return held[-1] if held else None

    def _forbid(self, run: list[Event], why: str) -> bytes:
        self._book.forbidden.update((event.id, why) for event in run)
        return encode_segment(run)
