"""A process with one `ReticulumLinks`: JSON commands on stdin, JSON events on stdout.

Run by `driver.LinkNode`. It answers what it is asked: ``bulk:N`` with N bytes that follow
from N, anything else with the BLAKE2b digest of the request.
"""

from __future__ import annotations

import argparse
import json
import logging
import queue
import signal
import sys
import threading
import time
from dataclasses import asdict
from hashlib import blake2b
from random import Random
from typing import Any

from meshlog.errors import InputError
from meshlog.ports.links import Asked, LinkEvent, Peer
from meshlog.transport.reticulum import ReticulumLinks


class MacGate:
    """A gate of one keyed hash: enough to tell members from strangers in a test."""

    def __init__(self, key: bytes, peer: Peer) -> None:
        self._key = key
        self._peer = bytes.fromhex(peer)

    def tag(self) -> bytes:
        return blake2b(b"tag", key=self._key, digest_size=8).digest()

    def prove(self, binding: bytes, *, initiator: bool) -> bytes:
        return self._peer + self._mac(binding, self._peer, initiator)

    def check(self, binding: bytes, proof: bytes, *, initiator: bool) -> Peer | None:
        peer, mac = proof[:16], proof[16:]
        return Peer(peer.hex()) if mac == self._mac(binding, peer, initiator) else None

    def _mac(self, binding: bytes, peer: bytes, initiator: bool) -> bytes:
        said = bytes([initiator]) + peer + binding
        return blake2b(said, key=self._key, digest_size=32).digest()


class BlindGate(MacGate):
    """An outsider's: knows the tag, which anybody can hear, and not the key."""

    def _mac(self, binding: bytes, peer: bytes, initiator: bool) -> bytes:
        return bytes(32)

    def check(self, binding: bytes, proof: bytes, *, initiator: bool) -> Peer | None:
        return Peer(proof[:16].hex())


def bulk(size_bytes: int) -> bytes:
    """Return the bytes that answer ``bulk:size``; they do not compress."""
    return Random(size_bytes).randbytes(size_bytes)


def shouted(size_bytes: int, seed: int) -> bytes:
    """Return a packet that follows from its size and ``seed``."""
    return Random(f"{size_bytes}:{seed}").randbytes(size_bytes)


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("configdir")
    parser.add_argument("private_key", type=bytes.fromhex)
    parser.add_argument("--key", type=bytes.fromhex, default=b"dataset")
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--mute", action="store_true")
    parser.add_argument("--interval", type=float)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.WARNING,
        stream=sys.stderr,
        format="%(relativeCreated)d %(message)s",
    )
    events: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()
    links = ReticulumLinks(args.private_key, args.configdir, args.interval)
    gate = (BlindGate if args.blind else MacGate)(args.key, links.peer)
    links.start(gate, lambda: b"hint", events.put)
    kept = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    say("Started", peer=links.peer, signal_handlers_kept=kept)
    threading.Thread(target=report, args=(links, events, args.mute), daemon=True).start()
    for line in sys.stdin:
        if obey(links, json.loads(line)):
            break
    links.close()
    say("Closed", threads=[one.name for one in threading.enumerate()])


def say(kind: str, **what: Any) -> None:
    print(json.dumps({"event": kind, "at_s": time.monotonic(), **what}), flush=True)


def report(links: ReticulumLinks, events: queue.SimpleQueue[LinkEvent], mute: bool) -> None:
    while True:
        event = events.get()
        what = {}
        for name, value in asdict(event).items():
            if isinstance(value, bytes):
                what[name] = {"size": len(value), "digest": digest(value)}
            else:
                what[name] = value
        say(type(event).__name__, **what)
        if isinstance(event, Asked) and not mute:
            links.answer(event.token, answer_to(event.request))


def answer_to(request: bytes) -> bytes:
    if request.startswith(b"bulk:"):
        return bulk(int(request[5:]))
    return digest(request).encode()


def obey(links: ReticulumLinks, command: dict[str, Any]) -> bool:
    match command["do"]:
        case "ask":
            request = bulk(command["size"]) if "size" in command else command["text"].encode()
            links.ask(Peer(command["peer"]), command["exchange"], request)
        case "announce":
            links.announce()
        case "shout":
            for nth in range(command.get("count", 1)):
                try:
                    links.shout(shouted(command["size"], command["seed"] + nth))
                except InputError as error:
                    say("Refused", why=str(error))
        case "hang_up":
            links.hang_up(Peer(command["peer"]))
        case "stats":
            say(
                "Stats",
                peers={peer: asdict(one) for peer, one in links.stats().items()},
                interfaces=[asdict(one) for one in links.interfaces()],
                refused=links.refused,
                broadcasts=asdict(links.broadcasts()),
                threads=threading.active_count(),
            )
        case "quit":
            return True
    return False


if __name__ == "__main__":
    main()
