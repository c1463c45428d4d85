"""Bodies of events: what a kind's keys are is known, each is coded in its own way.

Every key of a payload is present or not, at the price of what is usual for its kind; a value
that is not what its key usually holds, and a key that no kind has, are coded as any value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshlog.core.coder import Coder, prior
from meshlog.core.compact.memory import Memory, is_nameable, name_form
from meshlog.core.compact.refs import is_replaces, ref_map, refs
from meshlog.core.compact.texts import text
from meshlog.core.compact.values import generic, typed
from meshlog.core.derived import DERIVED, id_of_fields
from meshlog.core.event import BODY_SIZE_MAX, Content, encode_body, read_body
from meshlog.core.feed import FeedKind
from meshlog.core.fieldtypes import SHARE_MAX
from meshlog.core.form import Form
from meshlog.errors import InputError, MalformedError

_KEYS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "record.put": (("form", 40), ("fields", 64), ("replaces", 8), ("by", 16)),
    "field.set": (("field", 64), ("value", 64), ("replaces", 32)),
    "record.create": (("form", 64), ("by", 60)),
    "note.add": (("text", 64),),
    "attachment.add": (("field", 64), ("blob_hash", 64), ("size", 60), ("mime", 60)),
    "record.delete": (("replaces", 40),),
}
"""Keys of the kinds that views read, beside ``record_id``, in the order in which they are coded,
and in how many of 64 events each stands. The other keys come after these."""

_KINDS = tuple(_KEYS)
_OTHER, _RAW = len(_KINDS), len(_KINDS) + 1
_KIND_WEIGHTS = (12, 12, 4, 4, 2, 1, 1, 1)
_NEARLY = prior(1, 200)
"""Where a key holds what it should, 200 times of 201 before anything was seen."""


_SHARES = tuple(prior(1 + 2 * (SHARE_MAX - share), 1 + 2 * share) for share in range(SHARE_MAX + 1))
"""Of each share of answered fields, how likely is none."""


class _Ids(NamedTuple):
    LAST: int = 0
    EARLIER: int = 1
    TOLD: int = 2
    DERIVED: int = 3


_ID = _Ids()
_ID_WEIGHTS = (3, 1, 3, 2)


def body(coder: Coder, memory: Memory, data: bytes = b"") -> bytes:
    """Code the body of one event."""
    memory.begin_event()
    content = _carried(data) if coder.is_writing else None
    kind = _RAW if content is None else _OTHER
    if content is not None and _is_record(memory, content):
        kind = _KINDS.index(content.kind)
    kind = coder.symbol(("kind", memory.last.get("kind", 0)), len(_KINDS) + 2, kind, _KIND_WEIGHTS)
    memory.last["kind"] = kind
    if kind == _RAW:
        size = coder.uint("raw", len(data), BODY_SIZE_MAX, 5)
        memory.charge(size)
        return coder.plain(size, data)
    if kind == _OTHER:
        name = text(coder, memory, "kind", content.kind if content else "")
        memory.keep(name)
        said = generic(coder, memory, ("payload", name), content.payload if content else None)
        if not isinstance(said, Mapping):
            raise MalformedError("a payload is a map")
    else:
        name = _KINDS[kind]
        said = _record(coder, memory, name, content.payload if content else None)
    return data if content else _encoded(name, said)


def _is_record(memory: Memory, content: Content) -> bool:
    """Say whether a body is coded as one that views read; control feeds have none."""
    return (
        memory.feed.kind is FeedKind.DATA
        and content.kind in _KEYS
        and "record_id" in content.payload
    )


def _carried(data: bytes) -> Content | None:
    """Return the content of a body whose bytes follow from it; None for any other."""
    content = read_body(data)
    return content if content is not None and _encodes_to(content, data) else None


def _encodes_to(content: Content, data: bytes) -> bool:
    try:
        return encode_body(content.kind, content.payload) == data
    except InputError:
        return False


def _encoded(kind: str, payload: Mapping[str, Any]) -> bytes:
    try:
        return encode_body(kind, payload)
    except InputError as error:
        raise MalformedError("body past its limit") from error


# ── The kinds that views read ───────────────────────────────────────────────────────


def _record(
    coder: Coder, memory: Memory, kind: str, said: Mapping[str, Any] | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    how, record_id = _record_id(coder, memory, kind, said)
    place = _form(coder, memory, kind, record_id, said)
    form = None if place is None else memory.forms[place]
    for key, share in _KEYS[kind]:
        if coder.bit((kind, key), said is not None and key in said, _SHARES[share], 4):
            memory.charge(len(key) + 1)
            found[key] = _key(coder, memory, form, key, record_id, found, said)
    extra = [key for key in said if key not in found and key != "record_id"] if said else []
    for at in range(coder.uint((kind, "more keys"), len(extra), BODY_SIZE_MAX)):
        name = text(coder, memory, "key", extra[at] if said else "")
        memory.keep(name)
        if name in found or name == "record_id":
            raise MalformedError("a key twice")
        found[name] = generic(coder, memory, (kind, name), said[name] if said else None)
    if how == _ID.DERIVED:
        record_id = _derive(memory, found, record_id) if said is None else said["record_id"]
    if isinstance(record_id, str):
        memory.saw_record(record_id, place)
    return found | {"record_id": record_id}


def _record_id(
    coder: Coder, memory: Memory, kind: str, said: Mapping[str, Any] | None
) -> tuple[int, Any]:
    """Code how the record is named, and its id unless that follows from its fields."""
    record_id = said["record_id"] if said else None
    how = _ID.TOLD
    if isinstance(record_id, str) and record_id in memory.ids:
        how = _ID.LAST if memory.ids[-1] == record_id else _ID.EARLIER
    elif said and (rule := _derivation(said)) is not None:
        how, record_id = _ID.DERIVED, rule
    how = coder.symbol(("id", kind), 4, how, _ID_WEIGHTS)
    if how == _ID.TOLD:
        if coder.bit("id is text", not said or isinstance(record_id, str), _NEARLY):
            record_id = text(coder, memory, "id", record_id or "")
        else:
            record_id = generic(coder, memory, "id", record_id)
        return how, record_id
    if how == _ID.DERIVED:
        return how, coder.symbol("derived", len(DERIVED), record_id or 0)
    last = len(memory.ids) - 1
    if last < (how == _ID.EARLIER):
        raise MalformedError("no such record")
    back = 0
    if how == _ID.EARLIER:
        told = last - memory.ids.index(str(record_id)) if said else 1
        back = 1 + coder.uint("id back", told - 1, last - 1, 1)
    memory.charge(len(memory.ids[last - back]))
    return how, memory.ids[last - back]


def _derivation(payload: Mapping[str, Any]) -> int | None:
    """Return by which of the rules of imports a record's id follows from its fields."""
    record_id, form, fields = (payload.get(key) for key in ("record_id", "form", "fields"))
    if not isinstance(record_id, str) or len(record_id) != 16 or not isinstance(form, str):  # noqa: PLR2004 - hex digits of an import's id
        return None
    if not isinstance(fields, Mapping):
        return None
    for rule in range(len(DERIVED)):
        if id_of_fields(form, fields, rule) == record_id:
            return rule
    return None


def _derive(memory: Memory, found: Mapping[str, Any], rule: int) -> str:
    form, fields = found.get("form"), found.get("fields")
    memory.charge(16)
    if not isinstance(form, str) or not isinstance(fields, Mapping):
        raise MalformedError("no such record")
    record_id = id_of_fields(form, fields, rule)
    if record_id is None:
        raise MalformedError("no such record")
    return record_id


def _form(
    coder: Coder, memory: Memory, kind: str, record_id: object, said: Mapping[str, Any] | None
) -> int | None:
    """Code by which form the event is coded: none, one named before, or a new one."""
    if kind in ("note.add", "record.delete"):
        return None
    guess = len(memory.forms) - 1
    if isinstance(record_id, str):
        guess = memory.form_of.get(record_id, guess)
    form = _chosen(memory, kind, said, guess) if said else None
    as_guessed = form is not None and guess >= 0 and memory.forms[guess].id == form.id
    if guess >= 0 and coder.bit("form as before", as_guessed, prior(1, 12), 4):
        return guess
    if not coder.bit("form", form is not None, prior(1, 2)):
        return None
    return name_form(coder, memory, form)


def _chosen(memory: Memory, kind: str, said: Mapping[str, Any], guess: int) -> Form | None:
    """Return the form that a writer codes an event by: what it names, else one of its fields."""
    forms = memory.book.forms
    name = said.get("form")
    found = None
    if isinstance(name, str):
        found = forms.named(name)
    elif kind != "record.create":
        fields = said.get("fields")
        names = fields if isinstance(fields, Mapping) else (said.get("field"),)
        if guess >= 0 and all(name in memory.forms[guess].places for name in names):
            return memory.forms[guess]
        for form in reversed(forms.forms):
            if names and all(name in form.places for name in names):
                found = form
                break
    return found if found is not None and is_nameable(memory, found) else None


def _key(
    coder: Coder,
    memory: Memory,
    form: Form | None,
    key: str,
    record_id: object,
    found: Mapping[str, Any],
    said: Mapping[str, Any] | None,
) -> Any:  # noqa: ANN401 - what a body holds
    value = said[key] if said else None
    kept = said is None or key not in _FITTING or _FITTING[key](value)
    if key == "replaces" and said is not None:
        kept = is_replaces(value, found.get("fields"))
    if key in _FITTING and not coder.bit((key, "fits"), kept, _NEARLY, 4):
        return generic(coder, memory, key, value)
    match key:
        case "form":
            if form is not None and coder.bit("form's name", form.name == value, prior(1, 30)):
                memory.charge(len(form.name))
                return form.name
            return text(coder, memory, "form", value or "")
        case "by":
            name = memory.book.names.get(memory.feed.author, "")
            if coder.bit("own name", value == name, prior(1, 6)):
                memory.charge(len(name))
                return name
            return text(coder, memory, "by", value or "")
        case "fields":
            return _fields(coder, memory, form, value)
        case "field":
            return _field_name(coder, memory, form, value)
        case "value":
            field = found.get("field") if isinstance(found.get("field"), str) else None
            place = form.places.get(field) if form and field is not None else None
            if form is None or place is None:
                return generic(coder, memory, ("value", field), value)
            return typed(coder, memory, form, place, value)
        case "replaces" if isinstance(found.get("fields"), Mapping):
            return ref_map(coder, memory, record_id, list(found["fields"]), value)
        case "replaces":
            return refs(coder, memory, record_id, value)
        case "text" | "mime":
            return text(coder, memory, key, value or "")
    return generic(coder, memory, key, value)


def _fields(
    coder: Coder, memory: Memory, form: Form | None, said: Mapping[str, Any] | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if form is not None:
        before = 1
        for place, (name, _, share) in enumerate(form.fields):
            start = _SHARES[share]
            here = said is not None and name in said
            before = coder.bit((form.id, place, "has", before), here, start, 8)
            if before:
                memory.charge(len(name) + 1)
                found[name] = typed(coder, memory, form, place, said[name] if said else None)
    extra = [name for name in said if name not in found] if said else []
    most = BODY_SIZE_MAX
    for at in range(coder.uint(("more fields", form is None), len(extra), most)):
        name = text(coder, memory, "field", extra[at] if said else "")
        if name in found:
            raise MalformedError("a key twice")
        memory.keep(name)
        memory.charge(1)
        found[name] = generic(coder, memory, ("value", name), said[name] if said else None)
    return found


def _field_name(coder: Coder, memory: Memory, form: Form | None, value: str | None) -> str:
    if form is not None:
        known = form.places.get(value) if value is not None else None
        if coder.bit("field of form", known is not None, prior(1, 30), 4):
            size = len(form.fields)
            last = memory.last.get((form.id, "field"), size)
            place = coder.symbol((form.id, "field", min(last, size)), size, known or 0)
            memory.last[form.id, "field"] = place
            memory.charge(len(form.fields[place].name))
            return form.fields[place].name
    name = text(coder, memory, "field", value or "")
    memory.keep(name)
    return name


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


_FITTING = {
    "form": _is_text,
    "by": _is_text,
    "fields": _is_map,
    "field": _is_text,
    "replaces": lambda _: True,
    "text": _is_text,
    "mime": _is_text,
}
