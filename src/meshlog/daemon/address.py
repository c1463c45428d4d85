"""Where the control socket of a store is: in a folder that only its owner may enter.

The name is short and derived from the store's real path, because a socket's path may hold
107 bytes (unix(7)) and a store's may not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from meshlog.errors import StoreError

SOCKET_PATH_SIZE_MAX = 107
"""Source: unix(7), ``sun_path`` of 108 bytes with its final zero."""

FOLDER_MODE = 0o700
_NAME_SIZE = 8


def control_paths(store: str | Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return where the socket of a store may be, the best place first.

    Two places, because a service often has no ``XDG_RUNTIME_DIR`` where its owner's shell has
    one: a node listens at the first that it can make, and whoever calls tries them all.
    """
    resolved = os.fsencode(Path(store).resolve())
    name = hashlib.blake2b(resolved, digest_size=_NAME_SIZE).hexdigest()
    folders = []
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and Path(runtime).is_dir():
        folders.append(Path(runtime) / "meshlog")
    folders.append(Path(tempfile.gettempdir()) / f"meshlog-{os.geteuid()}")
    folders.append(Path("/tmp") / f"meshlog-{os.geteuid()}")  # noqa: S108 - owner and mode are checked
    paths = [folder / name for folder in dict.fromkeys(folders)]
    return [path for path in paths if len(os.fsencode(path)) <= SOCKET_PATH_SIZE_MAX]


def make_folder(folder: Path) -> None:
    """Make a folder for sockets, or check the one that is there.

    Raises:
        StoreError: It cannot be made, or is not ours alone.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made ({error.strerror}): check its folder") from error
    if not is_private(folder):
        raise StoreError(f"{folder} is open to others: remove it, or `chmod 700` what is yours")


def is_private(folder: Path) -> bool:
    """Say whether ``folder`` is a folder, not a link to one, that only we may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = found.st_uid == os.geteuid()
    return stat.S_ISDIR(found.st_mode) and ours and not found.st_mode & 0o077
