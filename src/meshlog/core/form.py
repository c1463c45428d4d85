"""A form: the fields of a kind of records and their types, pinned by a control event.

It says how events are coded, never what they may hold: a value that does not fit its type
costs more bytes, nothing else. docs/protocol.md §5 is normative.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from meshlog.core.event import Event, encode_body, read_body
from meshlog.core.fieldtypes import SHARE_MAX, FieldType
from meshlog.core.grant import Role
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster
from meshlog.core.typedefinition import read_type
from meshlog.errors import InputError, MalformedError

FORM_KIND = "form.put"
FORM_SIZE_MAX = 16_384
"""Bytes of a form's event body. A choice: about a minute of air at SF8, once per form."""

FIELDS_MAX = 256
NAME_SIZE_MAX = 256
FORMS_MAX = 256
"""Forms that count, the earliest; a dataset has a handful."""

LONG_HINT_SIZE = 8
"""Where two forms share their short hint: nobody can make a form that shares this one."""

HINT_SIZE = 2
"""Bytes that name a form in a segment. A hint: what a wrong one decodes to has no signature."""


class FormField(NamedTuple):
    """A field of a form."""

    name: str
    type: FieldType | None
    """None for text."""
    share: int
    """In how many of 64 records it is expected to be answered."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a ``form.put`` pins; equal bodies are one form."""

    name: str
    fields: tuple[FormField, ...]
    id: bytes
    """32 bytes: the hash of the event's body."""
    places: Mapping[str, int] = field(repr=False, compare=False)
    """Where a field stands, by its name."""
    definition: Mapping[str, Any] = field(repr=False, compare=False)
    """The payload that pins it, deeply immutable."""

    @property
    def words(self) -> bytes:
        """The form's own words: its options, then the names of its fields."""
        listed = [getattr(item.type, "options", ()) for item in self.fields]
        told = [option for options in listed for option in options if isinstance(option, str)]
        return " ".join((*told, *(item.name for item in self.fields))).encode()

    @property
    def hint(self) -> bytes:
        """Two bytes that name it in a segment."""
        return self.id[:HINT_SIZE]


def form_body(definition: Mapping[str, Any]) -> bytes:
    """Return the body of the event that pins a definition.

    Args:
        definition: ``form``, its name, and ``fields``, a list of ``[name, type]`` or ``[name,
            type, parameters]``; docs/protocol.md §5 lists the types.

    Raises:
        InputError: Not a form; the message says where it is wrong.
    """
    body = encode_body(FORM_KIND, definition)
    if len(body) > FORM_SIZE_MAX:
        raise InputError(f"a form is at most {FORM_SIZE_MAX} bytes, this one has {len(body)}")
    try:
        read_form(body)
    except MalformedError as error:
        raise InputError(f"not a form: {error}") from error
    return body


@lru_cache(maxsize=FORMS_MAX)
def read_form(body: bytes) -> Form:
    """Return the form that a ``form.put`` pins.

    Raises:
        MalformedError: Not one, or of types that this version does not know.
    """
    content = read_body(body) if len(body) <= FORM_SIZE_MAX else None
    if content is None or content.kind != FORM_KIND:
        raise MalformedError("no form")
    if content.payload.keys() != {"form", "fields"}:
        raise MalformedError("a form has a name and fields")
    name, listed = _name(content.payload["form"]), content.payload["fields"]
    if not isinstance(listed, tuple) or not 0 < len(listed) <= FIELDS_MAX:
        raise MalformedError(f"a form has 1 to {FIELDS_MAX} fields")
    fields = tuple(map(_read_field, listed))
    places = {item.name: place for place, item in enumerate(fields)}
    if len(places) != len(fields):
        raise MalformedError("two fields have one name")
    return Form(name, fields, form_id(body), places, content.payload)


def form_id(body: bytes) -> bytes:
    """Return the 32 bytes that name the form of an event's body."""
    return hashlib.blake2b(body, digest_size=32).digest()


def _read_field(item: object) -> FormField:
    match item:
        case (name, str() as kind):
            params: Mapping[str, Any] = {}
        case (name, str() as kind, Mapping() as params):
            pass
        case _:
            raise MalformedError("a field is [name, type, parameters]")
    share = params.get("share", SHARE_MAX // 2)
    if type(share) is not int or not 0 <= share <= SHARE_MAX:
        raise MalformedError(f"field {name!r}: share is 0 to {SHARE_MAX}")
    others = {key: value for key, value in params.items() if key != "share"}
    try:
        return FormField(_name(name), read_type(kind, others), share)
    except MalformedError as error:
        raise MalformedError(f"field {name!r}: {error}") from error


def _name(value: object) -> str:
    if type(value) is not str or not 0 < len(value.encode()) <= NAME_SIZE_MAX:
        raise MalformedError(f"a name is text of 1 to {NAME_SIZE_MAX} bytes")
    return value


# ── The forms of a dataset: a pure function of the control events ───────────────────


class Pinned(NamedTuple):
    """A form and where it was pinned first by one author; sorts by time."""

    order: tuple[int, bytes, int, int, bytes]
    author: AuthorId
    form: Form


@dataclass(frozen=True, slots=True)
class FormBook:
    """The forms that a dataset's members pinned, oldest first."""

    forms: tuple[Form, ...] = ()

    def named(self, name: str) -> Form | None:
        """Return the form that was pinned last under a name."""
        return next((form for form in reversed(self.forms) if form.name == name), None)

    def hinted(self, hint: bytes) -> Form | None:
        """Return the form that a hint names; None where it is unknown or ambiguous."""
        found = [form for form in self.forms if form.id.startswith(hint)]
        return found[0] if len(found) == 1 else None


FORMS_PER_AUTHOR_MAX = 16
"""Forms of one author that count: a survey has a few, an attack hundreds."""


@dataclass(frozen=True, slots=True)
class FormLog:
    """Every ``form.put`` seen, whoever wrote it; grows, and never depends on their order."""

    pinned: Mapping[tuple[AuthorId, bytes], Pinned] = field(default_factory=dict)

    def put(self, event: Event) -> FormLog:
        """Return the log after one more control event; what is no form changes nothing."""
        if b"form.put" not in event.body[:16]:
            return self
        try:
            form = read_form(event.body)
        except MalformedError:
            return self
        key = (event.author, form.id)
        new = Pinned(event.order, event.author, form)
        known = self.pinned.get(key)
        if known is not None and known.order <= new.order:
            return self
        return FormLog({**self.pinned, key: new})

    def book(self, roster: Roster) -> FormBook:
        """Return the forms that count: of members who may write, the earliest 256.

        Of one author the latest 16: nobody can crowd out what the others pinned.
        """
        found: dict[bytes, Form] = {}
        left = Counter(pinned.author for pinned in self.pinned.values())
        for pinned in sorted(self.pinned.values(), key=lambda item: item.order):
            member = roster.members.get(pinned.author)
            left[pinned.author] -= 1
            if left[pinned.author] >= FORMS_PER_AUTHOR_MAX:
                continue
            if member is not None and member.role >= Role.WRITER:
                found.setdefault(pinned.form.id, pinned.form)
        return FormBook(tuple(found.values())[:FORMS_MAX])


def fold_forms(events: Iterable[Event]) -> FormLog:
    """Return the forms that these control events pin, in any order."""
    log = FormLog()
    for event in events:
        log = log.put(event)
    return log
