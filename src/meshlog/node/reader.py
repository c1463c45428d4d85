"""The reading half of a node: records, queries, conflicts, changes, views of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from meshlog.core.hlc import check_stamp
from meshlog.core.roster import label
from meshlog.errors import InputError
from meshlog.node.finder import Finder
from meshlog.node.reducing import NodeReduction
from meshlog.node.seedreplica import SeedReplica
from meshlog.node.watching import follow
from meshlog.query.search import Query
from meshlog.views.asof import records_as_of
from meshlog.views.history import Entry, history
from meshlog.views.records import Conflict, Record
from meshlog.views.reducer import Reducer
from meshlog.views.watch import Cursor, ViewChange, changes_after, cursor_now, resumed


class Page(list[dict[str, Any]]):
    """Records that a query found, in its order."""

    after: str | None = None
    """The cursor behind the last of them, to give to ``query`` for the next ones; None where no
    more follow."""


class NodeReader:
    """Reads the replica that ``lock`` guards; ``Node`` writes and syncs it."""

    def __init__(
        self, replica: SeedReplica, now_ms: Callable[[], int], store: str | Path | None
    ) -> None:
        """Read ``replica``.

        Args:
            replica: This node's.
            now_ms: Tells the wall time.
            store: The store's file; None where it is in memory, or not ours.
        """
        self.replica = replica
        self.lock = RLock()
        """Hold it while touching ``replica``: a transport's thread works on it, too."""
        self._now_ms = now_ms
        self._finder = Finder(replica, store)

    def now_ms(self) -> int:
        """Return the wall time by this node's clock."""
        return self._now_ms()

    @contextmanager
    def current(self) -> Iterator[SeedReplica]:
        """Hold the lock on a replica in which all counts that the clock has reached.

        Whatever is read is read in here, so that no two reads differ by what is due meanwhile.

        Raises:
            StoreError: Something is due, and the disk refused.
        """
        with self.lock:
            self.replica.advance_horizon(self.now_ms())
            yield self.replica

    def view(self, as_of: tuple[int, int] | None = None) -> dict[str, dict[str, Any]]:
        """Return every visible record, as ``materialize`` does.

        Args:
            as_of: A stamp, (wall ms since 1970 UTC, counter), such as an event's ``hlc``: return
                the records as the events up to it make them. None for now.

        Cost: O(records); with a stamp, O(events).
        """
        with self.current() as replica:
            if as_of is None:
                replica.settle()
                return replica.view.snapshot()
            standings = replica.ledger.standings(replica.store)
            records = records_as_of(replica.store, check_stamp(as_of), standings)
            return {record.record_id: record.public() for record in records}

    def record(self, record_id: str) -> Record | None:
        """Return one record, deleted ones included; None where nothing is known of it.

        Raises:
            InputError: The id is no text.
        """
        _check_id(record_id)
        with self.current() as replica:
            return replica.record(record_id)

    def query(
        self,
        *where: str,
        form: str | None = None,
        text: str = "",
        bbox: tuple[float, float, float, float] | None = None,
        sort: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        after: str | None = None,
    ) -> Page:
        """Return the visible records that a query finds, as ``view`` shows them.

        Args:
            where: Conditions such as ``"status = BROKEN and depth_m > 30"``; docs/sql.md has
                their words. All must hold.
            form: Only records of this form.
            text: Words that their notes and text values must hold.
            bbox: West, south, east, north in degrees: only records with a place inside.
            sort: Fields, ``-`` before one for the greatest first; ``@id``, ``@written``.
            limit: At most so many.
            offset: Leave out the first ones. Between two questions records may come and go before
                them: for page after page take ``after``.
            after: The cursor of the page before, from a query with the same ``sort``: only records
                behind its last one, wherever that is by now. A record that stays in its place
                is on one page, whatever the others do.

        Raises:
            InputError: The query cannot be read; the message says where.

        Cost: O(records that changed since the last query + what the query looks at).
        """
        asked = Query(form, where, text, bbox, sort, limit, offset, after)
        with self.current() as replica:
            found = self._finder.find(asked)
            records = (replica.record(record_id) for record_id in found.record_ids)
            page = Page(record.public() for record in records if record is not None)
            page.after = found.after
            return page

    def conflicts(self, record_id: str | None = None) -> list[Conflict]:
        """Return the fields in conflict, by record id and field; of one record, or of all.

        Raises:
            InputError: The id is no text.
        """
        if record_id is not None:
            _check_id(record_id)
        with self.current() as replica:
            return replica.view.conflicts(record_id)

    def history(self, record_id: str, field: str | None = None) -> list[Entry]:
        """Return every event that touches a record, held and excluded ones too, in total order.

        Each says who wrote what, when (by its stamp, and when it arrived here), through which
        feed, whether it counts and why not, and what became of each value.

        Args:
            record_id: A record; an unknown one has no history.
            field: Only events that wrote this field.

        Raises:
            InputError: The id is no text.

        Cost: O(n log n) for n values that events of the record wrote.
        """
        _check_id(record_id)
        with self.current() as replica:
            roster = replica.ledger.roster
            told = history(
                replica.store,
                record_id,
                lambda author: label(roster, author),
                replica.ledger.standings(replica.store),
            )
        return [e for e in told if field is None or any(w.field == field for w in e.wrote)]

    def cursor(self) -> str:
        """Return the cursor after which ``watch`` yields only what changes from now on."""
        with self.current() as replica:
            replica.settle()
            return str(cursor_now(replica.store))

    def watch(
        self, cursor: str | None = None, *, form: str | None = None, wait_s: float | None = None
    ) -> Iterator[ViewChange]:
        """Yield what changes in the view, each change once, in order; wait for more.

        A record that changes several times before it is read comes once, as it is then.

        Args:
            cursor: That of the last change that was dealt with, kept wherever the reader likes,
                across restarts, too; None begins with all that there is. One from before this
                store was restored from a backup, or from another, begins anew.
            form: Only records of this form. One that takes another form is told of once more,
                ``left`` and as it is now; so is one that nothing counted touches any more.
            wait_s: Seconds to wait for the next change before the end; 0 reads what there is,
                None waits for ever.

        Raises:
            InputError: The cursor is none.
        """
        known = Cursor.parse(cursor) if cursor is not None else None
        with self.current() as replica:
            place, _ = resumed(replica.store, known)
        return follow(place, lambda after: self._changes(after, form), wait_s)

    def _changes(self, after: Cursor, form: str | None) -> tuple[list[ViewChange], Cursor]:
        with self.current() as replica:
            replica.settle()
            return changes_after(replica.store, after, form)

    def reduction(self, reducer: Reducer) -> NodeReduction:
        """Return a view of one's own: what ``reducer`` makes of the events of its kinds.

        Nothing is done before its ``state`` is asked for. What it comes to is kept in the store
        under its name and version, so that the next start goes on from there.

        Raises:
            InputError: It is no reducer.
        """
        return NodeReduction(self.replica.store, self.current, reducer)


def _check_id(record_id: object) -> None:
    """Refuse what no record can be called: a program looks for 7 where the record is "7"."""
    if not isinstance(record_id, str):
        raise InputError(f"a record id is text, not {type(record_id).__name__}")
