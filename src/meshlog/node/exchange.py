"""Carrying out effects: over links on a thread of its own, or over the seed's seam at once."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable

from meshlog.errors import MeshlogError
from meshlog.ports.links import Answered, Asked, AskFailed, LinkEvent, Links, Peer, PeerSeen
from meshlog.ports.transport import Transport
from meshlog.replica import Replica
from meshlog.sync.effects import Answer, Ask, Effect, Input, Poke, Shout, WakeAt, Woke
from meshlog.sync.frame import ANSWER, ASK, decode_frame, encode_frame

INBOX_MAX = 4_096
"""Inputs that may wait; a full inbox drops what the transport reports, and sync repairs it."""

_NAP_MS_MAX = 60_000

SETTLE_EVENTS = 512
"""Events brought into the view's rows between two inputs, while nothing else is to do: some 20 ms.
A choice."""

TELL_MS, TELL_MS_MAX = 8_000, 600_000
"""Between announces to peers that may be two devices: doubling from the first to the last, on
fast links alone. A choice: 183 bytes each."""

_JOIN_S = 5.0
_REST_MS = 5_000
"""How long a loop rests whose store refuses, before it tries again."""


_log = logging.getLogger("meshlog.node")


def log_news(replica: Replica) -> None:
    """Log what the replica's owner must hear of, once."""
    while replica.news:
        _log.warning("%s", replica.news.popleft(), extra={"event": "news"})


class LinkLoop:
    """Runs the engine over links: one thread, one inbox, one timer."""

    def __init__(
        self, replica: Replica, links: Links, lock: threading.RLock, now_ms: Callable[[], int]
    ) -> None:
        """Take what to run; ``lock`` guards ``replica``."""
        self.links = links
        self._replica = replica
        self._lock = lock
        self._now_ms = now_ms
        self._inbox: queue.Queue[Input | None] = queue.Queue(INBOX_MAX)
        self._wake_ms: int | None = None
        self._hint = b""
        self._is_behind = False
        """Whether rows of the view wait for an idle moment."""
        self._tell_ms: int | None = None
        """When to announce next, while a peer may be two devices."""
        self._tell_pause_ms = TELL_MS
        self._thread = threading.Thread(target=self._run, name="meshlog-node", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start thread and transport. Call it in the main thread."""
        self._thread.start()
        self._hint = self._replica.announce_hint()
        self.links.start(self._replica.gate(), lambda: self._hint, self._deliver)

    def tell(self, happened: Input) -> None:
        """Hand over an input; never blocks."""
        try:
            self._inbox.put_nowait(happened)
        except queue.Full:
            _log.warning(
                "inbox full: dropped %s",
                type(happened).__name__,
                extra={"event": "node.overloaded"},
            )

    def _deliver(self, event: LinkEvent) -> None:
        self.tell(event)

    def close(self) -> None:
        """Stop links and thread. Idempotent."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.links.close()
        if self._thread.is_alive():
            self.tell(Woke())
            self._thread.join(timeout=_JOIN_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            happened = self._wait()
            try:
                with self._lock:
                    if self._stopping.is_set():
                        return
                    effects = self._replica.handle(happened, self._now_ms())
                    hint, self._hint = self._hint, self._replica.announce_hint()
                    tells = self._is_time_to_tell(is_news=hint != self._hint)
                    log_news(self._replica)
                self._carry_out(effects)
                if tells:
                    self.links.announce()
                self._settle()
            except MeshlogError as error:
                _log.error("%s", error, extra={"event": "store.trouble"})
                self._rest()
            except Exception:  # noqa: BLE001 - the supervisor: a bug must not end a device's syncing
                _log.exception(
                    "a fault of meshlog's own; syncing goes on", extra={"event": "fault"}
                )
                self._rest()

    def _is_time_to_tell(self, *, is_news: bool) -> bool:
        """Say whether to announce where we stand, for one that we take for another who knows.

        At once where that is new, then ever more rarely, for an announce may be lost.
        """
        if not self._replica.has_linked_twin():
            self._tell_ms = None
            return False
        now_ms = self._now_ms()
        if is_news or self._tell_ms is None:
            self._tell_pause_ms = TELL_MS
        elif now_ms < self._tell_ms:
            return False
        self._tell_ms = now_ms + self._tell_pause_ms
        self._tell_pause_ms = min(self._tell_pause_ms * 2, TELL_MS_MAX)
        return True

    def _rest(self) -> None:
        """Do nothing for a while but what comes; rows of the view and announces wait, too."""
        self._wake_ms, self._tell_ms = self._now_ms() + _REST_MS, None
        self._is_behind = False

    def _settle(self) -> None:
        """Bring rows of the view up to date while nothing else is to do."""
        if self._inbox.empty():
            with self._lock:
                stops = self._stopping.is_set()
                self._is_behind = not stops and self._replica.settle_some(SETTLE_EVENTS)

    def _wait(self) -> Input:
        nap_ms = 0 if self._is_behind else _NAP_MS_MAX
        for when_ms in (self._wake_ms, self._tell_ms):
            if when_ms is not None:
                nap_ms = min(max(when_ms - self._now_ms(), 0), nap_ms)
        try:
            return self._inbox.get(timeout=nap_ms / 1000) or Woke()
        except queue.Empty:
            return Woke()

    def _carry_out(self, effects: list[Effect]) -> None:
        self._wake_ms = None
        for effect in effects:
            match effect:
                case Ask(peer, exchange, request):
                    self.links.ask(peer, exchange, request)
                case Answer(token, answer):
                    self.links.answer(token, answer)
                case Shout(packet):
                    self.links.shout(packet)
                case WakeAt(when_ms):
                    self._wake_ms = when_ms


class SeamExchange:
    """Runs the engine over the seed's seam, in the caller's thread, one message after another."""

    def __init__(
        self,
        replica: Replica,
        transport: Transport,
        lock: threading.RLock,
        now_ms: Callable[[], int],
    ) -> None:
        """Register with the transport; see LinkLoop."""
        self._replica = replica
        self._transport = transport
        self._lock = lock
        self._now_ms = now_ms
        self._gate = replica.gate()
        self._inbox: deque[Input] = deque()
        self._running = False
        self._closed = False
        self._open: dict[int, tuple[Peer, int]] = {}
        self._round = 0
        self._asked: dict[int, tuple[Peer, int, bytes]] = {}
        self._tokens = 0
        self.refused = 0
        """Messages that were not of this dataset."""
        replica.engine.name = Peer(transport.node_id)
        transport.set_receive(self._receive)

    def close(self) -> None:
        """Stop listening."""
        self._closed = True

    def gossip(self) -> None:
        """Ask everyone in reach; what stayed unanswered since the round before counts as failed."""
        self._round += 1
        for exchange, (peer, since) in list(self._open.items()):
            if since < self._round - 1:
                del self._open[exchange]
                self._put(AskFailed(peer, exchange, "no answer"))
        for name in self._transport.reachable_peers():
            self._put(PeerSeen(Peer(name), b""))
        self._put(Poke())

    def _receive(self, src: str, message: bytes) -> None:
        frame = None if self._closed else decode_frame(self._gate, message)
        if frame is None:
            self.refused += 1
            return
        if frame.kind == ANSWER:
            if self._open.get(frame.exchange, ("", 0))[0] == src:
                del self._open[frame.exchange]
                self._gate.ring.prove(Peer(src), frame.key)
                self._put(Answered(Peer(src), frame.exchange, frame.bundle))
            return
        self._gate.ring.prove(Peer(src), frame.key)
        self._tokens += 1
        self._asked[self._tokens] = (Peer(src), frame.exchange, frame.key)
        self._put(Asked(Peer(src), self._tokens, frame.bundle))

    def _put(self, happened: Input) -> None:
        """Handle an input now, or after the one that is being handled: recursion stays flat."""
        with self._lock:
            self._inbox.append(happened)
            if self._running:
                return
            self._running = True
            try:
                while self._inbox:
                    effects = self._replica.handle(self._inbox.popleft(), self._now_ms())
                    for effect in effects:
                        self._carry_out(effect)
                    log_news(self._replica)
            finally:
                self._running = False

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Ask(peer, exchange, request):
                if peer not in self._transport.reachable_peers():
                    self._inbox.append(AskFailed(peer, exchange, "out of reach"))
                    return
                self._open[exchange] = (peer, self._round)
                self._transport.send(peer, encode_frame(self._gate, ASK, exchange, request))
            case Answer(token, answer):
                peer, exchange, key = self._asked.pop(token)
                self._transport.send(peer, encode_frame(self._gate, ANSWER, exchange, answer, key))
            case Shout() | WakeAt():
                pass
