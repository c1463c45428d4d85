"""What a view of one's own is made of: a reducer, which takes events in total order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol, TypeAlias

from meshlog.core.event import Content, Event, read_body
from meshlog.errors import InputError

NAME_SIZE_MAX = 64
"""Bytes of a reducer's name: a choice."""


State: TypeAlias = Any
"""What a reducer comes to: None, truth values, whole numbers of 64 bits, finite floats, text,
bytes, lists, and dicts with text keys, nested at most 16 deep; no tuples, no derived types, and
no list or dict in two places."""


WHY_LENGTH_MAX = 256
"""Characters of a reason that are kept: it may quote a payload. A choice."""


class SkipEvent(Exception):  # noqa: N818 - it is no error: hostile payloads are expected
    """Raised by a reducer that cannot read an event; the event is kept, skipped and listed.

    Raise it before the state is changed. Of its reason the first 256 characters are kept.
    """


class TakenEvent(Event):
    """An event as a reducer gets it: its payload is made of what a state may hold."""

    __slots__ = ()

    @property
    def content(self) -> Content | None:
        """The decoded body, in lists and dicts of one's own. Cost: one CBOR decoding."""
        return read_body(self.body, is_frozen=False)


class Reducer(Protocol):
    """A deterministic fold: the same events make the same state on every device.

    It gets the events of its kinds that count, in total order: by stamp, then author,
    incarnation, seq and id. It reads nothing but its arguments – no clock, no file, no luck –
    because it is run again from an earlier state whenever an event comes late. ``name``,
    ``version`` and ``kinds`` may be plain attributes.
    """

    @property
    def name(self) -> str:
        """Text of 1 to 64 bytes; what was kept under another name is not this reducer's."""

    @property
    def version(self) -> int:
        """Raise it whenever the reducer changes: what the old one kept is then made again."""

    @property
    def kinds(self) -> Collection[str]:
        """Of the events that it takes, e.g. ``{"task.add", "task.done"}``."""

    def initial(self) -> State:
        """Return the state before the first event."""

    def apply(self, state: State, event: Event) -> State:
        """Return the state after ``event``; ``state`` may be changed and returned.

        Args:
            state: As ``initial`` or this made it, or the same read back: no difference is seen.
            event: ``kind``, ``payload`` (whatever its author wrote, in lists and dicts that are
                made anew at each look), ``author``, ``stamp`` (as it was fixed, where a clock was).

        Raises:
            SkipEvent: The event cannot be read.
        """


def check_reducer(reducer: Reducer) -> None:
    """Refuse what is no reducer.

    Raises:
        InputError: Its name, version or kinds are not what they should be.
    """
    name, version, kinds = (getattr(reducer, each, None) for each in ("name", "version", "kinds"))
    if not all(callable(getattr(reducer, each, None)) for each in ("initial", "apply")):
        raise InputError("a reducer has name, version, kinds, initial and apply")
    if type(name) is not str or not 1 <= len(name.encode(errors="replace")) <= NAME_SIZE_MAX:
        raise InputError(f"a reducer's name is text of 1 to {NAME_SIZE_MAX} bytes")
    if type(version) is not int or not 0 <= version < 2**32:
        raise InputError(f"the version of reducer {name!r} is a whole number below 2**32")
    if isinstance(kinds, str) or not isinstance(kinds, Collection) or not kinds:
        raise InputError(f"the kinds of reducer {name!r} are a set of texts, at least one")
    if not all(type(kind) is str for kind in kinds):
        raise InputError(f"the kinds of reducer {name!r} are texts, at least one")
