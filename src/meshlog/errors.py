"""Every exception that a caller of meshlog can see.

What a peer sends wrong is never an exception above the codec: it is refused and counted.
"""

from __future__ import annotations

CHECK_IT = ": run `meshlog fsck`"
"""How errors about a damaged store end."""


def without_advice(error: Exception) -> str:
    """Return what an error says, for whoever checks the store by now."""
    return str(error).removesuffix(CHECK_IT)


class MeshlogError(Exception):
    """Ground of the tree: one sentence for a person, saying what to do."""


class MalformedError(MeshlogError):
    """Bytes that do not follow docs/protocol.md; ``reason`` is a short word for counters."""

    def __init__(self, reason: str) -> None:
        """Take the reason, e.g. ``"truncated"``."""
        super().__init__(f"malformed: {reason}")
        self.reason = reason


class InputError(MeshlogError):
    """A caller's argument cannot be used: too large, wrong type, unknown name."""


class StoreError(MeshlogError):
    """The disk or the store file failed; what raised it changed nothing."""


class StoreBusyError(StoreError):
    """Another process writes to the store; ``holder_pid`` says which, if known."""

    def __init__(self, path: str, holder_pid: int | None) -> None:
        """Name the file and its holder."""
        holder = f"process {holder_pid}" if holder_pid else "another process"
        super().__init__(
            f"{path} is in use by {holder}: stop it, or talk to it through the command line"
        )
        self.path = path
        self.holder_pid = holder_pid


class StoreUnavailableError(StoreError):
    """Nothing says that the store is damaged: it is of another meshlog, locked, or not ours."""


class ReducerError(MeshlogError):
    """A reducer of the caller's raised; what it had done since the last look is undone."""

    def __init__(self, name: str, event_id: bytes | None, cause: Exception) -> None:
        """Name the reducer and the event that it raised on, None before the first."""
        where = "before the first event" if event_id is None else f"on event {event_id.hex()[:8]}"
        super().__init__(
            f"reducer {name!r} failed {where}"
            f" ({type(cause).__name__}: {cause}): mend it, and raise its version"
        )
        self.name = name
        self.event_id = event_id


class IdentityError(MeshlogError):
    """An identity file or a key cannot be trusted: torn, flipped, of small order."""


class TransportError(MeshlogError):
    """Reticulum is missing or cannot start."""
