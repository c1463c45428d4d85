"""The small values of the replica and of the store itself, each with a checksum beside it."""

from __future__ import annotations

from meshlog.errors import CHECK_IT, StoreError
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
    value: bytes = row[0]
    if not _is_sound(key, *row):
        raise StoreError(f"{file.path}: its {key} is damaged{CHECK_IT}")
    return value


def _is_sound(key: str, value: object, crc: object) -> bool:
    """Say whether a value is bytes, as a damaged one may not be, and its checksum fits."""
    return type(value) is bytes and crc_of(key, value) == crc


def write_meta(file: StoreFile, key: str, value: bytes) -> None:
    """Keep a value, within the open transaction."""
    file.write("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, value, crc_of(key, value)))


def damaged_meta(file: StoreFile) -> list[str]:
    """Return the keys whose values are damaged; a damaged key is one, too."""
    rows = file.run("SELECT key, value, crc FROM meta")
    return [str(key) for key, value, crc in rows if not _is_sound(str(key), value, crc)]


class LaterValues:
    """Values that are written with the next checkpoint."""

    def __init__(self, *, is_whole: bool) -> None:
        """Take whether the file was left with a checkpoint at its log's end.

        Where it was not, its writer was killed: what stood in memory there is lost.
        """
        self._is_whole = is_whole
        self._values: dict[str, bytes] = {}
        self._new: dict[str, bytes] = {}
        """Of the open transaction."""

    @property
    def are_known(self) -> bool:
        """Whether a checkpoint can have them: what a killed writer set, somebody has to set again.

        Without that the log alone tells them, and a checkpoint would say that it need not be asked.
        """
        return self._is_whole or bool(self._values or self._new)

    def get(self, key: str) -> bytes | None:
        """Return a value that may not be written yet; None where the file has the latest."""
        return self._new.get(key, self._values.get(key))

    def set(self, key: str, value: bytes) -> None:
        """Keep a value, within the open transaction."""
        self._new[key] = value

    def replace(self, key: str, value: bytes) -> None:
        """Follow a value that is written at once."""
        if self.get(key) is not None:
            self._new[key] = value

    def write(self, file: StoreFile) -> None:
        """Write them all, within the open transaction."""
        for key, value in (self._values | self._new).items():
            write_meta(file, key, value)

    def accept(self) -> None:
        """Keep what is new: the transaction is durable."""
        if self._new:
            self._values.update(self._new)
            self._new.clear()

    def restore(self) -> None:
        """Forget what is new: the transaction never was."""
        self._new.clear()


class MetaValues:
    """Meta over a store's file. Keys that begin with ``store.`` are the store's own."""

    _file: StoreFile
    _later: LaterValues

    def get_meta(self, key: str) -> bytes | None:
        """See Meta.get_meta.

        Raises:
            StoreError: The value is damaged.
        """
        later = self._later.get(key)
        return read_meta(self._file, key) if later is None else later

    def set_meta(self, key: str, value: bytes) -> None:
        """See Meta.set_meta."""
        assert not key.startswith(OWN_PREFIX), "the store keeps its own values"
        write_meta(self._file, key, value)
        self._later.replace(key, value)

    def set_meta_later(self, key: str, value: bytes) -> None:
        """See Meta.set_meta_later."""
        assert not key.startswith(OWN_PREFIX), "the store keeps its own values"
        self._later.set(key, value)
