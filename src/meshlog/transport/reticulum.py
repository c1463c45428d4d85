"""Reticulum: the one file that knows RNS, through its public API only.

What RNS 1.5.7 does that this file works around stands in docs/adr/0005-reticulum-links.md.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import ProcessError
from random import Random
from typing import Any

from meshlog.errors import TransportError
from meshlog.ports.links import Peer
from meshlog.transport.dialling import HELLO
from meshlog.transport.exchanges import MESSAGE_SIZE_MAX, NONCE_BYTES, LinkId
from meshlog.transport.handles import AnnounceListener, RnsReceipt
from meshlog.transport.links import EXCHANGE, RadioLinks
from meshlog.transport.peers import InterfaceStats
from meshlog.transport.plain import PlainDestination
from meshlog.transport.radio import LinkFacts, RadioEvents
from meshlog.transport.startup import no_panic, own_signal_handlers

APP, ASPECT = "meshlog", "sync"
"""The destination name of every node; which dataset it serves, its announce's tag says."""

PRIVATE_KEY_BYTES = 64
"""X25519 then Ed25519 private key, as Reticulum's identity files hold them."""

_PACKED_MAX = MESSAGE_SIZE_MAX + NONCE_BYTES + 64
"""The largest message with what RNS packs around it (measured: at most 31 bytes)."""

_RATES_FRESH_S = 5.0
"""Interface rates are asked for at most this often: behind rnsd each costs a round trip."""


class ReticulumLinks(RadioLinks):
    """The `Links` port over Reticulum.

    ``start`` starts ``RNS.Reticulum`` unless the process already runs one; signal handlers
    that were set before it are put back. After ``close`` Reticulum's own threads run on
    (daemons) until the process ends: a program's main calls ``RNS.exit()`` last, or returns.

    Example:
        >>> links = ReticulumLinks(bytes(range(64)))  # doctest: +SKIP
    """

    def __init__(
        self,
        private_key: bytes,
        configdir: str | None = None,
        announce_interval_s: float | None = None,
        *,
        rng: Random | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        """Make it; nothing is sent before ``start``.

        Args:
            private_key: 64 bytes, as in an identity file; the caller keeps the file.
            configdir: Reticulum's configuration directory; None for the user's own, and
                whatever shared instance serves it.
            announce_interval_s: Seconds between announces while alone, on any medium; None
                for 5 s doubling to 60 s on fast media, and about 6 h on slow ones.
            rng: Luck for jitter; tests pass a seeded one.
            log: Where Reticulum's and our own lines go.

        Raises:
            TransportError: Reticulum is not installed, or the key is not one.
        """
        log = log or logging.getLogger("meshlog.transport")
        radio = RNSRadio(private_key, configdir, log)
        super().__init__(radio, announce_interval_s=announce_interval_s, rng=rng, log=log)


def load_rns() -> Any:  # noqa: ANN401 - RNS ships no types
    """Return the RNS package.

    Raises:
        TransportError: It is not installed.
    """
    try:
        import RNS
    except ImportError as error:
        raise TransportError("Reticulum is not installed: pip install 'meshlog[radio]'") from error
    return RNS


class RNSRadio:
    """See `meshlog.transport.radio.Radio`."""

    def __init__(self, private_key: bytes, configdir: str | None, log: logging.Logger) -> None:
        self._rns = load_rns()
        identity = None
        if len(private_key) == PRIVATE_KEY_BYTES:
            identity = self._rns.Identity.from_bytes(private_key)
        if identity is None:
            raise TransportError("that is not a Reticulum private key of 64 bytes")
        self._identity = identity
        self._configdir = configdir
        self._log = log
        self.peer = Peer(identity.hash.hex())
        self._links: dict[LinkId, Any] = {}
        self._half_open: dict[LinkId, float] = {}
        self._rates: dict[str, float] = {}
        self._rates_until_s = -math.inf
        self._rates_doubted = False

    def start(self, events: RadioEvents, tag: bytes) -> None:
        """See `Radio.start`."""
        rns = self._rns
        self._events = events
        self._reticulum = rns.Reticulum.get_instance() or self._boot()
        self._destination = rns.Destination(
            self._identity, rns.Destination.IN, rns.Destination.SINGLE, APP, ASPECT
        )
        self._serve_on(self._destination)
        self._destination.set_link_established_callback(self._came)
        self._plain = PlainDestination(rns, tag, self._overheard, self._log)
        self._listener = AnnounceListener(f"{APP}.{ASPECT}", self._heard)
        rns.Transport.register_announce_handler(self._listener)

    def _boot(self) -> Any:  # noqa: ANN401 - RNS ships no types
        if threading.current_thread() is not threading.main_thread():
            raise TransportError("Reticulum must be started on the main thread")
        with own_signal_handlers(), no_panic(self._rns):
            try:
                return self._rns.Reticulum(self._configdir, logdest=self._rns_says)
            except (OSError, SystemError, ValueError, KeyError, TypeError) as error:
                raise TransportError(
                    f"Reticulum cannot start: {error}: check its configuration"
                ) from error

    def close(self) -> None:
        """See `Radio.close`."""
        self._rns.Transport.deregister_announce_handler(self._listener)
        self._plain.close()
        self._destination.accepts_links(False)  # noqa: FBT003 - its API
        for link in list(self._links):
            self.drop(link)
        self._rns.Transport.deregister_destination(self._destination)

    # ── finding peers ────────────────────────────────────────────────────────────────

    def announce(self, app_data: bytes) -> None:
        """See `Radio.announce`. Path responses carry the same until the next one."""
        self._destination.set_default_app_data(app_data)
        self._destination.announce(app_data)

    def find(self, peer: Peer) -> None:
        """See `Radio.find`."""
        self._rns.Transport.request_path(self._address(peer))

    def reachable(self, peer: Peer) -> bool:
        """See `Radio.reachable`."""
        return bool(self._rns.Transport.has_path(self._address(peer)))

    def hops(self, peer: Peer) -> int:
        """See `Radio.hops`."""
        return int(self._rns.Transport.hops_to(self._address(peer)))

    def first_hop_bps(self, peer: Peer) -> float:
        """See `Radio.first_hop_bps`. Behind rnsd its name is a remote call."""
        self.slowest_bps()  # refreshes the rates
        try:
            name = self._reticulum.get_next_hop_if_name(self._address(peer))
        except (OSError, EOFError, ValueError) as error:
            self._log.info("no next hop: %s", error, extra={"event": "radio.no_hop"})
            return 0.0
        return self._rates.get(str(name), 0.0)

    def recall(self, peer: Peer) -> bytes | None:
        """See `Radio.recall`."""
        identity = self._rns.Identity.recall(bytes.fromhex(peer), from_identity_hash=True)
        return identity.get_public_key() if identity else None

    def _address(self, peer: Peer) -> bytes:
        return bytes(self._rns.Destination.hash(bytes.fromhex(peer), APP, ASPECT))

    def _heard(self, identity: Any, app_data: bytes | None, live: bool) -> None:  # noqa: ANN401, FBT001
        with self._contained():
            peer = Peer(identity.hash.hex())
            self._events.heard(peer, identity.get_public_key(), app_data or b"", live=live)

    # ── broadcasts ───────────────────────────────────────────────────────────────────

    def broadcast(self, packet: bytes) -> bool:
        """See `Radio.broadcast`."""
        return self._plain.send(packet)

    def _overheard(self, packet: object) -> None:
        with self._contained():
            if isinstance(packet, bytes):
                self._events.overheard(packet)

    # ── links ────────────────────────────────────────────────────────────────────────

    def open(self, public_key: bytes) -> LinkId:
        """See `Radio.open`."""
        rns = self._rns
        identity = rns.Identity(create_keys=False)
        identity.load_public_key(public_key)
        destination = rns.Destination(
            identity, rns.Destination.OUT, rns.Destination.SINGLE, APP, ASPECT
        )
        self._serve_on(destination)
        link = rns.Link(
            destination, established_callback=self._dialled, closed_callback=self._closed
        )
        link.set_resource_started_callback(self._resource_started)
        self._links[LinkId(link.link_id)] = link
        return LinkId(link.link_id)

    def drop(self, link: LinkId) -> None:
        """See `Radio.drop`."""
        if (held := self._links.pop(link, None)) is not None:
            held.teardown()

    def sweep(self, now_s: float, limit_s: float) -> None:
        """See `Radio.sweep`. RNS itself would keep them for six minutes."""
        waiting = {
            LinkId(link.link_id): link
            for link in list(self._destination.links)
            if link.status == self._rns.Link.HANDSHAKE
        }
        self._half_open = {link: self._half_open.get(link, now_s) for link in waiting}
        for link, since_s in self._half_open.items():
            if now_s - since_s > limit_s:
                waiting[link].teardown()

    def facts(self, link: LinkId) -> LinkFacts | None:
        """See `Radio.facts`."""
        held = self._links.get(link)
        if held is None or held.status != self._rns.Link.ACTIVE:
            return None
        slowest_bps = self.slowest_bps()
        medium_bps = self._rates.get(str(held.attached_interface), slowest_bps)
        medium_bps = medium_bps if math.isfinite(medium_bps) else 1e6
        return LinkFacts(
            rtt_s=held.rtt or 0.5,
            medium_bps=medium_bps,
            setup_bps=held.get_establishment_rate(),
            packet_bytes=held.get_mdu() - 40,
        )

    def _came(self, link: Any) -> None:  # noqa: ANN401 - RNS ships no types
        with self._contained():
            link.set_link_closed_callback(self._closed)
            link.set_resource_started_callback(self._resource_started)
            self._links[LinkId(link.link_id)] = link
            self._events.established(LinkId(link.link_id), dialled_by_us=False)

    def _dialled(self, link: Any) -> None:  # noqa: ANN401 - RNS ships no types
        with self._contained():
            self._links[LinkId(link.link_id)] = link
            self._events.established(LinkId(link.link_id), dialled_by_us=True)

    def _closed(self, link: Any) -> None:  # noqa: ANN401 - RNS ships no types
        with self._contained():
            self._links.pop(LinkId(link.link_id), None)
            self._events.closed(LinkId(link.link_id))

    def _resource_started(self, resource: Any) -> None:  # noqa: ANN401 - RNS ships no types
        """Refuse what nobody may send; limit what a compressed one may swell to."""
        with self._contained():
            link = LinkId(resource.link.link_id)
            if self._events.may_transfer(link, resource.get_data_size()):
                resource.max_decompressed_size = _PACKED_MAX
            else:
                resource.cancel()

    # ── requests ─────────────────────────────────────────────────────────────────────

    def ask(
        self,
        link: LinkId,
        path: str,
        data: bytes,
        limit_s: float,
        done: Callable[[bytes | None], None],
    ) -> RnsReceipt | None:
        """See `Radio.ask`."""
        held = self._links.get(link)
        if held is None or held.status != self._rns.Link.ACTIVE:
            return None

        def answered(receipt: Any) -> None:  # noqa: ANN401 - RNS ships no types
            with self._contained():
                answer = receipt.get_response()
                done(answer if isinstance(answer, bytes) else None)

        def failed(_receipt: Any) -> None:  # noqa: ANN401 - RNS ships no types
            with self._contained():
                done(None)

        receipt = held.request(
            path,
            data,
            response_callback=answered,
            failed_callback=failed,
            timeout=limit_s + 6 * (held.rtt or 0.5),
            max_response_size=_PACKED_MAX,
        )
        return RnsReceipt(self._rns, receipt) if receipt else None

    def _serve_on(self, destination: Any) -> None:  # noqa: ANN401 - RNS ships no types
        def serve(
            path: str, data: object, _id: bytes, link_id: bytes, _who: object, _at: float
        ) -> bytes | None:
            answers: list[bytes | None] = [None]
            with self._contained():
                answers.append(self._events.serve(path, LinkId(link_id), data))
            return answers[-1]

        destination.set_max_request_size(_PACKED_MAX)
        for path in (HELLO, EXCHANGE):
            destination.register_request_handler(
                path, serve, allow=self._rns.Destination.ALLOW_ALL, auto_compress=False
            )

    # ── interfaces ───────────────────────────────────────────────────────────────────

    def interfaces(self) -> list[InterfaceStats]:
        """See `Radio.interfaces`. Parents only: their children's bytes count there too."""
        return [
            InterfaceStats(
                name=str(one["name"]),
                bitrate_bps=one.get("bitrate"),
                received_bytes=int(one["rxb"]),
                sent_bytes=int(one["txb"]),
                online=bool(one["status"]),
            )
            for one in self._interface_stats()
            if "parent_interface_name" not in one
        ]

    def slowest_bps(self) -> float:
        """See `Radio.slowest_bps`."""
        now_s = time.monotonic()
        if now_s >= self._rates_until_s:
            self._rates_until_s = now_s + _RATES_FRESH_S
            rates = {
                str(one["name"]): float(one["bitrate"])
                for one in self._interface_stats()
                if one["status"] and one.get("bitrate")
            }
            if rates or self._rates_doubted or not self._rates:
                self._rates, self._rates_doubted = rates, False
            else:  # no interface any more, or rnsd was too busy to tell: ask once more
                self._rates_doubted = True
        return min(self._rates.values(), default=math.inf)

    def _interface_stats(self) -> list[dict[str, Any]]:
        if not any(interface.online for interface in list(self._rns.Transport.interfaces)):
            return []  # behind rnsd, which may answer again before our socket to it is back
        try:
            stats = self._reticulum.get_interface_stats()
        except (OSError, EOFError, ValueError, ProcessError) as error:
            # Behind rnsd this is a remote call, and rnsd may be restarting, or keep another key.
            self._log.info(
                "no interface statistics: %s", error, extra={"event": "radio.no_statistics"}
            )
            return []
        return [one for one in stats["interfaces"] if not str(one["type"]).startswith("Local")]

    # ── between the threads ──────────────────────────────────────────────────────────

    @contextmanager
    def _contained(self) -> Iterator[None]:
        """Let nothing out into Reticulum's threads."""
        try:
            yield
        except Exception:  # noqa: BLE001 - one of the three places: the transport callback
            self._log.exception("a Reticulum callback stumbled", extra={"event": "fault"})

    def _rns_says(self, line: str) -> None:
        grave = "[Critical]" in line or "[Error]" in line
        grave = grave and "Traceback" not in line  # the line before it says the same to a person
        self._log.log(
            logging.WARNING if grave else logging.DEBUG,
            "Reticulum: %s",
            line,
            extra={"event": "reticulum"},
        )
