"""The checks on Reticulum: is it there, configured, and does anything go out?"""

from __future__ import annotations

import importlib.metadata
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from meshlog.tools.checkup.device import Finding, bad, ok, warn

CONFIG_SIZE_MAX = 1_048_576
SHARED_PORT = 37_428
"""Where a shared instance listens on systems without abstract sockets. Source: RNS 1.5.7."""

_PLACES = ("/etc/reticulum", "~/.config/reticulum", "~/.reticulum")
_INTERFACE = re.compile(r"^\s*\[\[(?!\[)(.+?)\]\]\s*$")
_ENABLED = re.compile(r"^\s*(?:interface_enabled|enabled)\s*=\s*(yes|true|on|1)\s*$", re.IGNORECASE)


def check_reticulum(configdir: str | None) -> Iterator[Finding]:
    """Look at Reticulum without starting it.

    Args:
        configdir: Its configuration directory; None for where Reticulum looks itself.
    """
    try:
        version = importlib.metadata.version("rns")
    except importlib.metadata.PackageNotFoundError:
        yield bad("reticulum", "it is not installed", "pip install 'meshlog[radio]'")
        return
    config = config_of(configdir)
    if config is None:
        advice = "run `rnsd` once, then edit its config: it has examples for LoRa"
        yield warn("reticulum", f"{version}, never configured", advice)
        return
    try:
        text = config.read_bytes()[:CONFIG_SIZE_MAX].decode(errors="replace")
    except OSError as error:
        advice = "check who owns it"
        yield bad("reticulum", f"{config} cannot be read ({error.strerror})", advice)
        return
    enabled = interfaces_in(text)
    if not enabled:
        advice = f"enable one in {config}"
        yield bad("reticulum", f"{version}, but no interface is enabled", advice)
        return
    yield ok("reticulum", f"{version}, enabled: {', '.join(enabled)}")
    if shared_instance_runs():
        yield ok("reticulum", "a shared instance runs")
    else:
        advice = "start rnsd, so that other programs can use the radio, too; or leave it to meshlog"
        yield warn("reticulum", "no shared instance runs", advice)


def check_interfaces(status: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at the interfaces of a running node, as its status tells them."""
    interfaces: Sequence[Mapping[str, Any]] = status.get("interfaces", ())
    if not interfaces:
        advice = "see its log; without --no-radio it names what Reticulum lacks"
        yield warn("radio", "the running node has no interface", advice)
    for interface in interfaces:
        name = str(interface.get("name", "?"))
        if interface.get("online", True):
            yield ok("radio", f"{name} is online")
        else:
            yield bad("radio", f"{name} is offline", "check its cable, its port and its config")


def config_of(configdir: str | None) -> Path | None:
    """Return the config file that Reticulum would read, or None where there is none."""
    for place in (configdir,) if configdir else _PLACES:
        path = Path(place).expanduser() / "config"
        if path.is_file():
            return path
    return None


def interfaces_in(text: str) -> list[str]:
    """Return the names of the interfaces that a config enables, in its order."""
    found: list[str] = []
    name = ""
    for line in text.splitlines():
        section = _INTERFACE.match(line)
        if section is not None:
            name = section[1].strip()
        elif name and _ENABLED.match(line):
            found.append(name)
            name = ""
    return found


def shared_instance_runs() -> bool:
    """Say whether another process on this machine shares its Reticulum."""
    places: list[tuple[socket.AddressFamily, Any]] = [
        (socket.AF_UNIX, "\0rns/default"),
        (socket.AF_INET, ("127.0.0.1", SHARED_PORT)),
    ]
    for family, address in places:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            try:
                connection.connect(address)
            except OSError:
                continue
            return True
    return False
