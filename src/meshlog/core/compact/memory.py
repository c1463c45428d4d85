"""What a compact segment has said so far: what comes again is named by its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from meshlog.core.coder import Coder, prior
from meshlog.core.compact.names import Codebook
from meshlog.core.event import BODY_SIZE_MAX, PARTS_MAX
from meshlog.core.feed import FeedKey
from meshlog.core.form import HINT_SIZE, LONG_HINT_SIZE, Form
from meshlog.errors import MalformedError

SEGMENT_BODIES_MAX = 262_144
"""Bytes of all bodies of a compact segment."""

SPELLED_PER_BYTE = 32
SPELLED_FREE = 2_048
"""Bytes that a segment may spell out, one by one, per byte of its own: each costs a reader
about ten microseconds, and 32 times is more than text that nobody made up shrinks."""

_SHORT = prior(1, 60)

PRIMED = (
    "record.put", "record.create", "field.set", "note.add", "attachment.add", "record.delete",
    "record_id", "form", "fields", "by", "replaces", "field", "value", "text", "blob_hash",
    "size", "mime", "feed.open", "dataset.genesis", "form.put", "keys", "name", "data",
    "admission", "salt", "origin", "image/jpeg", "image/png", "audio/ogg", "application/pdf",
)  # fmt: skip
"""Texts that every segment knows, in the order of their numbers."""


class UnknownNameError(Exception):
    """A segment names a feed or a form that is not known here, or not yet."""


@dataclass(slots=True)
class Memory:
    """The state of one segment while it is written or read; the same on both sides."""

    book: Codebook
    feed: FeedKey
    spell_left: int
    """Bytes that may still be spelled out; see SPELLED_PER_BYTE."""
    is_writing: bool = False
    """A writer is charged nothing: it reads back what it wrote, under a reader's limits."""
    bodies_left: int = SEGMENT_BODIES_MAX
    body_left: int = 0
    parts_left: int = 0
    texts: list[str] = field(default_factory=lambda: list(PRIMED))
    places: dict[str, int] = field(
        default_factory=lambda: {text: place for place, text in enumerate(PRIMED)}
    )
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Per prefix of a numbered text: the last number and its digits."""
    ids: list[str] = field(default_factory=list)
    """Record ids, the latest last, each once."""
    forms: list[Form] = field(default_factory=list)
    """Forms named so far, in the order of their first naming."""
    form_of: dict[str, int] = field(default_factory=dict)
    """Per record id, which form its last event was coded with."""
    refs: list[bytes] = field(default_factory=list)
    """Feeds that were referred to, in the order of their first naming."""
    seq_of: dict[int, int] = field(default_factory=dict)
    """Per feed referred to, the last seq."""
    seen_of: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Per record id, the last reference: place of the feed, seq."""
    is_primed: bool = False
    """Whether it was settled in the light of which form texts are spelled."""
    last: dict[Any, int] = field(default_factory=dict)
    """Per form and field, the last number of its type."""

    def begin_event(self) -> None:
        """Allow one more body."""
        self.body_left = min(BODY_SIZE_MAX, self.bodies_left)
        self.parts_left = PARTS_MAX

    def charge(self, size_bytes: int) -> None:
        """Count bytes of a body before they are made; MalformedError past its limit."""
        if self.is_writing:
            return
        self.body_left -= size_bytes
        self.bodies_left -= size_bytes
        if self.body_left < 0:
            raise MalformedError("body past its limit")

    def count(self, parts: int) -> None:
        """Count texts, lists and maps before they are made, as ``core.event.PARTS_MAX`` does."""
        self.parts_left -= 0 if self.is_writing else parts
        if self.parts_left < 0:
            raise MalformedError("body past its limit")

    def spell(self, size_bytes: int) -> None:
        """Count bytes that are spelled out."""
        self.charge(size_bytes)
        self.spell_left -= 0 if self.is_writing else size_bytes
        if self.spell_left < 0:
            raise MalformedError("expands past its limit")

    def keep(self, text: str) -> None:
        """Remember a text, so that it can be named by its place."""
        if text not in self.places:
            self.places[text] = len(self.texts)
            self.texts.append(text)

    def saw_record(self, record_id: str, form: int | None) -> None:
        """Remember the record of an event."""
        if not self.ids or self.ids[-1] != record_id:
            if record_id in self.form_of or record_id in self.ids:
                self.ids.remove(record_id)
            self.ids.append(record_id)
        if form is not None:
            self.form_of[record_id] = form


def is_nameable(memory: Memory, form: Form) -> bool:
    """Say whether a form's hint stands for it alone."""
    return memory.book.forms.hinted(form.id[:LONG_HINT_SIZE]) is form


def name_form(coder: Coder, memory: Memory, form: Form | None = None) -> int:
    """Code which form is meant: one that was named before, or a new one; return its place.

    Raises:
        UnknownNameError: None that is known here.
    """
    if memory.forms and not coder.bit("form is new", form not in memory.forms):
        place = memory.forms.index(form) if form else 0
        return coder.uint("form place", place, len(memory.forms) - 1)
    forms = memory.book.forms
    is_long = coder.bit(
        "long hint", form is not None and forms.hinted(form.hint) is not form, _SHORT
    )
    size = LONG_HINT_SIZE if is_long else HINT_SIZE
    new = forms.hinted(coder.plain(size, form.id[:size] if form else b""))
    if new is None:
        raise UnknownNameError
    if new in memory.forms:
        raise MalformedError("a form named twice")
    memory.forms.append(new)
    return len(memory.forms) - 1
