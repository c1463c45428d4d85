"""The small values of the replica and of the store itself, each with a checksum beside it."""

from __future__ import annotations

from meshlog.errors import StoreError
from meshlog.store.checksums import crc_of
from meshlog.store.file import StoreFile

OWN_PREFIX = "store."


def read_meta(file: StoreFile, key: str) -> bytes | None:
    """Return a value, or None.

    Raises:
        StoreError: Its checksum does not fit: the disk flipped a bit.
    """
    row = file.first("SELECT value, crc FROM meta WHERE key = ?", (key,))
    if row is None:
        return None
    value, crc = bytes(row[0]), row[1]
    if crc_of(key, value) != crc:
        raise StoreError(f"{file.path}: its {key} is damaged: run `meshlog fsck`")
    return value


def write_meta(file: StoreFile, key: str, value: bytes) -> None:
    """Keep a value, within the open transaction."""
    file.write("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, value, crc_of(key, value)))


def damaged_meta(file: StoreFile) -> list[str]:
    """Return the keys whose values are damaged; a damaged key is one, too."""
    rows = file.run("SELECT key, value, crc FROM meta")
    return [str(key) for key, value, crc in rows if crc_of(str(key), bytes(value)) != crc]


class MetaValues:
    """Meta over a store's file. Keys that begin with ``store.`` are the store's own."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def get_meta(self, key: str) -> bytes | None:
        """See Meta.get_meta.

        Raises:
            StoreError: The value is damaged.
        """
        return read_meta(self._file, key)

    def set_meta(self, key: str, value: bytes) -> None:
        """See Meta.set_meta."""
        assert not key.startswith(OWN_PREFIX), "the store keeps its own values"
        write_meta(self._file, key, value)
