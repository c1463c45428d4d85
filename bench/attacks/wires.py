"""Two ends of a wire: Reticulum configurations that meet over UDP on loopback."""

from __future__ import annotations

import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


def wire(folder: Path) -> tuple[Path, Path]:
    """Write two configuration folders, of the victim and of the attacker."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for end in (one, two):
            end.bind((LOOPBACK, 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    return (
        _config(folder / "rns-victim", ports[0], ports[1]),
        _config(folder / "rns-attacker", ports[1], ports[0]),
    )


def _config(folder: Path, listens: int, sends: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "config").write_text(
        f"""[reticulum]
  enable_transport = No
  share_instance = No
  panic_on_interface_error = No
[logging]
  loglevel = 2
[interfaces]
  [[wire]]
    type = UDPInterface
    enabled = Yes
    listen_ip = {LOOPBACK}
    listen_port = {listens}
    forward_ip = {LOOPBACK}
    forward_port = {sends}
""",
        encoding="utf-8",
    )
    return folder
