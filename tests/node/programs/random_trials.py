"""Two hundred random trials: whatever the islands were, one healed network agrees on everything.

Written against the library's predecessor, without a word of this project's own; the suite runs
it as it is.
"""

import json
import random
import sys

from meshlog import Event, FeedStore, Node, SimNetwork, SimTransport, materialize


def islands_of(names, luck):
    parts: list[set[str]] = [set() for _ in range(luck.randint(1, len(names)))]
    for name in names:
        luck.choice(parts).add(name)
    return [part for part in parts if part]


def write(node, luck):
    record = f"R-{luck.randint(1, 5)}"
    what = luck.random()
    if what < 0.2:
        node.create_record(record, luck.choice(["site", "water_point"]))
    elif what < 0.8:
        node.set_field(record, luck.choice(["status", "count"]), luck.randint(0, 99))
    elif what < 0.9:
        node.add_note(record, f"note {luck.randint(0, 999)}")
    else:
        node.add_attachment(record, "photo", f"{luck.getrandbits(64):016x}", 1_024, "image/png")


def trial(seed):
    luck = random.Random(seed)
    network = SimNetwork()
    names = [f"n{index}" for index in range(luck.randint(2, 6))]
    nodes = {name: Node(name, SimTransport(name, network)) for name in names}
    for _ in range(luck.randint(2, 5)):
        network.set_partitions(islands_of(names, luck))
        for _ in range(luck.randint(0, 8)):
            write(nodes[luck.choice(names)], luck)
        for node in nodes.values():
            if luck.random() < 0.7:
                node.gossip_round()
    network.set_partitions([set(names)])
    for _ in range(3):
        for node in nodes.values():
            node.gossip_round()

    first = nodes[names[0]]
    expected = json.dumps(first.view(), sort_keys=True)
    for node in nodes.values():
        assert node.frontier() == first.frontier(), f"seed {seed}: frontiers differ"
        assert json.dumps(node.view(), sort_keys=True) == expected, f"seed {seed}: views differ"

    events = first.store.all_events()
    json.dumps([event.payload for event in events])
    shuffled = list(events)
    luck.shuffle(shuffled)
    assert json.dumps(materialize(shuffled), sort_keys=True) == expected, f"seed {seed}: order"

    copy = FeedStore()
    wires = json.loads(json.dumps([event.to_wire() for event in shuffled]))
    copy.ingest_many([Event.from_wire(wire) for wire in wires])
    assert copy.frontier() == first.frontier(), f"seed {seed}: copy differs"
    assert copy.ingest_many(events) == 0, f"seed {seed}: not idempotent"
    assert copy.delta_for(first.frontier()) == []
    assert {event.id for event in copy.delta_for({})} == {event.id for event in events}
    for name in names:
        mine = [event for event in events if event.author == name]
        assert len(mine) == first.frontier().get(name, 0) == first.store.next_seq(name) - 1
        assert sorted(event.seq for event in mine) == list(range(1, len(mine) + 1))
        if mine:
            assert first.store.last_id(name) == max(mine, key=lambda event: event.seq).id


if __name__ == "__main__":
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for seed in range(trials):
        trial(seed)
    print(f"{trials} trials agree")
