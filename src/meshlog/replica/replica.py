"""One dataset on one device: append, handle, read. The very code that radio and simulator run."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshlog.core.clockfix import Shift
from meshlog.core.credible import span
from meshlog.core.decrees import FIX_KIND, WELCOME_KIND, Mode, fix_payload, read_decree
from meshlog.core.event import SEQ_MAX, DatasetId, Event
from meshlog.core.feed import FeedKey, FeedKind, Frontier, Head
from meshlog.core.form import FORM_KIND, form_body, form_id
from meshlog.core.grant import USES_MAX, Invite, Role, admit, check_admission, issue
from meshlog.core.hlc import SKEW_MS_MAX, WALL_MS_MAX, ZERO, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.keylog import KEY_KIND, key_id
from meshlog.core.lives import SEAL_KIND, seal_payload
from meshlog.core.roster import label
from meshlog.errors import InputError, StoreError
from meshlog.ports import Peer, Store
from meshlog.replica import membership, mending, pen, serving
from meshlog.replica import seat as seats
from meshlog.replica.intake import begin_batch, take_in
from meshlog.replica.keeper import KeyKeeper, may_rotate, stands
from meshlog.replica.ledger import Ledger, horizon_for
from meshlog.replica.refold import stale_records
from meshlog.replica.seat import Seat
from meshlog.replica.twins import in_words, report, unreported
from meshlog.replica.welcoming import Host
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.effects import Changed, Effect, Input
from meshlog.sync.engine import Engine, announce_hint
from meshlog.sync.gate import KeyGate
from meshlog.sync.holdings import Ingested, Verdict
from meshlog.sync.keyring import KeyRing
from meshlog.sync.messages import Run
from meshlog.sync.policy import Policy
from meshlog.views.fold import Told
from meshlog.views.live import LiveView
from meshlog.views.records import Record, with_replaces
from meshlog.views.watch import ERA_KEY, ERA_SIZE

_SEED_SIZE = 16
NEWS_MAX = 16

COPIED = "this store was copied or restored: it goes on as a new life; nothing is lost"


class Replica:
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
        self.store = store
        self.seat: Seat = seat
        self.identity = identity
        self.view = LiveView(store)
        self.refused: Counter[str] = Counter()
        """Segments refused since start, by reason."""
        self.trouble = ""
        """What the disk refused last, in one sentence; empty where nothing."""
        self._rng = rng
        self._ledger = Ledger.load(store, seat.dataset)
        self._keeper = KeyKeeper(identity, seat.dataset, seat.key, store.get_meta("keys") or b"")
        self._keeper.follow(self._ledger, store)
        self._host = Host()
        self._signed_root = b""
        life = store.get_meta("incarnation")
        self._life = int.from_bytes(life, "big") if life else None
        self.news: deque[str] = deque(maxlen=NEWS_MAX)
        """What its owner must hear of, a sentence each; whoever has said one takes it out."""
        if self._life is None or not store.continues(self._life):
            self._begin_life(now_ms)
            if life:
                self.news.append(COPIED)
        self._say_new_twins()
        self.advance_horizon(now_ms)
        air = AirKey(seat.dataset, self.ring)
        self._policy = policy or Policy()
        self.engine = Engine(identity.author, self, air, self._policy, rng)

    # ── writing ─────────────────────────────────────────────────────────────────────

    @property
    def dataset(self) -> DatasetId:
        """The dataset's 32-byte id."""
        return self.seat.dataset

    @property
    def data_feed(self) -> FeedKey:
        """The feed that ``append`` writes to."""
        return FeedKey(self.identity.author, FeedKind.DATA, self._life or 0)

    @property
    def control_feed(self) -> FeedKey:
        """The feed that says who we are."""
        return FeedKey(self.identity.author, FeedKind.CONTROL, self._life or 0)

    @property
    def _own_feeds(self) -> tuple[FeedKey, FeedKey]:
        return (self.control_feed, self.data_feed)

    def append(self, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
        """Write one event; it is durable when this returns. See ``append_many``."""
        return self.append_many([(kind, payload)], now_ms)[0]

    def append_many(
        self, items: Iterable[tuple[str, Mapping[str, Any]]], now_ms: int
    ) -> list[Event]:
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
        self._check_may_write()
        self.advance_horizon(now_ms)  # who heard nobody for long still sees what it writes
        feed = self.data_feed
        named = [(kind, self._with_replaces(kind, payload, feed)) for kind, payload in items]
        ledger = self._ledger.copy()
        # a value from a clock ahead of ours may have come before we believed its stamp
        ledger.clock = max([ledger.clock, *map(self._latest_seen, named)])
        with self.store.transaction():
            events, told = pen.write(self.store, ledger, feed, self.dataset, named, now_ms)
            self._refold(ledger, told, [(event.id, event.feed) for event in events])
        self._ledger = ledger
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
        self._check_may_write()
        body = form_body(definition)
        if any(form.id == form_id(body) for form in self._ledger.forms.forms):
            return None
        ledger = self._ledger.copy()
        with self.store.transaction():
            events, _ = pen.write(
                self.store,
                ledger,
                self.control_feed,
                self.dataset,
                [(FORM_KIND, definition)],
                now_ms,
            )
        self._ledger = ledger
        return events[0]

    def decree(self, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
        """Say in our control feed who belongs no more, or again; durable and shown on return.

        Args:
            kind: One of ``core.decrees.DECREE_KINDS``.
            payload: See docs/protocol.md §7.6.
            now_ms: Wall time.

        Raises:
            InputError: It is not readable, or would not count; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        membership.may_decree(self._ledger, self.identity.author, payload)
        ledger = self._ledger.copy()
        with self.store.transaction():
            event = self._say(ledger, kind, payload, now_ms)
            self._refold(ledger)
        self._ledger = ledger
        self._follow_keys()
        return event

    def _say(self, ledger: Ledger, kind: str, payload: Mapping[str, Any], now_ms: int) -> Event:
        """Write a decree, inside a transaction."""
        items = [(kind, payload)]
        [event], _ = pen.write(self.store, ledger, self.control_feed, self.dataset, items, now_ms)
        if read_decree(event) is None:
            raise InputError(f"{kind}: this is no decree that others could read")
        return event

    def rotate(self, heir: Identity, now_ms: int) -> None:
        """Hand our seat to new keys; the store is theirs when this returns, and we are done.

        Open it anew with ``heir``. What we let in stays; open invites of ours lapse.

        Raises:
            InputError: We have no seat to hand over; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        us, roster = self.identity.author, self._ledger.roster
        membership.may_decree(self._ledger, us, {"author": us})
        if self._ledger.decrees.removals.get(us) or us in self._ledger.decrees.lapsed:
            raise InputError("this device was revoked: it has no seat to hand over")
        own, seed = roster.members[us], self._rng.randbytes(_SEED_SIZE)
        role = min(own.role, Role.COORDINATOR)
        grant = issue(self.identity, own.admission, self.dataset, seed, role, is_succession=True)
        admission = admit(grant, seed, heir.author, self.dataset)
        if check_admission(admission, heir.author, self.dataset, roster.founder) is None:
            raise InputError("too many grants lead to this device: join anew with an invite")
        self.root()  # signs all that we wrote: nobody can afterwards
        if self.trouble:
            raise StoreError(self.trouble)
        said = membership.revocation(self.store, self._ledger, us, Mode.SOFT, membership.Since())
        ledger = self._ledger.copy()
        with self.store.transaction():
            payload = {"to": heir.author, "cuts": said["cuts"], "keeps": said["keeps"]}
            self._say(ledger, "member.rotate", payload, now_ms)
            pen.sign_cuts(self.store, ledger, self.identity, self.control_feed)
            seats.hand_over(self.store, heir, admission)
            self._refold(ledger)
        self._ledger = ledger

    def invite(self, role: Role, expires_s: int = 0, uses: int = 0) -> Invite:
        """Return a new invite to this dataset.

        Args:
            role: What whoever joins with it may do; at most coordinator.
            expires_s: Seconds since 1970 UTC; 0 never.
            uses: How many devices may join with it; 0 any number.

        Raises:
            InputError: The open dataset needs no invite, or our role does not allow one.
        """
        roster = self._ledger.roster
        if roster.is_open:
            raise InputError("the open dataset needs no invite: everybody is a member")
        own = roster.members.get(self.identity.author)
        if own is None or own.role < Role.COORDINATOR:
            raise InputError("only the founder and coordinators can invite")
        if role > Role.COORDINATOR or not 0 <= expires_s < 2**32:
            raise InputError("an invite is for a role up to coordinator, until a date before 2106")
        if not 0 <= uses <= USES_MAX:
            raise InputError(f"an invite is for 1 to {USES_MAX} devices")
        if (
            self._ledger.decrees.removals.get(own.author)
            or own.author in self._ledger.decrees.lapsed
        ):
            raise InputError("this device was revoked: nobody it lets in would count")
        seed = self._rng.randbytes(_SEED_SIZE)
        grant = issue(self.identity, own.admission, self.dataset, seed, role, expires_s, uses=uses)
        proof = admit(grant, seed, self.identity.author, self.dataset)
        if check_admission(proof, self.identity.author, self.dataset, roster.founder) is None:
            raise InputError("too many invites lead to this device: let the founder invite")
        return Invite(self.dataset, self.ring.current, seed, grant, roster.name)

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
        if self._ledger.roster.is_open:
            raise InputError("the open dataset's key is public: there is nothing to rotate")
        if not may_rotate(self._ledger, self.identity.author):
            raise InputError("only the founder and coordinators can rotate the dataset's key")
        return self._write_key(self._keeper.rotation(self._ledger, self._rng), now_ms)

    def _write_key(self, payload: Mapping[str, Any], now_ms: int) -> Event:
        ledger = self._ledger.copy()
        items = [(KEY_KIND, payload)]
        with self.store.transaction():
            events, _ = pen.write(
                self.store, ledger, self.control_feed, self.dataset, items, now_ms
            )
        self._ledger = ledger
        self._follow_keys()
        return events[0]

    def _follow_keys(self) -> None:
        """Turn to the newest key that we can open; the copy in the store is a cache (I7)."""
        if self._keeper.follow(self._ledger, self.store):
            try:
                with self.store.transaction():
                    self.store.set_meta("keys", self._keeper.packed)
            except StoreError as error:
                self.trouble = str(error)

    def _tend_keys(self, now_ms: int) -> bool:
        """As a coordinator, hand the key to who lacks it; return whether we did."""
        payload = self._keeper.due(self._ledger, now_ms, self._rng)
        if payload is None:
            return False
        try:
            self._write_key(payload, now_ms)
        except StoreError as error:
            self.trouble = str(error)
            return False
        return True

    def welcome(self, now_ms: int) -> bool:
        """Say whom our invites let in, where we met somebody new; return whether we did."""
        payload = self._host.due(self._ledger, self.identity.author, now_ms)
        if payload is None:
            return False
        try:
            self.decree(WELCOME_KIND, payload, now_ms)
        except StoreError as error:
            self.trouble = str(error)
            return False
        return True

    def _with_replaces(self, kind: str, payload: object, feed: FeedKey) -> Mapping[str, Any]:
        if not isinstance(payload, Mapping):
            raise InputError("a payload is a mapping with text keys")
        record_id = payload.get("record_id")
        record = self.view.get(record_id) if isinstance(record_id, str) else None
        return with_replaces(kind, payload, record, feed)

    def _latest_seen(self, item: tuple[str, Mapping[str, Any]]) -> Stamp:
        """Return the latest stamp in the record that a write replaces something of."""
        if "replaces" not in item[1]:
            return ZERO
        record_id = item[1].get("record_id")
        record = self.view.get(record_id) if isinstance(record_id, str) else None
        return record.latest if record else ZERO

    def _refold(
        self,
        ledger: Ledger,
        told: Sequence[Told] = (),
        arrived: Iterable[tuple[bytes, FeedKey]] = (),
        stale: Iterable[str] = (),
    ) -> None:
        """Bring the view up to date with what ``ledger`` has and ours has not yet."""
        stale = [*stale, *stale_records(self.store, self._ledger, ledger, arrived)]
        standings = ledger.standings(self.store)
        self.view.applied(told, stale, standings)
        if ledger.decrees.fixes != self._ledger.decrees.fixes:
            records = [*(item.change.record_id for item in told), *stale]
            ledger.clock = max(ledger.clock, self.view.latest(records, standings))

    def _check_may_write(self) -> None:
        member = self._ledger.roster.members.get(self.identity.author)
        role = member.role if member else self.seat.role
        if role < Role.WRITER:
            raise InputError(f"this device joined as {role.name.lower()}: it reads and relays only")
        removals = self._ledger.decrees.removals.get(self.identity.author)
        if removals:
            by = label(self._ledger.roster, removals[-1].by)
            raise InputError(
                f"this device was revoked by {by}, so what it writes would not count: ask for a new"
                " invite and join with it in a new store"
            )
        if lapse := self._ledger.decrees.lapsed.get(self.identity.author):
            raise InputError(f"what this device writes would not count: {lapse}")

    def _begin_life(self, now_ms: int) -> None:
        ledger = self._ledger.copy()
        with self.store.transaction():
            if self._life is not None:  # a copy: what it wrote last may wait for a signature
                self._sign_tails(ledger)
            life = self._write_life(ledger, now_ms)
            self.store.set_meta(ERA_KEY, life.to_bytes(ERA_SIZE, "big"))
            self._refold(ledger)
        self._ledger, self._life = ledger, life

    def _write_life(self, ledger: Ledger, now_ms: int) -> int:
        """Open feeds under a new random incarnation and seal the last, in a transaction.

        A seal that our twin wrote is as good as ours.
        """
        life = self._rng.getrandbits(32)
        opening = {"keys": self.identity.keys, "name": self.seat.name, "data": life}
        if self.seat.admission:
            opening["admission"] = self.seat.admission
            opening["key"] = key_id(self.ring.current)
        feed = FeedKey(self.identity.author, FeedKind.CONTROL, life)
        self.store.begin_life(life)
        self.store.set_meta("incarnation", life.to_bytes(4, "big"))
        if self.seat.genesis and not ledger.roster.founder:
            genesis = self.seat.genesis_event().signed(self.identity)
            pen.add(self.store, ledger, [genesis], now_ms)
        items: list[tuple[str, Mapping[str, Any]]] = [("feed.open", opening)]
        if self._life is not None and not self._is_sealed(ledger):
            heads = (ledger.frontier.get(own, ()) for own in (self.control_feed, self.data_feed))
            items.append((SEAL_KIND, seal_payload(self._life, *heads)))
        pen.write(self.store, ledger, feed, self.dataset, items, now_ms)
        return life

    def _is_sealed(self, ledger: Ledger) -> bool:
        """Say whether we, or a twin of ours, ended the life that we live."""
        return self._life in ledger.seals.get(self.identity.author, frozenset())

    def _say_new_twins(self) -> None:
        """Tell our owner of identities that live twice, each once, restarts included."""
        news = unreported(self._ledger, self.store)
        if not news:
            return
        try:
            with self.store.transaction():
                report(news, self.store)
        except StoreError as error:
            self.trouble = str(error)  # said again at the next start
        self.news.extend(in_words(self._ledger.roster, twin, self.identity.author) for twin in news)

    # ── syncing ─────────────────────────────────────────────────────────────────────

    def gate(self) -> KeyGate:
        """Return the proof of our links: for the transport."""
        return KeyGate(self.identity, self.dataset, self.ring, self.stands)

    @property
    def ring(self) -> KeyRing:
        """The dataset's keys that we hold, the newest first."""
        return self._keeper.ring

    def stands(self, author: AuthorId) -> bool | None:
        """Return True for a member, False for one that was removed, None for anybody else."""
        return stands(self._ledger, author)

    def may_hear(self, peer: Peer) -> bool:
        """See Holdings.may_hear. A member is told by its name, a newcomer by the key it proved."""
        try:
            known = self.stands(AuthorId(bytes.fromhex(peer)))
        except ValueError:  # a name of the simulator's or of a program's
            known = None
        return self.ring.is_current(peer) if known is None else known

    def handle(self, happened: Input, now_ms: int) -> list[Effect]:
        """React to one input. Never raises because of what a peer sent.

        Raises:
            StoreError: The disk failed while the view followed the clock; nothing changed.
        """
        self.advance_horizon(now_ms)
        effects = self.engine.handle(happened, now_ms)
        self._follow_keys()
        has_news = self.mend_clock(now_ms)
        has_news |= self.welcome(now_ms)
        if self._tend_keys(now_ms) or has_news:
            effects += self.engine.handle(Changed(), now_ms)
        return effects

    def is_urgent(self, kinds: Iterable[str]) -> bool:
        """Say whether an event of these kinds must not wait for company."""
        return not self._policy.urgent_kinds.isdisjoint(kinds)

    def changed(self, now_ms: int) -> list[Effect]:
        """Tell the engine that we appended."""
        return self.handle(Changed(), now_ms)

    def advance_horizon(self, now_ms: int) -> None:
        """Count held events that the clock has reached. Cost: one index look-up when none are."""
        ledger, target_ms = self._ledger, horizon_for(now_ms)
        if target_ms <= ledger.horizon_ms:
            return
        released = self.store.touched_between(ledger.horizon_ms, target_ms)
        if ledger.due_ms(self.store) <= target_ms:
            released += self.store.records_of(ledger.fixed_feeds())
        ledger = ledger.copy()
        ledger.horizon_ms = target_ms
        if released:
            with self.store.transaction():
                standings = ledger.standings(self.store)
                self.view.refold(released, standings)
                ledger.clock = max(ledger.clock, self.view.latest(released, standings))
                ledger.save(self.store)
        self._ledger = ledger

    def mend_clock(self, now_ms: int, *, is_right: bool = False) -> bool:
        """Go on in a new life, with honest stamps, where this device's clock was ahead.

        What it wrote meanwhile gets a ``clock.fix``, so that it counts, and what it writes next
        is later than that.

        Args:
            now_ms: Wall time.
            is_right: Whether a person says that the clock is right now; else the neighbours must.

        Returns:
            Whether a new life began.

        Raises:
            StoreError: The disk refused; nothing changed.
        """
        ledger, author = self._ledger, self.identity.author
        if ledger.clock.wall_ms <= now_ms + SKEW_MS_MAX:
            return False
        offset = self.engine.offsets.median(now_ms)
        if not is_right and not mending.was_ahead(self.store, ledger, author, offset, now_ms):
            return False
        self.root()  # the old feeds end signed
        if self._signed_root != ledger.root:
            return False
        ledger = ledger.copy()
        with self.store.transaction():
            fixes = mending.own_fixes(self.store, ledger, author, now_ms)
            latest, horizon_ms = self.store.latest_stamp(horizon_for(now_ms)), ledger.horizon_ms
            ledger.set_back(max(latest, Stamp(now_ms, 0)), now_ms)
            life = self._write_life(ledger, now_ms)
            feed = FeedKey(author, FeedKind.CONTROL, life)
            items = [(FIX_KIND, fix_payload(*fix)) for fix in fixes]
            pen.write(self.store, ledger, feed, self.dataset, items, now_ms)
            stale = self.store.touched_between(ledger.horizon_ms, horizon_ms)
            stale += self.store.records_of(ledger.fixed_feeds())
            self._refold(ledger, stale=stale)
            ledger.save(self.store)
        was_ms = self._ledger.clock.wall_ms
        self._ledger, self._life = ledger, life
        self.news.append(
            f"this device's clock was {span(was_ms - now_ms)} ahead: it goes on as a new life, and"
            " what it wrote meanwhile counts as written now at the latest"
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
        self._check_fix(feed)
        if not 1 <= shift.first_seq <= shift.last_seq <= SEQ_MAX:
            raise InputError(f"events are a range of whole numbers from 1 to {SEQ_MAX}")
        if abs(shift.offset_ms) > WALL_MS_MAX:
            raise InputError("that is more than there are stamps for")
        item = (FIX_KIND, fix_payload(feed, shift))
        ledger = self._ledger.copy()
        with self.store.transaction():
            events, _ = pen.write(
                self.store, ledger, self.control_feed, self.dataset, [item], now_ms
            )
            self._refold(ledger)
            ledger.save(self.store)
        self._ledger = ledger
        return events[0]

    def _check_fix(self, feed: FeedKey) -> None:
        own = self._ledger.roster.members.get(self.identity.author)
        is_judge = own is not None and own.role >= Role.COORDINATOR
        if feed.author != self.identity.author and (self._ledger.roster.is_open or not is_judge):
            raise InputError("only founder and coordinators can fix another device's clock")
        if feed.kind is not FeedKind.DATA or feed not in self._ledger.frontier:
            raise InputError("nothing that this device wrote is held here: sync first")

    # ── Holdings: what the engine sees ──────────────────────────────────────────────

    def root(self) -> bytes:
        """See Holdings.root. Where the disk refuses a signature, its events stay here for now."""
        if self._signed_root != self._ledger.root:
            try:
                self._sign_cuts()
            except StoreError as error:
                self.trouble = str(error)
            else:
                self._signed_root, self.trouble = self._ledger.root, ""
        return self._ledger.root

    def _sign_cuts(self) -> None:
        if any(pen.is_unsigned(self.store, self._ledger, feed) for feed in self._own_feeds):
            with self.store.transaction():
                self._sign_tails(self._ledger)

    def _sign_tails(self, ledger: Ledger) -> None:
        for feed in self._own_feeds:
            if pen.is_unsigned(self.store, ledger, feed):
                pen.sign_cuts(self.store, ledger, self.identity, feed)

    def announce_hint(self) -> bytes:
        """Return the 8 bytes by which an announce says where we stand."""
        return announce_hint(self._ledger.root)

    def roster_digest(self) -> bytes:
        """See Holdings.roster_digest."""
        return self._ledger.roster_digest

    def event_count(self) -> int:
        """See Holdings.event_count."""
        return self.store.event_count()

    def frontier(self) -> Frontier:
        """See Holdings.frontier."""
        return self._ledger.frontier

    def indexed_feeds(self) -> Sequence[FeedKey]:
        """See Holdings.indexed_feeds."""
        return self._ledger.indexed

    def id_on_branch(self, feed: FeedKey, tip: Head, seq: int) -> bytes:
        """See Holdings.id_on_branch."""
        if seq == tip.seq:
            return tip.id
        held = self.store.at(feed, seq)
        return held[0].id if len(held) == 1 else self.store.branch(tip, feed, seq - 1, 1)[0].id

    def holds(self, feed: FeedKey, seq: int, hint: bytes) -> bool:
        """See Holdings.holds."""
        return any(event.id.startswith(hint) for event in self.store.at(feed, seq))

    def segments(
        self,
        feed: FeedKey,
        tip: Head,
        after_seq: int,
        budget_bytes: int,
        *,
        compact: bool = False,
        size_max: int | None = None,
    ) -> tuple[list[bytes], int]:
        """See Holdings.segments."""
        return serving.segments(
            self.store,
            self._ledger,
            feed,
            tip,
            after_seq,
            budget_bytes,
            compact=compact,
            size_max=size_max,
        )

    def ingest(self, segments: Sequence[bytes], now_ms: int) -> Ingested:
        """See Holdings.ingest. Our own future, or the end of our life, starts a new one of ours.

        A peer shows us either where this device was cloned, or restored without our noticing.
        """
        self.root()  # signs what we wrote: a twin's branch must not keep ours from leaving
        if self._signed_root != self._ledger.root:
            return self._too_busy(segments)
        batch = begin_batch(segments)
        ledger = self._ledger.copy()
        own = [ledger.frontier.get(feed, ()) for feed in self._own_feeds]
        life = self._life
        try:
            with self.store.transaction():
                take_in(batch, self.store, ledger, self.dataset, now_ms)
                if batch.events:
                    self._refold(ledger, batch.told, batch.arrived)
                    ledger.save(self.store)
                after = [ledger.frontier.get(feed, ()) for feed in self._own_feeds]
                if own != after or self._is_sealed(ledger):
                    life = self._write_life(ledger, now_ms)
                    self._refold(ledger)
        except StoreError as error:
            self.trouble = str(error)
            return self._too_busy(segments)
        self._ledger, self._life, self.trouble = ledger, life, ""
        if batch.events:
            self._say_new_twins()
        self._follow_keys()
        self.refused.update(
            verdict
            for verdict in batch.verdicts
            if verdict not in (Verdict.ACCEPTED, Verdict.DUPLICATE)
        )
        runs = tuple(
            None if segment is None else Run(segment.feed, segment.first_seq, segment.last_seq)
            for segment in batch.segments
        )
        return Ingested(batch.events, tuple(batch.verdicts), frozenset(batch.gaps), runs)

    def _too_busy(self, segments: Sequence[bytes]) -> Ingested:
        self.refused[Verdict.BUSY] += len(segments)
        unread = (None,) * len(segments)
        return Ingested(0, (Verdict.BUSY,) * len(segments), frozenset(), unread)

    # ── reading ─────────────────────────────────────────────────────────────────────

    @property
    def ledger(self) -> Ledger:
        """Heads, roster, clock and horizon; read only."""
        return self._ledger

    def record(self, record_id: str) -> Record | None:
        """Return a record of the live view, hidden ones included."""
        return self.view.get(record_id)
