"""What a write saw: references to data feeds and their seqs, which people repeat a lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshlog.core.coder import Coder, prior
from meshlog.core.compact.memory import Memory, UnknownNameError
from meshlog.core.compact.names import REF_HINT_SIZE, ref_hint
from meshlog.core.event import SEQ_MAX
from meshlog.errors import MalformedError

_REF_SIZE = 20
_REFS_MAX = 64


def is_refs(value: object) -> bool:
    """Say whether a value is a list of references: 20 bytes of feed, and a seq."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and len(value) <= _REFS_MAX
        and all(map(_is_ref, value))
    )


def _is_ref(item: object) -> bool:
    match item:
        case (bytes() as feed, int() as seq):
            return len(feed) == _REF_SIZE and type(seq) is int and 1 <= seq <= SEQ_MAX
    return False


def is_replaces(value: object, fields: object) -> bool:
    """Say whether references are listed as they should: by field where there are fields."""
    if not isinstance(fields, Mapping):
        return is_refs(value)
    return (
        isinstance(value, Mapping)
        and value.keys() <= fields.keys()
        and all(map(is_refs, value.values()))
    )


def ref_map(
    coder: Coder,
    memory: Memory,
    record_id: object,
    names: list[str],
    said: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Code references by field; each of these fields has a list or none."""
    return {
        name: refs(coder, memory, record_id, said[name] if said else None)
        for name in names
        if coder.bit("replaces field", said is not None and name in said, prior(1, 4))
    }


def refs(
    coder: Coder, memory: Memory, record_id: object, said: Sequence[Any] | None
) -> list[list[Any]]:
    """Code a list of references."""
    count = 1 + coder.sint("refs", len(said) - 1 if said is not None else 0, _REFS_MAX)
    found: list[list[Any]] = []
    for at in range(count):
        memory.charge(_REF_SIZE + 3)
        feed, seq = said[at] if said is not None else (b"", 0)
        found.append(_ref(coder, memory, record_id, feed, seq))
    return found


def _ref(coder: Coder, memory: Memory, record_id: object, feed: bytes, seq: int) -> list[Any]:
    """Code one reference: the one of the same record before, else a feed and a seq."""
    before = memory.seen_of.get(record_id) if isinstance(record_id, str) else None
    if before is not None:
        place, known = before
        same = memory.refs[place] == feed and known == seq
        if coder.bit("ref as before", same, prior(1, 4)):
            return [memory.refs[place], known]
    place = _ref_feed(coder, memory, feed)
    known = memory.seq_of.get(place, 0)
    if known:
        found = known + coder.sint("seq step", seq - known, SEQ_MAX, 4)
    else:
        found = coder.uint("seq", seq, SEQ_MAX, 10)
    if not 1 <= found <= SEQ_MAX:
        raise MalformedError("seq out of range")
    memory.seq_of[place] = found
    if isinstance(record_id, str):
        memory.seen_of[record_id] = (place, found)
    return [memory.refs[place], found]


def _ref_feed(coder: Coder, memory: Memory, feed: bytes) -> int:
    size = len(memory.refs)
    known = memory.refs.index(feed) if feed in memory.refs else size
    place = coder.uint("ref feed", size - known, size) if size else 0
    if size and place:
        return size - place
    hint = ref_hint(feed)
    if coder.bit("ref hinted", memory.book.refs.get(hint) == feed, prior(1, 30)):
        resolved = memory.book.refs.get(coder.plain(REF_HINT_SIZE, hint))
        if resolved is None:
            raise UnknownNameError
        memory.refs.append(resolved)
    else:
        memory.refs.append(coder.plain(_REF_SIZE, feed))
    return size
