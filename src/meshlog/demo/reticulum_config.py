"""Reticulum configurations that reach nothing but other processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from meshlog.transport.relay import LOOPBACK, Relay, Side


class Udp(NamedTuple):
    """A UDP interface between two loopback ports."""

    name: str
    listen_port: int
    forward_port: int


def end_of(relay: Relay, side: Side, name: str) -> Udp:
    """Return the interface at one end of a relay."""
    ends = relay.ends
    if side == "a":
        return Udp(name, ends.a_listens, ends.a_sends)
    return Udp(name, ends.b_listens, ends.b_sends)


def write_config(directory: Path, interfaces: Sequence[Udp]) -> Path:
    """Write ``directory/config`` and return ``directory``, made if need be.

    The instance shares nothing with others on this machine, relays for nobody, and listens on
    no interface but these.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "[reticulum]",
        "  enable_transport = No",
        "  share_instance = No",
        "  panic_on_interface_error = No",
        "[logging]",
        "  loglevel = 2",
        "[interfaces]",
    ]
    for one in interfaces:
        lines += [
            f"  [[{one.name}]]",
            "    type = UDPInterface",
            "    enabled = Yes",
            f"    listen_ip = {LOOPBACK}",
            f"    listen_port = {one.listen_port}",
            f"    forward_ip = {LOOPBACK}",
            f"    forward_port = {one.forward_port}",
        ]
    (directory / "config").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory
