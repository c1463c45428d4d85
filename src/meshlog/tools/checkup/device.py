"""What can keep a device from working: each check is one line, and what to do about it.

Everything here only looks. A check never raises: what it cannot find out is a finding, too.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from meshlog.core.credible import day, incredible
from meshlog.errors import MeshlogError
from meshlog.store import load_identity
from meshlog.store.instance import kind_of_file_system
from meshlog.store.migrate import SQLITE_VERSION_MIN
from meshlog.tools.wholefile import temporary_beside

FREE_BAD_BYTES = 20 * 1024 * 1024
"""A survey of 10,000 records takes 10 MB, and a repair as much again. A choice."""

FREE_WARN_BYTES = 200 * 1024 * 1024
SYNC_WARN_MS = 500
"""A sync on a worn SD card; on a good one it takes about 5."""

PYTHON_VERSION_MIN = (3, 11)
OTHERS = 0o077
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")

_FLEETING = frozenset({"tmpfs", "ramfs", "overlay"})
_FOREIGN = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})


class Level(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(NamedTuple):
    """One line for a person."""

    level: Level
    subject: str
    """What was looked at, a word: ``"disk"``."""
    text: str
    advice: str = ""
    """What to do; empty where all is well."""


def ok(subject: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, subject, text)


def warn(subject: str, text: str, advice: str) -> Finding:
    """Return a finding that wants a look."""
    return Finding(Level.WARN, subject, text, advice)


def bad(subject: str, text: str, advice: str) -> Finding:
    """Return a finding that keeps the device from working, or data from being safe."""
    return Finding(Level.BAD, subject, text, advice)


def check_versions() -> Iterator[Finding]:
    """Look at what we run on."""
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if sys.version_info < PYTHON_VERSION_MIN:
        yield bad("program", python, "install Python 3.11 or newer")
    elif sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        yield bad("program", python, "install SQLite 3.37 or newer")
    else:
        yield ok("program", python)


def check_clock(now_ms: int, latest_ms: int) -> Iterator[Finding]:
    """Look at the clock.

    Args:
        now_ms: What it shows.
        latest_ms: Of the latest event that is held and believed; 0 for none.
    """
    doubt = incredible(now_ms, latest_ms)
    if doubt:
        yield bad("clock", doubt, "set it: timedatectl set-time, or a GPS or NTP server in reach")
        return
    if Path("/run/systemd").is_dir() and not SYNCHRONIZED.exists():
        advice = "compare it with another device; a battery for the clock survives power cuts"
        yield warn("clock", f"{day(now_ms)}, set by no time server since boot", advice)
    else:
        yield ok("clock", day(now_ms))


def check_disk(folder: Path) -> Iterator[Finding]:
    """Look at the disk that the store is on: room, kind, and whether it takes a synced write."""
    if not folder.is_dir():
        yield bad("disk", f"{folder} is not a folder", "make it, or name another store: --data")
        return
    stat = os.statvfs(folder)
    free_bytes = stat.f_bavail * stat.f_frsize
    free = f"{free_bytes // 1_000_000:,} MB free"
    if free_bytes < FREE_BAD_BYTES:
        yield bad("disk", free, "free some space: nothing can be written soon")
    elif free_bytes < FREE_WARN_BYTES:
        yield warn("disk", free, "free some space before it runs out")
    elif stat.f_files and not stat.f_favail:
        yield bad("disk", "it takes no more files", "delete some files")
    else:
        yield ok("disk", free)
    yield _kind(folder)
    yield _sync(folder)


def _kind(folder: Path) -> Finding:
    try:
        kind = kind_of_file_system(folder)
    except OSError:
        kind = ""
    name = kind or "unknown"
    if kind in _FLEETING:
        return warn("disk", f"{name}: gone at the next boot", "keep the store on a real disk")
    if kind in _FOREIGN:
        advice = "keep the store on ext4; take sticks like this one for bundles and backups"
        return warn("disk", f"{name}: it keeps no permissions and little order", advice)
    if kind in _REMOTE:
        return bad("disk", f"{name}: on another machine", "keep the store on a disk of this one")
    return ok("disk", f"{name} file system")


def _sync(folder: Path) -> Finding:
    trial = temporary_beside(folder / "meshlog-doctor")
    start_s = time.monotonic()
    try:
        fd = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, bytes(4_096))
            os.fsync(fd)
        finally:
            os.close(fd)
            trial.unlink(missing_ok=True)
    except OSError as error:
        advice = "check who owns the folder, and whether the disk is mounted read-only"
        return bad("disk", f"{folder} takes no writes ({error.strerror})", advice)
    took_ms = (time.monotonic() - start_s) * 1_000
    if took_ms > SYNC_WARN_MS:
        return warn(
            "disk", f"a synced write took {took_ms:,.0f} ms", "the card may be worn: back up"
        )
    return ok("disk", f"a synced write took {took_ms:.0f} ms")


def check_permissions(store: Path, identity: Path) -> Iterator[Finding]:
    """Look whether others may read what is secret."""
    beside = [store, identity]
    beside += [store.with_name(store.name + suffix) for suffix in ("-wal", "-shm", ".instance")]
    beside += [identity.with_name(identity.name + suffix) for suffix in (".bak",)]
    open_to_others = [path for path in beside if path.exists() and path.stat().st_mode & OTHERS]
    strangers = [path for path in beside if path.exists() and not os.access(path, os.R_OK)]
    for path in open_to_others:
        yield bad("secrets", f"{path} can be read by others", f"chmod 600 {path}")
    for path in strangers:
        yield bad("secrets", f"{path} is not yours", f"run this as its owner, or chown {path}")
    if not open_to_others and not strangers and store.exists():
        yield ok("secrets", "store and identity are readable by you alone")


def check_identity(path: Path) -> Iterator[Finding]:
    """Look at the identity file, its checksum and its copy."""
    if not path.exists() and not path.with_name(path.name + ".bak").exists():
        advice = "put it back from a copy; without it this device cannot write as itself"
        yield bad("identity", f"{path} is missing", advice)
        return
    lacking = [s for s in (".sum", ".bak") if not path.with_name(path.name + s).exists()]
    if lacking:
        advice = "they are made when the store is opened next"
        yield warn("identity", f"{path} lacks {' and '.join(lacking)} beside it", advice)
        return
    try:
        load_identity(path)
    except MeshlogError as error:
        what, _, advice = str(error).partition(": ")
        yield bad("identity", what, advice)
    else:
        yield ok("identity", "whole, with its checksum and its copy")
