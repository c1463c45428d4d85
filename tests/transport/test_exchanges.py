"""When an exchange is repeated, redialled and given up, without any radio."""

from __future__ import annotations

from random import Random

import pytest

from meshlog.ports.links import Answered, AskFailed, LinkDown, LinkUp, Peer
from meshlog.transport import pacing
from meshlog.transport.exchanges import (
    MESSAGE_SIZE_MAX,
    NONCE_BYTES,
    QUEUE_MAX,
    Act,
    Conversation,
    Dial,
    Drop,
    Line,
    LinkId,
    Phase,
    Send,
    Tell,
    Undial,
)

ANN, BOB = Peer("aa"), Peer("bb")
FAST_BPS = 10e6


@pytest.fixture
def talk() -> Conversation:
    return Conversation(ANN, BOB, Random(1))


def line(name: bytes, now_s: float, *, ours: bool = True, medium_bps: float = FAST_BPS) -> Line:
    return Line(LinkId(name), ours, 0.01, medium_bps, 391, now_s, now_s)


def told(acts: list[Act]) -> list[object]:
    return [act.event for act in acts if isinstance(act, Tell)]


def sent(acts: list[Act]) -> Send:
    (send,) = [act for act in acts if isinstance(act, Send)]
    return send


def linked(talk: Conversation, now_s: float = 0.0) -> Send:
    """Ask once and bring a link up; return what is sent over it."""
    assert talk.ask(1, b"hi", now_s) == [Dial()]
    return sent(talk.proved(line(b"one", now_s), None, now_s))


def test_dials_on_demand_and_tells_of_the_link_before_it_sends(talk: Conversation) -> None:
    assert talk.ask(7, b"hi", 0.0) == [Dial()]

    acts = talk.proved(line(b"one", 1.0), 50_000.0, 1.0)

    assert told(acts) == [LinkUp(BOB, 65_536)]
    assert sent(acts).request[NONCE_BYTES:] == b"hi"
    answered = talk.answered(sent(acts).attempt, LinkId(b"one"), b"ho", 1.1)
    assert told(answered) == [Answered(BOB, 7, b"ho")]


def test_one_exchange_is_in_flight_and_a_few_wait(talk: Conversation) -> None:
    first = linked(talk)

    acts = [act for number in range(2, QUEUE_MAX + 3) for act in talk.ask(number, b"x", 1.0)]

    assert acts == [Tell(AskFailed(BOB, QUEUE_MAX + 2, "busy"))]
    after = talk.answered(first.attempt, first.link, b"", 1.0)
    assert [type(act) for act in after] == [Tell, Send]


def test_refuses_what_no_peer_would_take(talk: Conversation) -> None:
    acts = talk.ask(1, bytes(MESSAGE_SIZE_MAX + 1), 0.0)

    assert acts == [Tell(AskFailed(BOB, 1, "too large"))]


def test_repeats_a_lost_request_every_few_seconds_then_redials(talk: Conversation) -> None:
    request = linked(talk).request
    now_s = 0.0
    for wait_s in (1.3, 2.5, 4.8, 8.1, 8.1):
        now_s += wait_s
        assert sent(talk.tick(now_s)).request == request, "the same nonce: it is known there"

    now_s += pacing.QUICK_TRY_MAX_S + 1
    assert talk.tick(now_s) == [Drop(LinkId(b"one"))]
    assert talk.tick(now_s + 1) == [Dial()]


def test_gives_up_after_three_dials_and_then_says_that_the_link_is_down(
    talk: Conversation,
) -> None:
    linked(talk)
    talk.ask(2, b"also", 0.0)
    now_s = 1.0
    acts = talk.lost(LinkId(b"one"), now_s)

    while not told(acts) and now_s < 200:
        now_s += 1
        acts = talk.tick(now_s)
        if acts == [Dial()]:
            acts = talk.dial_failed("no answer", now_s)

    assert told(acts) == [
        AskFailed(BOB, 1, "no answer"),
        AskFailed(BOB, 2, "no answer"),
        LinkDown(BOB),
    ]
    assert talk.idle


def test_a_late_answer_to_an_earlier_try_counts(talk: Conversation) -> None:
    first = linked(talk)
    second = sent(talk.tick(5.0))

    assert told(talk.answered(first.attempt, first.link, b"ho", 6.0)) == [Answered(BOB, 1, b"ho")]
    assert talk.answered(second.attempt, second.link, b"ho", 6.1) == []


def test_a_moving_transfer_is_left_alone_and_a_stalled_one_is_not(talk: Conversation) -> None:
    send = linked(talk)
    now_s = 0.0
    for part in range(1, 10):
        now_s += 10.0
        talk.moved(send.attempt, Phase.RECEIVING, part / 10, now_s)
        assert talk.tick(now_s) == []

    assert talk.tick(now_s + pacing.stall_s(0.01, FAST_BPS) + 0.1) == [Drop(LinkId(b"one"))]


def test_the_answer_to_a_bulk_request_may_take_its_time(talk: Conversation) -> None:
    talk.ask(1, bytes(50_000), 0.0)
    send = sent(talk.proved(line(b"one", 0.0), None, 0.0))
    talk.moved(send.attempt, Phase.SENDING, 0.9, 5.0)
    talk.moved(send.attempt, Phase.WAITING, 0.0, 6.0)

    assert talk.tick(6.0 + pacing.ANSWER_LIMIT_S) == []


def test_an_announce_in_mid_exchange_means_that_the_peer_lost_the_link(talk: Conversation) -> None:
    linked(talk)

    assert talk.heard(2.0) == []
    assert talk.tick(3.5) == [Drop(LinkId(b"one"))]


def test_a_peer_that_dials_again_replaces_its_dead_link(talk: Conversation) -> None:
    talk.proved(line(b"old", 0.0, ours=False), None, 0.0)

    acts = talk.proved(line(b"new", 9.0, ours=False), None, 9.0)

    assert acts[0] == Drop(LinkId(b"old"))
    assert sent(talk.ask(1, b"hi", 9.0)).link == b"new"


@pytest.mark.parametrize(("us", "peer", "closes"), [(ANN, BOB, False), (BOB, ANN, True)])
def test_of_two_links_the_one_of_the_lesser_name_stays(us: Peer, peer: Peer, closes: bool) -> None:
    talk = Conversation(us, peer, Random(1))
    talk.proved(line(b"ours", 0.0), None, 0.0)
    talk.proved(line(b"theirs", 0.0, ours=False), None, 0.0)

    assert talk.tick(4.0) == []
    assert talk.tick(6.0) == ([Drop(LinkId(b"ours"))] if closes else [])


def test_an_idle_link_on_a_slow_medium_is_closed(talk: Conversation) -> None:
    talk.proved(line(b"one", 0.0, medium_bps=5_000), 4_000.0, 0.0)
    talk.served(LinkId(b"one"), 30.0)

    assert talk.tick(80.0) == []
    assert talk.tick(91.0) == [Drop(LinkId(b"one")), Tell(LinkDown(BOB))]


def test_hanging_up_fails_what_is_open(talk: Conversation) -> None:
    talk.ask(1, b"hi", 0.0)

    assert talk.hang_up(1.0) == [Undial(), Tell(AskFailed(BOB, 1, "hung up"))]
    assert talk.idle


def test_a_stalled_transfer_halves_the_batches_of_the_next_link(talk: Conversation) -> None:
    talk.ask(1, bytes(50_000), 0.0)
    acts = talk.proved(line(b"one", 0.0, medium_bps=20_000), None, 0.0)
    (before,) = told(acts)
    talk.tick(100.0)
    (after,) = told(talk.proved(line(b"two", 101.0, medium_bps=20_000), None, 101.0))

    assert isinstance(before, LinkUp)
    assert isinstance(after, LinkUp)
    assert after.batch_size_bytes == before.batch_size_bytes // 2


class Storm:
    """A conversation whose links and peer do whatever luck says."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.talk = Conversation(ANN, BOB, self.rng)
        self.now_s = 0.0
        self.asked = 0
        self.ended: list[int] = []
        self.sent: list[Send] = []
        self.dialling = False

    def note(self, acts: list[Act]) -> None:
        for act in acts:
            match act:
                case Tell(Answered(_, number, _) | AskFailed(_, number, _)):
                    self.ended.append(number)
                case Send() as send:
                    self.sent.append(send)
                case Dial():
                    assert not self.dialling, "two dials at once"
                    self.dialling = True
                case _:
                    pass

    def blow(self) -> None:
        """Let something happen."""
        rng, talk = self.rng, self.talk
        self.now_s += rng.random() * 3
        match rng.randrange(8):
            case 0 | 1:
                self.asked += 1
                self.note(talk.ask(self.asked, bytes(rng.choice([1, 900])), self.now_s))
            case 2 | 3 if self.dialling:
                self.end_dial(well=rng.random() < 0.6)
            case 4:
                self.come_up(ours=False)
            case 5 if talk.lines:
                self.note(talk.lost(rng.choice(list(talk.lines)), self.now_s))
            case 6 if self.sent:
                send = rng.choice(self.sent)
                self.note(talk.answered(send.attempt, send.link, b"a", self.now_s))
            case 7:
                self.note(talk.heard(self.now_s))
        self.note(talk.tick(self.now_s))

    def calm(self) -> None:
        """Let time pass; nobody answers any more."""
        self.now_s += 10
        if self.dialling:
            self.end_dial(well=False)
        self.note(self.talk.tick(self.now_s))

    def end_dial(self, *, well: bool) -> None:
        self.dialling = False
        if well:
            self.come_up(ours=True)
        else:
            self.note(self.talk.dial_failed("no path", self.now_s))

    def come_up(self, *, ours: bool) -> None:
        name = self.rng.randbytes(16)
        self.note(self.talk.proved(line(name, self.now_s, ours=ours), None, self.now_s))


@pytest.mark.parametrize("seed", range(100))
def test_whatever_happens_every_exchange_ends_exactly_once(seed: int) -> None:
    storm = Storm(seed)

    for _ in range(300):
        storm.blow()
    for _ in range(600):
        storm.calm()

    assert sorted(storm.ended) == list(range(1, storm.asked + 1))
