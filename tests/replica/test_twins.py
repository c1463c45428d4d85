"""Copied, restored and cloned devices, on real files: nothing is lost, everybody hears of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise, permutations
from pathlib import Path
from random import Random

import pytest

from meshlog.core.event import encode_body
from meshlog.core.feed import FeedKind
from meshlog.core.lives import BRANCHES_MAX
from meshlog.replica import Replica, join_open
from meshlog.replica.twins import twins_status
from meshlog.sim.card import CardGuard
from meshlog.store import SqliteStore
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    chain,
    holds_alike,
    identity,
    note,
    open_replica,
    segs,
    texts,
)

TWO_DEVICES = "this identity runs on two devices: ann"


class Card:
    """A device of the author "ann" on files of its own; with a guard, on a card to be cloned."""

    def __init__(self, folder: Path, guard: CardGuard | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "ann.meshlog"
        self.guard = guard
        self.replica = self._start()

    def _start(self) -> Replica:
        self.store = SqliteStore(self.path, guard=self.guard)
        if self.store.get_meta("dataset") is None:
            join_open(self.store, identity("ann"), "ann")
        return Replica(self.store, identity("ann"), T0_MS, Random())

    def restart(self) -> None:
        self.store.close()
        self.replica = self._start()

    def cloned(self, folder: Path) -> Card:
        """Clone the whole card while it is off: the guard is none the wiser."""
        assert self.guard is not None, "on a card"
        self.store.close()
        folder.mkdir()
        shutil.copy(self.path, folder / self.path.name)
        self.replica = self._start()
        return Card(folder, self.guard.image())

    def backup(self, folder: Path) -> Path:
        """Copy the files as they are, in use or not."""
        folder.mkdir()
        for file in self.path.parent.glob(f"{self.path.name}*"):
            shutil.copy(file, folder / file.name)
        return folder

    def restored(self, backup: Path) -> None:
        """Put a backup back where it was taken."""
        self.store.close()
        for file in self.path.parent.iterdir():
            if not (backup / file.name).exists():
                file.unlink()
        for file in backup.iterdir():
            shutil.copyfile(file, self.path.parent / file.name)
        self.replica = self._start()


def meet(one: Replica, other: Replica) -> None:
    """Sync two devices of different authors until they agree."""
    Pump(one, other).meet(one, other)


def settle(cards: list[Card], others: list[Replica]) -> None:
    """Let everybody meet through the others, who are of other authors, until all is told."""
    for _ in range(4):
        for card in cards:
            for other in others:
                meet(card.replica, other)
        for one, other in pairwise(others):
            meet(one, other)


def says_two_devices(replica: Replica) -> bool:
    return any(news.startswith(TWO_DEVICES) for news in replica.news)


@pytest.mark.parametrize("how", ["whole cards", "files"])
@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_a_device_restored_on_two_converges_keeps_both_and_is_reported(
    tmp_path: Path, how: str, order: tuple[int, ...]
):
    """Both go on writing before they meet anybody; whoever meets first, all ends alike."""
    card = Card(tmp_path / "one", CardGuard() if how == "whole cards" else None)
    note(card.replica, "before")
    if how == "files":
        backup = card.backup(tmp_path / "backup")
        shutil.copytree(backup, tmp_path / "two")
        card.restored(backup)
        cards = [card, Card(tmp_path / "two")]
    else:
        cards = [card, card.cloned(tmp_path / "two")]
    others = [open_replica("cat"), open_replica("dan")]
    for number, each in enumerate(cards):
        for text in range(3):
            note(each.replica, f"{number}.{text}", T0_MS + text)

    meetings = [(0, 0), (1, 0), (1, 1)]
    for place in order:
        who, whom = meetings[place]
        meet(cards[who].replica, others[whom])
    for number, each in enumerate(cards):
        note(each.replica, f"{number} again", T0_MS + 10)
    settle(cards, others)

    everybody = [*(each.replica for each in cards), *others]
    assert holds_alike(*everybody)
    wanted = {"before", "0.0", "0.1", "0.2", "1.0", "1.1", "1.2", "0 again", "1 again"}
    assert all(texts(one) == wanted for one in everybody)
    assert cards[0].replica.data_feed != cards[1].replica.data_feed
    assert all(says_two_devices(one) for one in others)
    assert [one["name"] for one in twins_status(others[0].ledger, others[0].identity.author)] == [
        "ann"
    ]


def test_every_node_says_it_once_restarts_included(tmp_path: Path):
    card = Card(tmp_path / "one", CardGuard())
    note(card.replica, "before")
    twin = card.cloned(tmp_path / "two")
    note(card.replica, "one")
    note(twin.replica, "two")
    store = SqliteStore(tmp_path / "cat.meshlog")
    cat = open_replica("cat", store=store)

    settle([card, twin], [cat])
    said = [news for news in cat.news if news.startswith(TWO_DEVICES)]
    note(card.replica, "more")
    settle([card, twin], [cat])
    store.close()
    again = open_replica("cat", store=SqliteStore(tmp_path / "cat.meshlog"))

    assert len(said) == 1
    assert len([news for news in cat.news if news.startswith(TWO_DEVICES)]) == 1
    assert not says_two_devices(again)
    assert twins_status(again.ledger, again.identity.author)


def test_a_device_restored_on_one_is_no_twin(tmp_path: Path):
    """Its old life is sealed: people hear of a second device only where there is one."""
    card, cat = Card(tmp_path / "one"), open_replica("cat")
    note(card.replica, "before")
    backup = card.backup(tmp_path / "backup")
    note(card.replica, "after the backup")
    meet(card.replica, cat)
    ended = card.replica.data_feed.incarnation
    card.restored(backup)
    note(card.replica, "restored")

    settle([card], [cat])

    assert holds_alike(card.replica, cat)
    assert texts(cat) == {"before", "after the backup", "restored"}
    assert not says_two_devices(cat)
    assert cat.ledger.seals[card.replica.identity.author] == {ended}


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 8, 13])
def test_after_a_lost_tail_every_new_event_reaches_everyone(tmp_path: Path, lost: int):
    """The predecessor's 0 of 6: new writes took the places of the lost ones, silently."""
    card, others = Card(tmp_path / "one"), [open_replica("cat"), open_replica("dan")]
    for number in range(5):
        note(card.replica, f"kept {number}")
    backup = card.backup(tmp_path / "backup")
    for number in range(lost):
        note(card.replica, f"lost {number}")
    meet(card.replica, others[0])
    card.restored(backup)
    for number in range(lost):
        note(card.replica, f"new {number}")

    settle([card], others)

    assert holds_alike(card.replica, *others)
    for other in others:
        assert {f"new {number}" for number in range(lost)} <= texts(other)
        assert {f"lost {number}" for number in range(lost)} <= texts(other)


def test_a_killed_device_whose_last_writes_nobody_saw_goes_on(tmp_path: Path):
    """In real processes: killed, set back to older files, started again."""
    (tmp_path / "one").mkdir()
    script = f"""
import os, shutil
from pathlib import Path
from random import Random
from meshlog.replica import Replica, join_open
from meshlog.store import SqliteStore
from tests.replica.devices import T0_MS, identity, note
path = Path({str(tmp_path / "one" / "ann.meshlog")!r})
store = SqliteStore(path)
join_open(store, identity("ann"), "ann")
replica = Replica(store, identity("ann"), T0_MS, Random())
note(replica, "kept")
for file in path.parent.iterdir():
    shutil.copy(file, {str(tmp_path)!r})
note(replica, "lost")
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    for name in ("ann.meshlog", "ann.meshlog-wal"):
        shutil.copyfile(tmp_path / name, tmp_path / "one" / name)

    card, cat = Card(tmp_path / "one"), open_replica("cat")
    note(card.replica, "new")
    settle([card], [cat])

    assert texts(cat) == {"kept", "new"}
    assert any("copied or restored" in news for news in card.replica.news)


@pytest.mark.parametrize("seed", range(6))
def test_clones_of_clones_meet_in_any_order(tmp_path: Path, seed: int):
    rng = Random(seed)
    cards = [Card(tmp_path / "0", CardGuard())]
    others = [open_replica("cat"), open_replica("dan")]
    written = set()
    for step in range(30):
        card = rng.choice(cards)
        match rng.randrange(5):
            case 0 if len(cards) < 5:
                cards.append(card.cloned(tmp_path / str(len(cards))))
            case 1:
                meet(card.replica, rng.choice(others))
            case 2:
                card.restart()
            case _:
                text = f"{step}"
                note(card.replica, text, T0_MS + step)
                written.add(text)
    settle(cards, others)

    assert holds_alike(*(card.replica for card in cards), *others)
    assert texts(others[0]) == written
    assert len({card.replica.data_feed for card in cards}) == len(cards)


def test_a_sealed_feed_that_grows_nevertheless_converges(tmp_path: Path):
    """A twin that had not heard of the seal goes on writing there for a while."""
    card, cat, dan = Card(tmp_path / "one", CardGuard()), open_replica("cat"), open_replica("dan")
    note(card.replica, "before")
    twin = card.cloned(tmp_path / "two")
    meet(card.replica, cat)
    note(twin.replica, "twin")
    meet(twin.replica, cat)
    assert card.replica.data_feed == twin.replica.data_feed, "nobody has seen two of them yet"
    note(card.replica, "card")
    meet(card.replica, cat)  # shown its own future: seals, and lives on elsewhere
    old = twin.replica.data_feed
    assert old.incarnation in cat.ledger.seals[old.author]
    for number in range(5):
        note(twin.replica, f"after the seal {number}")
    assert twin.replica.data_feed == old, "it has not heard"

    settle([card, twin], [cat, dan])

    assert holds_alike(card.replica, twin.replica, cat, dan)
    assert {"before", "twin", "card", "after the seal 4"} <= texts(dan)
    assert twin.replica.data_feed != old


def test_a_seal_by_anybody_else_ends_no_life():
    ann, mallory = open_replica("ann"), Stranger(identity("mallory"))
    life = ann.data_feed.incarnation
    seal = {"life": life, "control": [], "data": []}
    first = mallory.opening()
    second = chain(
        mallory.who, mallory.control, [1], first[0], bodies=[encode_body("feed.seal", seal)]
    )

    assert ann.ingest(segs(first, second), T0_MS).events == 2
    assert ann.data_feed.incarnation == life


def test_branches_are_counted_and_too_many_are_called_what_they_are():
    cat, mallory = open_replica("cat"), Stranger(identity("mallory"))
    trunk = mallory.run([0, 1])
    cat.ingest(segs(mallory.opening(), trunk), T0_MS)
    for number in range(BRANCHES_MAX + 1):
        branch = mallory.run([5], trunk[0], word=f"branch {number} ")
        cat.ingest(segs(branch), T0_MS)

    (told,) = twins_status(cat.ledger, cat.identity.author)
    assert told["hostile"]
    assert told["forks"] == [
        {
            "kind": FeedKind.DATA.name.lower(),
            "incarnation": "00000007",
            "branches": BRANCHES_MAX + 2,
            "after_seq": 1,
        }
    ]
    assert cat.ledger.forks == type(cat.ledger).load(cat.store, cat.dataset).forks
    assert os.linesep not in told["words"]


def test_a_correction_beats_what_it_saw_though_the_clock_was_set_back(tmp_path: Path):
    """The clock of the store never runs backwards: it is kept over the restart."""
    card, cat = Card(tmp_path / "one"), open_replica("cat")
    day_ms = 86_400_000
    cat.append("field.set", {"record_id": "w", "field": "depth", "value": 3}, T0_MS + 60_000)
    Pump(card.replica, cat, now_ms=T0_MS).meet(card.replica, cat)
    card.restart()

    correction = {"record_id": "w", "field": "depth", "value": 4}
    card.replica.append("field.set", correction, T0_MS - day_ms)
    settle([card], [cat])

    for one in (card.replica, cat):
        assert one.view.snapshot()["w"]["fields"] == {"depth": 4}
        assert not one.view.snapshot()["w"].get("conflicts")
