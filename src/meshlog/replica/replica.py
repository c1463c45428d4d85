"""One dataset on one device: append, handle, read. The very code that radio and simulator run.

The front door: each method says what it promises, and the file named after the subject does it.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshlog.core.clockfix import Shift
from meshlog.core.credible import span
from meshlog.core.decrees import FIX_KIND, WELCOME_KIND, ClockFix, fix_payload, read_decree
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey
from meshlog.core.form import FORM_KIND, form_body, form_id
from meshlog.core.grant import Invite, Role
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.core.identity import Identity
from meshlog.errors import StoreError
from meshlog.ports.store import Store
from meshlog.replica import horizon, invites, life, membership, mending, rights, twins
from meshlog.replica import seat as seats
from meshlog.replica.desk import Desk
from meshlog.replica.held import Held
from meshlog.replica.intake import begin_batch, take_in, too_busy
from meshlog.replica.keeper import KeyKeeper
from meshlog.replica.welcoming import Host
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.effects import Changed, Effect, Input
from meshlog.sync.engine import Engine
from meshlog.sync.holdings import Ingested, Verdict
from meshlog.sync.policy import Policy
from meshlog.views.live import SETTLE_EVENTS

NEWS_MAX = 16

COPIED = "this store was copied or restored: it goes on as a new life; nothing is lost"


class Replica(Held):
    """A dataset's replica over a store. One thread at a time; time and luck are passed in."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        now_ms: int,
        rng: random.Random,
        policy: Policy | None = None,
    ) -> None:
        """Open the replica that ``store`` holds; the seat must have been taken.

        Args:
            store: Stays the caller's to close.
            identity: This device's; must be the one that the seat was taken with.
            now_ms: Wall time.
            rng: ``random.SystemRandom()`` outside simulations: incarnations come from it.
            policy: How eager to sync.

        Raises:
            StoreError: The store is empty or damaged.
            IdentityError: The store belongs to another identity.
        """
        seat = seats.load(store, identity)
        if seat is None:
            raise StoreError(
                "this store holds no dataset yet: found one with init, or join one with an invite"
            )
        desk = Desk(store, identity, seat)
        keeper = KeyKeeper(identity, seat.dataset, seat.key, store.get_meta("keys") or b"")
        super().__init__(desk, keeper)
        self.refused: Counter[str] = Counter()
        """Segments refused since start, by reason."""
        self.news: deque[str] = deque(maxlen=NEWS_MAX)
        """What its owner must hear of, a sentence each; whoever has said one takes it out."""
        self._rng = rng
        try:
            desk.sign()
        except StoreError as error:  # then at the next opening; what leaves is signed as it does
            desk.trouble = str(error)
        keeper.follow(desk)
        self._host = Host()
        last = desk.ledger.life
        if last is None or not store.continues(last):
            life.begin(desk, self.ring.current, now_ms, rng)
            if last is not None:
                self.news.append(COPIED)
        else:
            desk.keep_clock()
        invites.take_over(desk, now_ms)
        self.news.extend([*twins.news(desk), *store.mended()])
        self.advance_horizon(now_ms)
        air = AirKey(seat.dataset, self.ring)
        self._policy = policy or Policy()
        self.engine = Engine(identity.author, self, air, self._policy, rng)

    # ── writing ─────────────────────────────────────────────────────────────────────

    def append(self, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
        """Write one event; it is durable when this returns. See ``append_many``."""
        return self.append_many([(kind, payload)], now_ms)[0]

    def append_many(
        self, items: Iterable[tuple[str, Mapping[str, Any]]], now_ms: int
    ) -> Sequence[Event]:
        """Write events in one transaction; all are durable when this returns, or none exists.

        A write to a field names the values that it replaces, unless the payload does.

        Args:
            items: Kind and payload of each, in order.
            now_ms: Wall time.

        Raises:
            InputError: A kind or payload cannot be carried or read, or our role does not
                write; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        desk, feed = self._desk, self.data_feed
        rights.may_write(desk.ledger, self.seat)
        self.advance_horizon(now_ms)  # who heard nobody for long still sees what it writes
        said = list(items)
        desk.recent.begin(feed, desk.ledger.horizon_ms, desk.standings)
        with desk.change() as ledger:
            # no need to follow: at the end of a data feed nothing lets other events stand otherwise
            events = desk.pen.write(ledger, feed, said, now_ms, desk.recent)
        desk.recent.accept()
        return events

    def put_form(self, definition: Mapping[str, Any], now_ms: int) -> Event | None:
        """Pin a form, so that everybody can code its records in a few bytes; durable on return.

        Args:
            definition: ``{"form": name, "fields": [[name, type, parameters], …]}``; see
                ``core.form.form_body``.
            now_ms: Wall time.

        Returns:
            The event; None where the form is pinned already, and nothing was written.

        Raises:
            InputError: Not a form, or our role does not write; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        rights.may_write(self.ledger, self.seat)
        pinned = form_id(form_body(definition))
        if any(form.id == pinned for form in self.ledger.forms.forms):
            return None
        return self._say(FORM_KIND, definition, now_ms)

    def decree(self, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
        """Say in our control feed who belongs, or whose clock was off; durable and shown on return.

        Args:
            kind: One of ``core.decrees.DECREE_KINDS``.
            payload: See docs/protocol.md §7.6. ``keeps`` may name more than one decree can.
            now_ms: Wall time.

        Raises:
            InputError: It is not readable, or would not count; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        if kind != FIX_KIND:
            rights.may_decree(self.ledger, self.identity.author, payload)
        with self._desk.change() as ledger:
            event = membership.decree(self._desk, ledger, kind, payload, now_ms)
            said = read_decree(event)
            if isinstance(said, ClockFix):
                rights.may_fix(self.ledger, event.author, said.feed, said.shift)
        self._keeper.follow(self._desk)
        return event

    def _say(self, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
        """Write one control event."""
        with self._desk.change() as ledger:
            [event] = self._desk.say(ledger, [(kind, payload)], now_ms)
        return event

    # ── who belongs, and the key ────────────────────────────────────────────────────

    def rotate(self, heir: Identity, now_ms: int) -> None:
        """Hand our seat to new keys; the store is theirs when this returns, and we are done.

        Open it anew with ``heir``. What we let in stays; open invites of ours lapse.

        Raises:
            InputError: We have no seat to hand over; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        invites.hand_over(self._desk, heir, now_ms, self._rng)

    def invite(self, role: Role, expires_s: int = 0, uses: int = 0) -> Invite:
        """Return a new invite to this dataset.

        Args:
            role: What whoever joins with it may do; at most coordinator.
            expires_s: Seconds since 1970 UTC; 0 never.
            uses: How many devices may join with it; 0 any number.

        Raises:
            InputError: The open dataset needs no invite, or our role does not allow one.
        """
        key = self.ring.current
        return invites.new_invite(self._desk, key, role, expires_s, uses, self._rng)

    def welcome(self, now_ms: int) -> bool:
        """Say whom our invites let in, where we met somebody new; return whether we did."""
        payload = self._host.due(self.ledger, self.identity.author, now_ms)
        if payload is None:
            return False
        try:
            self.decree(WELCOME_KIND, payload, now_ms)
        except StoreError as error:
            self._desk.trouble = str(error)
            return False
        return True

    def rotate_key(self, now_ms: int) -> Event:
        """Give the dataset a new key, sealed to every member that stands; durable on return.

        From now on data go out under it alone. Members find their box in our control feed,
        which is told under the old key, too; who has none hears no data any more.

        Args:
            now_ms: Wall time.

        Raises:
            InputError: The open dataset's key is public, or our role does not allow it.
            StoreError: The disk refused; nothing was written.
        """
        rights.may_rotate_key(self.ledger, self.identity.author)
        return self._keeper.rotate(self._desk, now_ms, self._rng)

    # ── the clock ───────────────────────────────────────────────────────────────────

    def advance_horizon(self, now_ms: int) -> None:
        """Count held events that the clock has reached. Cost: one index look-up when none are."""
        horizon.advance(self._desk, now_ms)

    def mend_clock(self, now_ms: int, *, is_right: bool = False) -> bool:
        """Go on in a new life, with honest stamps, where this device's clock was ahead.

        What it wrote meanwhile gets a ``clock.fix``, so that it counts, and what it writes next
        is later than that. Where it wrote nothing, its horizon alone comes back.

        Args:
            now_ms: Wall time.
            is_right: Whether a person says that the clock is right now; else the neighbours must.

        Returns:
            Whether a new life began.

        Raises:
            StoreError: The disk refused; nothing changed.
        """
        ledger = self.ledger
        if not mending.is_ahead(ledger, now_ms):
            return False
        offset = self.engine.offsets.median(now_ms)
        own = self.identity.author
        if not is_right and not mending.was_ahead(self.store, ledger, own, offset, now_ms):
            return False
        if ledger.clock.wall_ms <= now_ms + SKEW_MS_MAX:
            mending.take_back_horizon(self._desk, now_ms)
            return False
        mending.mend(self._desk, self.ring.current, now_ms, self._rng)
        self.news.append(
            f"this device's clock was {span(ledger.clock.wall_ms - now_ms)} ahead: it goes on as a"
            " new life, and what it wrote meanwhile counts as written now at the latest"
        )
        return True

    def fix_clock(self, feed: FeedKey, shift: Shift, now_ms: int) -> Event:
        """Say by how much the stamps of a stretch of a data feed are off; durable on return.

        Args:
            feed: A data feed that is held.
            shift: Which events, and what is added to their stamps.
            now_ms: Wall time.

        Raises:
            InputError: The feed is not held, or only coordinators may fix it; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        rights.may_fix(self.ledger, self.identity.author, feed, shift)
        return self._say(FIX_KIND, fix_payload(feed, shift), now_ms)

    # ── syncing ─────────────────────────────────────────────────────────────────────

    def handle(self, happened: Input, now_ms: int) -> list[Effect]:
        """React to one input. Never raises because of what a peer sent.

        Raises:
            StoreError: The disk failed while the view followed the clock; nothing changed.
        """
        self.advance_horizon(now_ms)
        self.engine.doubts_clock = mending.is_ahead(self.ledger, now_ms)
        effects = self.engine.handle(happened, now_ms)
        self._keeper.follow(self._desk)
        has_news = self.mend_clock(now_ms)
        has_news |= self.welcome(now_ms)
        if self._keeper.tend(self._desk, now_ms, self._rng) or has_news:
            effects += self.engine.handle(Changed(), now_ms)
        return effects

    def changed(self, now_ms: int) -> list[Effect]:
        """Tell the engine that we appended."""
        return self.handle(Changed(), now_ms)

    def is_urgent(self, kinds: Iterable[str]) -> bool:
        """Say whether an event of these kinds must not wait for company."""
        return not self._policy.urgent_kinds.isdisjoint(kinds)

    def has_linked_twin(self) -> bool:
        """Say whether a peer with a fast link may be two devices; see ``twins.may_be_two``."""
        least = self._policy.fast_batch_size_bytes
        return any(
            state.linked
            and state.batch_size_bytes >= least
            and twins.may_be_two(self.ledger, state.peer)
            for state in self.engine.peers
        )

    def ingest(self, segments: Sequence[bytes], now_ms: int) -> Ingested:
        """See Holdings.ingest. Our own future, or the end of our life, starts a new one of ours.

        A peer shows us either where this device was cloned, or restored without our noticing.
        """
        desk = self._desk
        batch, own_feeds, before = begin_batch(segments), desk.own_feeds, desk.ledger
        own = [desk.ledger.frontier.get(feed, ()) for feed in own_feeds]
        try:
            with desk.change() as ledger:
                take_in(batch, self.store, ledger, self.dataset, now_ms)
                if batch.events:
                    desk.follow(ledger, batch.arrived)
                    ledger.save(self.store)
                after = [ledger.frontier.get(feed, ()) for feed in own_feeds]
                if own != after or life.is_sealed(desk, ledger):
                    life.open_feeds(desk, ledger, self.ring.current, now_ms, self._rng)
                    desk.follow(ledger)
        except StoreError as error:
            desk.trouble = str(error)
            return self._too_busy(segments)
        if twins.may_differ(before, desk.ledger):
            self.news.extend(twins.news(desk))
        self._keeper.follow(self._desk)
        self.refused.update(
            verdict
            for verdict in batch.verdicts
            if verdict not in (Verdict.ACCEPTED, Verdict.DUPLICATE)
        )
        return batch.outcome()

    def _too_busy(self, segments: Sequence[bytes]) -> Ingested:
        self.refused[Verdict.BUSY] += len(segments)
        return too_busy(segments)

    # ── the rows of the view ────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Bring all rows of the view up to date in the store, for who reads them there.

        Nothing that is read here needs it; where it was done lately, reading costs less.
        """
        while self.settle_some():
            pass

    def settle_some(self, events: int = SETTLE_EVENTS) -> bool:
        """Bring up to date what so many events touch; return whether more is left."""
        self.news.extend(self.store.mended())
        return self._desk.settle(events)
