"""What the link lane does with strangers and accidents, over a fake radio."""

from __future__ import annotations

import builtins
import logging
import signal
from collections.abc import Iterator

import pytest

from meshlog.errors import InputError, TransportError
from meshlog.ports.links import Asked, LinkUp, Peer, PeerSeen
from meshlog.transport.dialling import HELLO, UNANSWERED_MAX
from meshlog.transport.door import UNPROVEN_MAX
from meshlog.transport.exchanges import MESSAGE_SIZE_MAX, LinkId
from meshlog.transport.links import EXCHANGE
from meshlog.transport.reticulum import RNSRadio, load_rns
from tests.transport.fake_radio import BOB, KEY, US, World, soon
from tests.transport.node_process import MacGate


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.links.close()


def test_a_link_counts_when_it_has_proven_itself(world: World) -> None:
    link = world.radio.come(1)

    answer = world.hello(link)

    assert answer is not None
    assert MacGate(KEY, BOB).check(bytes(link), answer[1:], initiator=False) == US
    assert world.heard == [LinkUp(BOB, 262_144)]
    assert world.links.may_transfer(link, 1000)
    assert not world.links.may_transfer(link, 2 * MESSAGE_SIZE_MAX)


@pytest.mark.parametrize(
    "said", [b"", b"\x01", b"\x01" + bytes(48), b"\x02" + bytes(48), bytes(999)]
)
def test_a_false_proof_ends_the_link(world: World, said: bytes) -> None:
    link = world.radio.come(1)

    assert world.links.serve(HELLO, link, said) is None

    assert soon(lambda: link not in world.radio.links)
    assert world.heard == []
    assert not world.links.may_transfer(link, 1)


def test_a_proof_for_another_link_or_in_our_own_name_is_false(world: World) -> None:
    first, second = world.radio.come(1), world.radio.come(2)
    stolen = MacGate(KEY, BOB).prove(bytes(first), initiator=True)

    assert world.links.serve(HELLO, second, b"\x01" + stolen) is None
    assert world.hello(first, peer=US) is None


def test_who_asks_before_the_proof_is_cut_off_unheard(world: World) -> None:
    link = world.radio.come(1)

    assert world.links.serve(EXCHANGE, link, b"nonce and more") is None

    assert soon(lambda: link not in world.radio.links)
    assert world.heard == []


@pytest.mark.parametrize("data", [None, 7, "text", [b"x"], {}, b"", b"abc"])
def test_a_request_of_the_wrong_shape_is_not_delivered(world: World, data: object) -> None:
    link = world.radio.come(1)
    world.hello(link)

    assert world.links.serve(EXCHANGE, link, data) is None
    assert world.links.serve(HELLO, link, data) is None

    assert not [event for event in world.heard if isinstance(event, Asked)]


def test_links_that_prove_nothing_are_few_and_short(world: World) -> None:
    for name in range(UNPROVEN_MAX + 20):
        world.radio.come(name)
    assert soon(lambda: len(world.radio.links) == UNPROVEN_MAX)

    world.now_s = 60.0

    assert soon(lambda: not world.radio.links)
    assert world.links.refused == UNPROVEN_MAX + 20


def test_neighbours_that_never_answer_are_not_remembered_for_ever(world: World) -> None:
    """Whoever hears our tag can announce it under as many made-up names as he likes."""
    for name in range(UNANSWERED_MAX + 500):
        world.links._dialler._fail(Peer(f"{name:032x}"), "no answer")

    assert len(world.links._dialler._unanswered) == UNANSWERED_MAX


def test_an_announce_carries_the_tag_and_at_most_64_bytes(world: World) -> None:
    assert soon(lambda: bool(world.radio.announced))

    assert world.radio.announced == [MacGate(KEY, US).tag() + bytes(64)]


def test_who_holds_a_link_and_announces_is_answered_once_for_each(world: World) -> None:
    """It restarted, and dials when it hears us; else its announce may be the answer to ours."""

    def bob_announces(at_s: float) -> None:
        world.now_s = at_s
        world.links.heard(BOB, bytes(64), MacGate(KEY, BOB).tag(), live=True)

    world.hello(world.radio.come(1))
    assert soon(lambda: len(world.radio.announced) == 1)
    bob_announces(3.0)
    assert soon(lambda: len(world.radio.announced) == 2)
    bob_announces(6.0)
    assert not soon(lambda: len(world.radio.announced) > 2)

    world.hello(world.radio.come(2))
    bob_announces(7.0)
    assert soon(lambda: len(world.radio.announced) == 3)


def test_announces_of_members_are_seen_and_others_are_not(world: World) -> None:
    tag = MacGate(KEY, BOB).tag()
    for peer, app_data, live in [
        (Peer("cc" * 16), b"", True),
        (Peer("dd" * 16), b"another tag", True),
        (Peer("ee" * 16), tag, False),
        (US, tag, True),
        (BOB, tag + b"hint", True),
    ]:
        world.links.heard(peer, bytes(64), app_data, live=live)

    assert soon(lambda: bool(world.heard))
    assert world.heard == [PeerSeen(BOB, b"hint", is_fast=True)]


def test_an_accident_in_a_callback_is_logged_and_survived(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.links.heard(BOB, bytes(64), MacGate(KEY, BOB).tag(), live=None)  # type: ignore[arg-type]
    world.links.established(None, dialled_by_us=False)  # type: ignore[arg-type]
    world.links.closed(LinkId(b"never was"))

    with caplog.at_level(logging.ERROR):
        assert world.hello(world.radio.come(1)) is not None


def test_an_oversized_answer_is_the_callers_mistake(world: World) -> None:
    with pytest.raises(InputError, match="at most 1000000 B"):
        world.links.answer(1, bytes(MESSAGE_SIZE_MAX + 1))


def test_closing_twice_and_calling_afterwards_does_no_harm(world: World) -> None:
    world.links.close()
    world.links.close()

    world.links.ask(BOB, 1, b"hi")
    world.links.answer(1, b"ho")
    world.links.announce()
    world.links.hang_up(BOB)
    assert world.links.serve(EXCHANGE, LinkId(b"x"), b"data") is None


def test_without_reticulum_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "RNS":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(TransportError, match=r"pip install 'meshlog\[radio\]'"):
        load_rns()


@pytest.mark.parametrize("key", [b"", bytes(63)])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    pytest.importorskip("RNS")
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(TransportError, match="64 bytes"):
        RNSRadio(key, None, logging.getLogger("test"))

    assert signal.getsignal(signal.SIGINT) is before
