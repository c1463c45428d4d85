"""Stations that send each other messages over simulated Reticulum: a world without replicas.

For programs that bring their own idea of what to say. docs/simulator.md has an example.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from meshlog.core.air import LINK_LOAD_MAX, LoRa
from meshlog.sim.agenda import EPOCH_MS, Action, Agenda
from meshlog.sim.airlimit import AirLimit
from meshlog.sim.link import Link
from meshlog.sim.linklayer import LinkLayer
from meshlog.sim.radio import Air, Weather
from meshlog.sim.reach import everybody, heard_if
from meshlog.transport import pacing

WAITING_MAX = 64
"""Messages that wait for one peer; one more is refused."""

DIALS_MAX = 3
"""Links that one message may cost before it has failed."""

IDLE_CLOSE_MS = int(pacing.IDLE_CLOSE_S * 1_000)

Heard = Callable[[str, bytes], None]
Done = Callable[[bool], None]


@dataclass(slots=True)
class _Letter:
    number: int
    payload: bytes
    label: str
    done: Done
    dials: int = 0
    tries: int = 0


@dataclass(slots=True)
class _Route:
    """From one station to another: one letter at a time."""

    src: str
    dst: str
    waiting: deque[_Letter] = field(default_factory=deque)
    letter: _Letter | None = None
    link: Link | None = None
    used_ms: int = 0
    timer: int = 0


class _Post:
    """One station's end of the message layer; a ``LinkUser``."""

    def __init__(self, name: str, cell: Cell) -> None:
        self.name = name
        self.cell = cell
        self.on_message: Heard = lambda _src, _payload: None
        self.on_shout: Heard = lambda _src, _payload: None
        self.on_announce: Heard = lambda _src, _app_data: None
        self.layer: LinkLayer
        self._seen: dict[tuple[str, int], None] = {}

    def shouted(self, src: str, load: bytes) -> None:
        self.on_shout(src, load)

    def announced(self, src: str, app_data: bytes) -> None:
        self.on_announce(src, app_data)

    def established(self, link: Link) -> None:
        self.cell.established(self.name, link)

    def closed(self, link: Link) -> None:
        self.cell.closed(self.name, link)

    def served(self, link: Link, load: bytes, reply: Callable[[bytes], None]) -> None:
        """Requests are not in use here."""

    def told(self, link: Link, number: int, load: bytes) -> None:
        key = link.peer, number
        if key in self._seen:
            return
        self._seen[key] = None
        if len(self._seen) > 16 * WAITING_MAX:
            del self._seen[next(iter(self._seen))]
        self.cell.messages["delivered"] += 1
        self.on_message(link.peer, load)

    def proved(self, link: Link, number: int) -> None:
        self.cell.proved(self.name, link, number)


class Cell:
    """Named stations, one channel, messages.

    Example:
        >>> cell = Cell(seed=1, names=["ann", "bob"], lora=LoRa(sf=8))
        >>> cell.on_message("bob", lambda src, payload: print(src, len(payload)))
        >>> cell.send_message("ann", "bob", b"hello", kind="note")
        >>> cell.run(10_000)
        ann 5
        >>> dict(cell.bytes_on_air)
        {'link-setup': 287, 'note': 198}
    """

    def __init__(
        self,
        seed: int,
        names: Iterable[str],
        lora: LoRa,
        *,
        loss: float = 0.0,
        corruption: float = 0.0,
        hears: Callable[[str, str, int], bool] | None = None,
        duty_cycle: float | None = None,
        idle_close_ms: int | None = IDLE_CLOSE_MS,
        start_ms: int = EPOCH_MS,
    ) -> None:
        """Set stations up; nothing is said yet.

        Args:
            seed: Decides everything.
            names: Of the stations.
            lora: What all of them are set to.
            loss: Probability per reception.
            corruption: Probability per reception of one flipped bit.
            hears: ``hears(src, dst, now_ms)``; None is everybody everybody.
            duty_cycle: What each station keeps to by waiting; None is no limit.
            idle_close_ms: When an unused link is closed; None is never.
            start_ms: Wall time of the beginning.
        """
        self._agenda = Agenda(start_ms)
        self._rng = random.Random(seed)
        reach = everybody if hears is None else heard_if(hears)
        air_rng = random.Random(self._rng.getrandbits(64))
        self.air = Air(self._agenda, air_rng, lora, reach, Weather(loss, corruption))
        self.messages: Counter[str] = Counter()
        """``sent``; ``delivered``, counted by the other end; ``failed`` and ``refused``."""
        self._idle_close_ms = idle_close_ms
        self._numbers = 0
        self._routes: dict[tuple[str, str], _Route] = {}
        self._posts: dict[str, _Post] = {}
        for name in names:
            limit = None if duty_cycle is None else AirLimit(duty_cycle)
            post = self._posts[name] = _Post(name, self)
            station = self.air.station(name, limit)
            new_id = partial(self._rng.getrandbits, 64)
            post.layer = LinkLayer(station, self._agenda, lora, post, new_id)

    # ── what a program does ─────────────────────────────────────────────────────────

    def on_message(self, name: str, callback: Heard) -> None:
        """Let ``callback(src, payload)`` take the messages for a station, each once."""
        self._posts[name].on_message = callback

    def on_shout(self, name: str, callback: Heard) -> None:
        """Let ``callback(src, payload)`` take broadcasts."""
        self._posts[name].on_shout = callback

    def on_announce(self, name: str, callback: Heard) -> None:
        """Let ``callback(src, app_data)`` take announces."""
        self._posts[name].on_announce = callback

    def send_message(
        self, src: str, dst: str | None, payload: bytes, kind: str, done: Done | None = None
    ) -> None:
        """Send a message over a link, repeated until it is proved or given up.

        Args:
            src: Who sends.
            dst: Who gets it; None for every neighbour, one after the other.
            payload: Up to 1,000,000 bytes.
            kind: What its packets are counted as, repetitions and receipts included.
            done: Told once per receiver whether it arrived, as far as the sender knows.
        """
        for name in self.neighbours(src) if dst is None else [dst]:
            self._numbers += 1
            self.messages["sent"] += 1
            letter = _Letter(self._numbers, payload, kind, done or (lambda _ok: None))
            route = self._routes.setdefault((src, name), _Route(src, name))
            if len(route.waiting) >= WAITING_MAX:
                self.messages["refused"] += 1
                letter.done(False)  # noqa: FBT003 - the callback's only argument
                continue
            route.waiting.append(letter)
            self._go_on(route)

    def shout(self, src: str, payload: bytes, kind: str) -> None:
        """Broadcast at most 464 bytes, once."""
        self._posts[src].layer.shout(payload, kind)

    def announce(self, src: str, app_data: bytes) -> None:
        """Announce a station to its neighbours, once."""
        self._posts[src].layer.announce(app_data)

    def neighbours(self, name: str) -> list[str]:
        """Return whom a station hears now, sorted."""
        now_ms = self.now_ms
        others = (other for other in self._posts if other != name)
        return sorted(other for other in others if self.air.reach(other, name, now_ms) is not None)

    # ── time, and what can be seen ──────────────────────────────────────────────────

    def later(self, wait_ms: int, action: Action) -> None:
        """Plan an action of the caller's."""
        self._agenda.later(wait_ms, action)

    def run(self, for_ms: int) -> None:
        """Let ``for_ms`` of virtual time pass."""
        self._agenda.run(for_ms)

    @property
    def now_ms(self) -> int:
        """Wall time of the world, milliseconds since 1970."""
        return self._agenda.now_ms

    @property
    def bytes_on_air(self) -> Counter[str]:
        """Bytes of Reticulum's packets by label.

        The labels are the kinds of messages, ``link-setup``, ``link-close`` and ``announce``.
        """
        return self.air.bytes_on_air

    @property
    def packets_on_air(self) -> Counter[str]:
        """Packets by label."""
        return self.air.packets_on_air

    def airtime_ms(self, name: str) -> int:
        """Return the air that a station used."""
        return self.air.stations[name].airtime_ms

    def is_quiet(self) -> bool:
        """Say whether nothing is on the air, waits for it, or waits for its receipt."""
        return all(station.is_quiet for station in self.air.stations.values()) and not any(
            route.letter or route.waiting for route in self._routes.values()
        )

    # ── the message layer ───────────────────────────────────────────────────────────

    def _go_on(self, route: _Route) -> None:
        if route.letter is None and route.waiting:
            route.letter = route.waiting.popleft()
            if route.link is not None and route.link.active:
                self._try(route)
            else:
                self._dial(route)

    def _dial(self, route: _Route) -> None:
        letter = route.letter
        assert letter is not None, "who dials has something to say"
        if letter.dials >= DIALS_MAX:
            self._end(route, ok=False)
            return
        letter.dials, letter.tries = letter.dials + 1, 0
        route.link = self._posts[route.src].layer.open(route.dst)

    def _try(self, route: _Route) -> None:
        letter, link = route.letter, route.link
        assert letter is not None, "who tries has something to say"
        assert link is not None, "and a link to say it over"
        rate_bps = self.air.lora.bit_rate_bps
        if letter.tries >= pacing.tries_per_link(rate_bps):
            self._posts[route.src].layer.drop(link)
            self._dial(route)
            return
        letter.tries += 1
        route.timer += 1
        rtt_s = link.rtt_ms / 1_000
        wait_s = pacing.quick_try_s(letter.tries, rtt_s, rate_bps)
        if len(letter.payload) > LINK_LOAD_MAX:
            wait_s = 2 * pacing.stall_s(rtt_s, rate_bps) + 32 * len(letter.payload) / rate_bps
            letter.tries = pacing.tries_per_link(rate_bps)  # a stalled Resource costs its link
        self._posts[route.src].layer.message(link, letter.number, letter.payload, letter.label)
        timer = route.timer
        self._agenda.later(int(wait_s * 1_000), lambda: self._late(route, timer))

    def _late(self, route: _Route, timer: int) -> None:
        if route.timer == timer and route.letter is not None:
            self._try(route)

    def _end(self, route: _Route, *, ok: bool) -> None:
        letter, route.letter = route.letter, None
        route.timer += 1
        route.used_ms = self.now_ms
        if route.link is not None and self._idle_close_ms is not None:
            self._agenda.later(self._idle_close_ms, lambda: self._close_idle(route))
        if letter is not None:
            self.messages["failed"] += not ok
            letter.done(ok)
        self._go_on(route)

    def _close_idle(self, route: _Route) -> None:
        link = route.link
        unused_ms = self.now_ms - route.used_ms
        if link is not None and route.letter is None and unused_ms >= (self._idle_close_ms or 0):
            route.link = None
            self._posts[route.src].layer.drop(link)

    # ── what the posts report ───────────────────────────────────────────────────────

    def established(self, name: str, link: Link) -> None:
        """Go on, where the link is ours."""
        route = self._routes.get((name, link.peer))
        if route is not None and route.link is link and route.letter is not None:
            self._try(route)

    def closed(self, name: str, link: Link) -> None:
        """Dial again, where there is something to say."""
        route = self._routes.get((name, link.peer))
        if route is not None and route.link is link:
            route.link = None
            if route.letter is not None:
                self._dial(route)

    def proved(self, name: str, link: Link, number: int) -> None:
        """Take the receipt of a letter."""
        route = self._routes.get((name, link.peer))
        if route is not None and route.letter is not None and route.letter.number == number:
            self._end(route, ok=True)
