"""Whoever is on the air: finds the victim by its announce, links to it, and says what it likes.

`python -m bench.attacks.attacker`, with one JSON object on standard input. Nothing here is a
client of either: links, packets, requests and Resources are Reticulum's own.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from typing import Any

import RNS

from bench.attacks import said_old, said_ours
from meshlog.core.grant import Invite
from meshlog.core.identity import AuthorId, Identity
from meshlog.sync.gate import KeyGate
from meshlog.sync.keyring import KeyRing
from meshlog.transport.dialling import HELLO
from meshlog.transport.links import EXCHANGE

SETTLE_S = 2.0
ANSWER_S = 20.0


class Link:
    """One link to the victim, and what came back over it."""

    def __init__(self, victim: str) -> None:
        """Wait for its announce, and link."""
        self.answered_bytes = 0
        self.announced = b""
        self.aspect_filter = "meshlog.sync"
        self._found: Any = None
        self._seen, self._up = threading.Event(), threading.Event()
        self._victim = victim
        RNS.Transport.register_announce_handler(self)
        assert self._seen.wait(30), "no announce"
        destination = RNS.Destination(
            self._found, RNS.Destination.OUT, RNS.Destination.SINGLE, "meshlog", "sync"
        )
        self.link = RNS.Link(destination, established_callback=lambda _: self._up.set())
        self.link.set_packet_callback(self._packet)
        self.link.set_resource_strategy(RNS.Link.ACCEPT_ALL)
        self.link.set_resource_concluded_callback(self._resource)
        assert self._up.wait(30), "no link"

    def received_announce(
        self, destination_hash: bytes, announced_identity: Any, app_data: bytes | None
    ) -> None:
        """Take an announce; Reticulum names the arguments."""
        if announced_identity.hash.hex() == self._victim:
            self.announced = app_data or b""
            self._found = announced_identity
            self._seen.set()

    def say(self, message: bytes) -> None:
        """Send as the predecessor does: a packet, or a Resource where it is too large."""
        if self.link.status != RNS.Link.ACTIVE:
            return
        if len(message) <= self.link.get_mdu():
            RNS.Packet(self.link, message).send()
            time.sleep(0.01)
            return
        done = threading.Event()
        RNS.Resource(message, self.link, callback=lambda _: done.set())
        done.wait(ANSWER_S)

    def ask(self, path: str, data: bytes) -> bytes | None:
        """Send a request; return the answer, None where none came."""
        if self.link.status != RNS.Link.ACTIVE:
            return None
        done, answers = threading.Event(), []

        def answered(receipt: Any) -> None:
            answers.append(receipt.get_response())
            done.set()

        receipt = self.link.request(path, data, answered, lambda _: done.set(), timeout=ANSWER_S)
        deadline_s = time.monotonic() + ANSWER_S
        while receipt and not done.wait(0.1) and time.monotonic() < deadline_s:
            if self.link.status != RNS.Link.ACTIVE:
                break
        if answers and isinstance(answers[0], bytes):
            self.answered_bytes += len(answers[0])
            return answers[0]
        return None

    def crowd(self, count: int) -> int:
        """Announce as so many neighbours nobody knows, with what the victim announces itself.

        Returns:
            Bytes that the victim sent meanwhile, announces and all.
        """
        before = self.heard_bytes()
        for _ in range(count):
            destination = RNS.Destination(
                RNS.Identity(), RNS.Destination.IN, RNS.Destination.SINGLE, "meshlog", "sync"
            )
            destination.announce(self.announced)
            RNS.Transport.deregister_destination(destination)
            time.sleep(0.005)
        time.sleep(20)
        return self.heard_bytes() - before

    def heard_bytes(self) -> int:
        """Return what came over the air so far."""
        return sum(one.rxb for one in RNS.Transport.interfaces)

    def _packet(self, message: bytes, _packet: object) -> None:
        self.answered_bytes += len(message)

    def _resource(self, resource: Any) -> None:
        if resource.status == RNS.Resource.COMPLETE:
            self.answered_bytes += len(resource.data.read())


def main() -> None:
    """Carry out one attack; print what came of it, as one JSON object."""
    told = json.loads(sys.stdin.readline())
    RNS.Reticulum(told["config"])
    link = Link(told["author"])
    asked = proved = 0
    if told["role"] == "old":
        link.link.identify(RNS.Identity())
        time.sleep(1)
    if told["attack"] == "2,000 made-up neighbours":
        link.answered_bytes = link.crowd(2_000)
    elif told["role"] == "old":
        for message in said_old.messages(told["attack"], told["author"]):
            link.say(message)
            asked += 1
    else:
        who = Identity(random.SystemRandom().randbytes(64))
        invite = Invite.parse(told["invite"]) if told["role"] != "stranger" else None
        by = said_ours.Attacker(who, invite)
        proved = _prove(link, by, told)
        for bundle in said_ours.bundles(
            told["attack"], by, AuthorId(bytes.fromhex(told["author"]))
        ):
            if link.link.status != RNS.Link.ACTIVE and told["role"] != "stranger":
                link = _again(link, told, by)
            link.ask(EXCHANGE, random.randbytes(4) + bundle)  # noqa: S311 - a nonce
            asked += 1
    time.sleep(SETTLE_S)
    print(
        json.dumps(
            {
                "asked": asked,
                "proved": bool(proved),
                "answered_bytes": link.answered_bytes,
                "announced_bytes": len(link.announced),
            }
        ),
        flush=True,
    )
    RNS.exit()


def _prove(link: Link, by: said_ours.Attacker, told: dict[str, Any]) -> bool:
    if by.invite is None:
        return link.ask(HELLO, b"\x01" + bytes(145)) is not None
    if told["role"] == "member":
        by.join()
    gate = KeyGate(by.who, by.invite.dataset, KeyRing((by.invite.key,)))
    proof = gate.prove(bytes(link.link.link_id), initiator=True)
    return link.ask(HELLO, b"\x01" + proof) is not None


def _again(link: Link, told: dict[str, Any], by: said_ours.Attacker) -> Link:
    """Link anew where the victim hung up."""
    fresh = Link(told["author"])
    fresh.answered_bytes = link.answered_bytes
    _prove(fresh, by, told)
    return fresh


if __name__ == "__main__":
    main()
