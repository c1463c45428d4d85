"""The emulated radio cell: one channel, everybody hears everybody."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from meshlog.transport.relay import LOOPBACK
from tests.support.cell import Cell, Kind, Ledger, kind_of


class Ends:
    """A socket where each interface would be."""

    def __init__(self, cell: Cell, stack: ExitStack) -> None:
        self.cell = cell
        self.sockets = []
        for end in cell.ends:
            one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.bind((LOOPBACK, end.listens))
            one.settimeout(2)
            self.sockets.append(one)

    def send(self, end: int, packet: bytes) -> None:
        self.sockets[end].sendto(packet, (LOOPBACK, self.cell.ends[end].sends))

    def hear(self, end: int) -> bytes:
        return self.sockets[end].recv(1000)

    def is_silent(self, end: int) -> bool:
        self.sockets[end].settimeout(0.2)
        with pytest.raises(TimeoutError):
            self.sockets[end].recv(1000)
        return True


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_all_others_hear_a_packet_and_it_is_counted(stack: ExitStack) -> None:
    ledger = Ledger()
    cell = stack.enter_context(Cell(3, watch=ledger))
    ends = Ends(cell, stack)

    ends.send(0, b"hi")

    assert [ends.hear(1), ends.hear(2)] == [b"hi", b"hi"]
    assert ends.is_silent(0)
    assert (cell.total().packets, cell.total().bytes, cell.traffic(1).packets) == (1, 2, 0)
    assert ledger.sizes() == [2]


def test_a_cell_with_echo_lets_senders_hear_themselves(stack: ExitStack) -> None:
    ends = Ends(stack.enter_context(Cell(2, echo=True)), stack)

    ends.send(0, b"hi")

    assert [ends.hear(0), ends.hear(1)] == [b"hi", b"hi"]


def test_packets_of_all_ends_queue_for_one_channel(stack: ExitStack) -> None:
    cell = stack.enter_context(Cell(3, rate_bps=8_000))
    ends = Ends(cell, stack)

    ends.send(0, bytes(300))
    ends.send(1, bytes(301))
    heard = [len(ends.hear(2)), len(ends.hear(2))]

    assert heard == [300, 301]
    assert cell.queue_s == 0


def test_every_hearer_loses_by_his_own_luck(stack: ExitStack) -> None:
    cell = stack.enter_context(Cell(3, loss=0.5, seed=1))
    ends = Ends(cell, stack)
    for nth in range(40):
        ends.send(0, bytes([nth]))

    heard = []
    for end in (1, 2):
        ends.sockets[end].settimeout(0.5)
        got = set()
        while True:
            try:
                got.add(ends.hear(end))
            except TimeoutError:
                break
        heard.append(got)

    assert heard[0] != heard[1]
    assert cell.total().lost == 80 - len(heard[0]) - len(heard[1])
    assert 0 < cell.total().lost < 80


def test_nothing_passes_a_cell_that_is_off(stack: ExitStack) -> None:
    cell = stack.enter_context(Cell(2, on=False))
    ends = Ends(cell, stack)

    ends.send(0, b"hi")

    assert ends.is_silent(1)


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (b"\x01" + bytes(30), Kind.ANNOUNCE),
        (b"\x08" + bytes(30), Kind.BROADCAST),
        (bytes.fromhex("08006b9f66014d9853faab220fba47d02761") + bytes(30), Kind.PATH_REQUEST),
        (b"\x02" + bytes(30), Kind.LINK),
        (b"\x0c" + bytes(30), Kind.LINK),
        (b"", Kind.LINK),
    ],
)
def test_a_packet_tells_what_it_is_for(packet: bytes, kind: Kind) -> None:
    assert kind_of(packet) == kind
