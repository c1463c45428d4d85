"""The broadcast lane: what to say to everybody in range, and when to keep silent.

One packet at a time, chosen when it may go out. Everything remembered is a hint; a lost
packet is repaired by the next beacon that does not agree. docs/protocol.md §6.6.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict

from meshlog.core.feed import Frontier
from meshlog.core.identity import AuthorId
from meshlog.errors import MalformedError
from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.broadcast.asking import Asking
from meshlog.sync.broadcast.budget import Budget, Urgency, air_ms
from meshlog.sync.broadcast.hearsay import Hearsay
from meshlog.sync.broadcast.loose import Loose
from meshlog.sync.broadcast.outlook import Outlook
from meshlog.sync.broadcast.packet import BEACON_SIZE, CARGO_SIZE_MAX, SALT_SIZE, AirKey
from meshlog.sync.broadcast.parts import Parts
from meshlog.sync.broadcast.recall import Recall
from meshlog.sync.broadcast.repairs import PART_REST_SLOTS, Repairs
from meshlog.sync.broadcast.stragglers import Stragglers
from meshlog.sync.broadcast.trickle import Trickle
from meshlog.sync.broadcast.turns import Turns
from meshlog.sync.broadcast.wording import Wording
from meshlog.sync.difference import Push, newly
from meshlog.sync.effects import Shout
from meshlog.sync.holdings import Holdings, Verdict
from meshlog.sync.messages import Beacon, Message, Part, Run, Seg, encode_message
from meshlog.sync.offsets import Offsets
from meshlog.sync.policy import Policy
from meshlog.sync.reply import is_control, make_beacon

BEACON_SLOTS = 4
"""Shortest interval of beacons, in slots. A slot is what a full packet takes on the air."""

NAGLE_SLOTS = (2.0, 4.0)
"""Our own news waits this long, by luck, for company and for its turn."""

SHARE_SLOTS = (0.1, 1.2)
"""After somebody's packet we wait so long: the air is everybody's."""

QUIET_SLOTS = (2.0, 5.0)
"""After a segment beacons wait so long: more may come. By luck, or all would end it at once."""

SEEN_MAX = 1_024
"""Packets recognised when they come again, only such as opened: junk pushes none out."""


class Lane:
    """Decides what to broadcast. Owns no clock, no socket and no event."""

    def __init__(
        self,
        author: AuthorId,
        air: AirKey,
        holdings: Holdings,
        policy: Policy,
        rng: random.Random,
        offsets: Offsets,
    ) -> None:
        """Take who we are, the key of our packets, the replica, luck, and where to note times."""
        self._offsets = offsets
        self._air = air
        self._holdings = holdings
        self._policy = policy
        self._rng = rng
        self._turns = Turns(rng, lambda: len(holdings.indexed_feeds()))
        self._budget = Budget(policy.duty_cycle)
        self._trickle = Trickle(rng, redundancy=1)
        self._recall = Recall()
        self._repairs = Repairs(author, holdings, self._turns)
        self._loose = Loose()
        self._parts = Parts()
        self._wording = Wording(holdings, self._loose, self._recall, policy.credit_packets, rng)
        self._stragglers = Stragglers(
            author, holdings, self._turns, air.ring, self._wording.digests
        )
        self._key = air.ring.current
        """With what we sealed so far."""
        self._frontier: Frontier = {}
        self._root = b""
        self._free_ms = 0
        """Until when the air is taken by a packet of ours or a pause after somebody's."""
        self._quiet_ms = 0
        """Until when segments are probably under way: beacons wait."""
        self._asking = Asking(self._turns)
        self._hearsay = Hearsay(
            holdings,
            policy.credit_packets,
            self._recall,
            self._asking,
            self._repairs,
            self._wording,
            self._loose,
        )
        self._spoke_last = False
        """Whether the latest packet was ours: what comes next probably answers it."""
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._heard_ms: int | None = None
        self._agreed_ms: int | None = None
        self.counts: Counter[str] = Counter()
        """Packets and segments heard, by what became of them; the words are few and fixed."""

    # ── what the engine tells and asks ──────────────────────────────────────────────

    @property
    def active(self) -> bool:
        """Whether there is a medium on which broadcasting pays: a slow one."""
        return 0 < self._turns.rate_bps < self._policy.air_fast_bps

    def needs_help(self, now_ms: int) -> bool:
        """Say whether a link should bring what asking over the air does not; ever more rarely."""
        return self._asking.needs_help(now_ms)

    def outlook(self) -> Outlook | None:
        """Return how we and the neighbourhood stand; None while there is no slow medium."""
        if not self.active:
            return None
        return Outlook(
            self._turns.rate_bps,
            self._heard_ms,
            self._agreed_ms,
            self._asking.lacking,
            self._repairs.events,
            self._repairs.event_size_bytes,
            min(self._policy.duty_cycle, 1.0),
            dict(self.counts),
        )

    def medium(self, rate_bps: float, now_ms: int) -> None:
        """Take what packets go over from now on."""
        self._turns.rate_bps = rate_bps
        if self.active:
            self._follow(now_ms)
            self._beacon_soon(now_ms)

    def changed(self, now_ms: int, *, urgent: bool) -> None:
        """Owe the neighbourhood what we just wrote."""
        if self.active:
            wait_ms = 0 if urgent else self._turns.slots(*NAGLE_SLOTS)
            news = self._turn_key(newly(self._frontier, self._holdings.frontier()), now_ms)
            self._repairs.owe_news(news, now_ms + wait_ms, urgent=urgent)

    def set_back(self, by_ms: int) -> None:
        """Take that the wall clock was set back: every time we keep moves with it."""
        self._free_ms -= by_ms
        self._quiet_ms -= by_ms
        self._trickle.set_back(by_ms)
        self._asking.set_back(by_ms)
        self._repairs.set_back(by_ms)
        self._stragglers.set_back(by_ms)
        if self._heard_ms is not None:
            self._heard_ms -= by_ms
        if self._agreed_ms is not None:
            self._agreed_ms -= by_ms

    def poke(self, now_ms: int) -> None:
        """Say where we stand as soon as the air allows."""
        if self.active:
            self._asking.at_once(now_ms)
            self._wording.ask_openly()

    def agreed(self, root: bytes) -> None:
        """Take that a peer stood at ``root`` with us, as a link showed."""
        self._recall.agree(root)

    @property
    def next_ms(self) -> int | None:
        """Return when ``step`` may have something to send; None while there is no medium."""
        if not self.active:
            return None
        times = [max(self._trickle.next_ms, self._quiet_ms)]
        others = (self._asking.due_ms, self._repairs.next_ms(), self._stragglers.next_ms())
        times += [when for when in others if when is not None]
        return max(min(times), self._free_ms)

    # ── sending ─────────────────────────────────────────────────────────────────────

    def step(self, now_ms: int) -> list[Shout]:
        """Return the packet that goes out now, if any."""
        if not self.active:
            return []
        self._follow(now_ms)
        if now_ms < self._free_ms:
            return []
        owed = self._repairs.due(now_ms)
        if owed is not None and owed.urgency <= Urgency.URGENT:
            return self._serve(owed.urgency, now_ms)
        if self._asking.is_due(now_ms):
            return self._say(now_ms)
        if owed is not None:
            return self._serve(owed.urgency, now_ms)
        return self._tell_stragglers(now_ms) or self._beacon_if_due(now_ms)

    def _follow(self, now_ms: int) -> None:
        """Notice where we stand now; news make beacons come soon."""
        root = self._holdings.root()
        if root == self._root:
            return
        before, self._frontier = self._frontier, self._holdings.frontier()
        self._root = root
        self._hearsay.moved()
        self._turn_key(newly(before, self._frontier), now_ms)
        self._recall.stand(root, self._frontier)
        self._beacon_soon(now_ms)

    def _turn_key(self, news: list[Push], now_ms: int) -> list[Push]:
        """Return the news that the current key seals; what turned it goes under the one before."""
        key = self._air.ring.current
        if key == self._key:
            return news
        before, self._key = self._key, key
        self._stragglers.rotated(before, [p for p in news if is_control(p.feed)], now_ms)
        return [push for push in news if not is_control(push.feed)]

    def _beacon_soon(self, now_ms: int) -> None:
        self._trickle.reset(now_ms, BEACON_SLOTS * self._turns.slot_ms)

    def _beacon_if_due(self, now_ms: int) -> list[Shout]:
        soon_ms = self._repairs.next_ms()
        if soon_ms is not None:  # what we are about to send tells more than a beacon would
            patient_ms = now_ms + 2 * self._turns.slot_ms
            self._quiet_ms = max(self._quiet_ms, min(soon_ms, patient_ms) + 1)
        if now_ms < self._quiet_ms or not self._may(BEACON_SIZE, Urgency.NEWEST, now_ms):
            return []
        policy = self._policy
        alone = self._heard_ms is None or now_ms - self._heard_ms > 4 * policy.beacon_max_ms
        pause_ms = policy.beacon_alone_ms if alone else policy.beacon_max_ms
        return [self._beacon(now_ms)] if self._trickle.due(now_ms, pause_ms) else []

    def _serve(self, urgency: Urgency, now_ms: int) -> list[Shout]:
        if not self._may(SHOUT_SIZE_MAX, urgency, now_ms):
            return []
        cargo = self._repairs.load(now_ms)
        if not cargo:
            return []
        self._quiet_ms = now_ms + self._turns.slots(*QUIET_SLOTS)
        return [self._shout(cargo, now_ms)]

    def _tell_stragglers(self, now_ms: int) -> list[Shout]:
        due_ms = self._stragglers.next_ms()
        if due_ms is None or now_ms < due_ms:
            return []
        if not self._may(SHOUT_SIZE_MAX, Urgency.NEWEST, now_ms):
            return []
        told = self._stragglers.next_packet(now_ms)
        if told is None:
            return []
        self.counts["told under an older key"] += 1
        salt = self._rng.randbytes(SALT_SIZE)
        return [self._out(self._air.seal(told.messages, salt, told.key), now_ms)]

    def _say(self, now_ms: int) -> list[Shout]:
        """Make the statement that is due, unless it is not needed any more."""
        if not self._may(SHOUT_SIZE_MAX, Urgency.NEWEST, now_ms):
            return []
        messages = self._hearsay.statement()
        if messages is None:
            return []
        self._asking.said(now_ms)
        self._loose.asked()
        if not messages:
            return [self._beacon(now_ms)]
        room = CARGO_SIZE_MAX - sum(len(encode_message(message)) for message in messages)
        return [self._shout(messages + self._repairs.load(now_ms, room), now_ms)]

    def _beacon(self, now_ms: int) -> Shout:
        return self._out(self._air.pack_beacon(make_beacon(self._holdings, now_ms)), now_ms)

    def _shout(self, messages: list[Message], now_ms: int) -> Shout:
        return self._out(self._air.seal(messages, self._rng.randbytes(SALT_SIZE)), now_ms)

    def _out(self, packet: bytes, now_ms: int) -> Shout:
        cost_ms = air_ms(len(packet), self._turns.rate_bps)
        self._budget.spend(cost_ms)
        self._spoke_last = True
        self._free_ms = now_ms + int(cost_ms) + self._turns.slots(0.1, 0.4)
        return Shout(packet)

    def _may(self, size_bytes: int, urgency: Urgency, now_ms: int) -> bool:
        """Say whether the budget allows a packet now; else look again when it does."""
        rate_bps = self._turns.rate_bps
        wait_ms = self._budget.wait_ms(air_ms(size_bytes, rate_bps), urgency, rate_bps, now_ms)
        self._free_ms = max(self._free_ms, now_ms + wait_ms)
        return wait_ms == 0

    # ── hearing ─────────────────────────────────────────────────────────────────────

    def overheard(self, packet: bytes, now_ms: int) -> None:
        """Take in a packet. Never raises because of what it holds."""
        if not self.active:
            return
        mark = packet[:BEACON_SIZE]
        if mark in self._seen:
            self.counts["repeated"] += 1
            return
        try:
            messages, key = self._air.open(packet, self._holdings.event_count())
        except MalformedError as error:
            self.counts[error.reason] += 1
            if error.reason == "not sealed":
                self._stragglers.strange(now_ms)
            return
        self._seen[mark] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        is_old = key != self._air.ring.current
        if not is_old:
            self._heard_ms = now_ms
        self.counts["under an older key" if is_old else "heard"] += 1
        self._free_ms = max(self._free_ms, now_ms + self._turns.slots(*SHARE_SLOTS))
        self._follow(now_ms)
        segments = [message.data for message in messages if isinstance(message, Seg)]
        segments += self._hear_parts([m for m in messages if isinstance(m, Part)], now_ms)
        runs = self._hear_segments(segments, now_ms)
        if is_old:
            self._stragglers.heard(key, messages, runs, now_ms)
            return
        answers_us, self._spoke_last = self._spoke_last, False
        for message in messages:
            match message:
                case Beacon() if len(packet) == BEACON_SIZE:
                    self._hear_beacon(message, now_ms, answers_us=answers_us)
                case _:
                    self._hearsay.hear(message, now_ms, self._quiet_ms)

    def _hear_parts(self, parts: list[Part], now_ms: int) -> list[bytes]:
        """Keep parts; return the segments that are whole now."""
        found = []
        for part in parts:
            self._repairs.overheard_part(part, now_ms)
            rest_ms = min(part.count - part.place, PART_REST_SLOTS) * self._turns.slot_ms
            self._quiet_ms = max(self._quiet_ms, now_ms + rest_ms)
            self._asking.put_off(now_ms + rest_ms + self._turns.turn())
            if (segment := self._parts.add(part)) is not None:
                found.append(segment)
        return found

    def _hear_segments(self, segments: list[bytes], now_ms: int) -> tuple[Run | None, ...]:
        """Store segments; return what they cover."""
        if not segments:
            return ()
        found = self._holdings.ingest(segments, now_ms)
        self.counts.update(found.verdicts)
        self._repairs.overheard(found.runs, now_ms)
        for run, verdict, data in zip(found.runs, found.verdicts, segments, strict=True):
            if run is not None and verdict is Verdict.GAP:
                self._loose.keep(run, data)
        while found.events and (ready := self._loose.take_ready(self._holdings.frontier())):
            if not self._holdings.ingest(ready, now_ms).events:
                break
        self._quiet_ms = max(self._quiet_ms, now_ms + self._turns.slots(*QUIET_SLOTS))
        if found.events:
            self._asking.got(found.events, now_ms)
        if not {Verdict.GAP, Verdict.BUSY}.isdisjoint(found.verdicts):
            self._asking.soon(now_ms, self._quiet_ms)
        return found.runs

    def _hear_beacon(self, beacon: Beacon, now_ms: int, *, answers_us: bool) -> None:
        self._offsets.heard(None, beacon.time_s, now_ms)
        if self._hearsay.hear_beacon(beacon, now_ms, self._quiet_ms, answers_us=answers_us):
            self._trickle.heard += 1
            self._agreed_ms = now_ms
