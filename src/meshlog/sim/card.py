"""What stands beside a store on a simulated card: the guard that tells a copy from the original."""

from __future__ import annotations

from meshlog.store.instance import Mark


class CardGuard:
    """A guard without a file (see ``store.instance.Guard``).

    A store that is restored, with its guard left where it is, is a restored backup; one opened
    with ``CardGuard()`` was copied alone; one with ``image()`` is a whole card, cloned.
    """

    def __init__(self, mark: Mark | None = None, name: str = "card") -> None:
        """Begin with a mark, or without; ``name`` stands for the file on its disk."""
        self.mark = mark
        self.name = name

    def image(self) -> CardGuard:
        """Return the guard of a card onto which this one was copied bit by bit."""
        return CardGuard(self.mark, self.name)

    def read(self) -> Mark | None:
        """See Guard.read."""
        return self.mark

    def here(self) -> str:
        """See Guard.here."""
        return self.name

    def bind(self, mark: Mark) -> Mark:
        """See Guard.bind."""
        self.mark = mark
        return mark

    def note(self, mark: Mark) -> None:
        """See Guard.note."""
        self.mark = mark

    def close(self) -> None:
        """See Guard.close."""
