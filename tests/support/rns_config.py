"""Reticulum configuration directories for tests: loopback only, one per process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Udp:
    """A UDP interface between two loopback ports; for a `Relay`, one of its ends."""

    name: str
    listen_port: int
    forward_port: int
    bitrate_bps: int | None = None
    """What Reticulum believes of it. Sets timeouts; throttles nothing."""


def write_config(
    directory: Path,
    interfaces: Sequence[Udp],
    *,
    transport: bool = False,
    share: bool = False,
    loglevel: int = 2,
) -> Path:
    """Write ``directory/config`` and return ``directory``.

    Args:
        directory: Made if need be; one per Reticulum instance.
        interfaces: None for a client that only finds the shared instance.
        transport: Whether the instance relays for others.
        share: Whether the first process here serves the others (as ``rnsd`` does). The
            instance's name is derived from the directory, so that tests do not meet.
        loglevel: 0 critical to 7 extreme.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "[reticulum]",
        f"  enable_transport = {_yes(transport)}",
        f"  share_instance = {_yes(share)}",
        f"  instance_name = test-{abs(hash(str(directory)))}",
        "  panic_on_interface_error = No",
        "[logging]",
        f"  loglevel = {loglevel}",
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
        if one.bitrate_bps is not None:
            lines.append(f"    bitrate = {one.bitrate_bps}")
    (directory / "config").write_text("\n".join(lines) + "\n")
    return directory


def _yes(flag: bool) -> str:
    return "Yes" if flag else "No"
