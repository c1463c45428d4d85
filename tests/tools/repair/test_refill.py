"""A store that lost events by its repair meets those who have them, by sync alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshlog import Node, SimNetwork, SimTransport
from meshlog.core.identity import Identity
from meshlog.store import SqliteStore
from meshlog.tools.fsck.fsck import fsck
from meshlog.tools.repair.repair import RepairReport, repair
from tests.tools.camp import T0_MS, Device

LOST = "the depth was read twice"


class Scene:
    """Base wrote, ann has all of it, and base's card was damaged and its store repaired."""

    def __init__(self, folder: Path, where: str) -> None:
        """Damage the event that stands there in base's own feed: in the middle, or at its end."""
        self.path = folder / "base.db"
        base = Device("base", 1, self.path)
        ann = Device("ann", 2, folder / "ann.db", at=base)
        base.give(ann)
        ann.give(base)
        for number in range(12):
            is_lost = number == (6 if where == "middle" else 11)
            text = LOST if is_lost else f"note {number}"
            base.write("note.add", record_id=f"W-{number % 3}", text=text)
            base.replica.root()
        base.give(ann)
        ann.write("note.add", record_id="W-1", text="seen")
        self.life = base.replica.data_feed.incarnation
        self.identity: Identity = base.replica.identity
        self.ann: Identity = ann.replica.identity
        self.before = {arrival.event.id for arrival in ann.store.scan()}
        base.store.close()
        ann.store.close()
        data = self.path.read_bytes()
        assert 1 <= data.count(LOST.encode()) <= 2, "in its event, and in its record's row"
        self.path.write_bytes(data.replace(LOST.encode(), b"?" * len(LOST)))
        self.report: RepairReport = repair(
            self.path, self.identity, T0_MS + 10_000_000, lambda _done, _total: None
        )

    def open(self, path: Path, who: Identity, name: str, air: SimNetwork) -> Node:
        return Node(who, SimTransport(name, air), seated=SqliteStore(path))


@pytest.mark.parametrize("where", ["middle", "end"])
@pytest.mark.parametrize("writes_first", [True, False])
def test_what_repair_lost_comes_back_from_a_peer_and_its_places_are_not_used_again(
    tmp_path: Path, where: str, writes_first: bool
) -> None:
    scene, air = Scene(tmp_path, where), SimNetwork()
    assert scene.report.lost == 1
    ann = scene.open(tmp_path / "ann.db", scene.ann, "ann", air)
    base = scene.open(scene.path, scene.identity, "base", air)

    if writes_first:
        base.emit("note.add", {"record_id": "W-2", "text": "after the repair"})
    for _ in range(3):
        base.gossip_round()
        ann.gossip_round()
    if not writes_first:
        base.emit("note.add", {"record_id": "W-2", "text": "after the repair"})
        base.gossip_round()

    for node in (base, ann):
        store, frontier = node.replica.store, node.replica.frontier()
        assert scene.before <= {arrival.event.id for arrival in store.scan()}
        assert all(len(heads) == 1 for heads in frontier.values()), "nothing forked"
        assert fsck(store, node.replica.dataset).is_clean
    assert base.replica.data_feed.incarnation != scene.life
    assert base.replica.root() == ann.replica.root()
    assert base.view() == ann.view()
    assert {LOST, "seen", "after the repair"} <= {
        note for record in base.view().values() for note in record["notes"]
    }


def test_where_the_first_event_is_lost_nothing_can_be_taken_and_a_peer_brings_all(
    tmp_path: Path,
) -> None:
    """Without it nobody's membership can be told: the store is empty, and still a member's."""
    base = Device("base", 1, tmp_path / "base.db")
    ann = Device("ann", 2, tmp_path / "ann.db", at=base)
    base.give(ann)
    base.write("note.add", record_id="W-1", text="seen")
    ann.give(base)
    base.give(ann)
    before = {arrival.event.id for arrival in ann.store.scan()}
    genesis = base.store.get(base.replica.dataset)
    assert genesis is not None
    base.store.close()
    data = (tmp_path / "base.db").read_bytes()
    row = genesis.event.id + genesis.event.body  # the seat knows both, too, each by itself
    assert row in data
    (tmp_path / "base.db").write_bytes(data.replace(row, bytes(len(row))))

    who = base.replica.identity
    report = repair(tmp_path / "base.db", who, T0_MS + 10_000_000, lambda _done, _total: None)

    assert (report.events, report.lost + report.refused) == (0, 1)
    air = SimNetwork()
    again = Node(who, SimTransport("base", air), seated=SqliteStore(tmp_path / "base.db"))
    peer = Node(ann.replica.identity, SimTransport("ann", air), seated=ann.store)
    for _ in range(3):
        again.gossip_round()
        peer.gossip_round()
    assert before <= {arrival.event.id for arrival in again.replica.store.scan()}
    assert again.view() == peer.view() == {"W-1": again.view()["W-1"]}
    assert fsck(again.replica.store, again.replica.dataset).is_clean
