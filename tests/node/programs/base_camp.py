"""A base camp and four teams: islands, a conflicting edit, and a network that heals in stages.

Written against the library's predecessor, without a word of this project's own; the suite runs
it as it is. It prints the agreed dataset as JSON, and fails where the nodes disagree.
"""

import json
import time

from meshlog import Node, SimNetwork, SimTransport

NAMES = ["base", "team_a", "team_b", "team_c", "team_d"]

network = SimNetwork()
nodes = {name: Node(name, SimTransport(name, network)) for name in NAMES}


def settle(rounds=4):
    for _ in range(rounds):
        for node in nodes.values():
            node.gossip_round()


def stage(title, partitions):
    network.set_partitions(partitions)
    settle()
    counts = {name: sum(node.frontier().values()) for name, node in nodes.items()}
    print(f"# {title}: {counts}")


def main():
    # Three islands, each collects on its own.
    network.set_partitions([{"base"}, {"team_a", "team_b"}, {"team_c", "team_d"}])
    nodes["base"].create_record("R-100", "site_assessment")
    nodes["base"].set_field("R-100", "status", "OPENED")
    created = nodes["team_a"].create_record("R-200", "water_point")
    assert created.seq == 1
    assert created.prev == ""
    assert created.author == "team_a"
    second = nodes["team_a"].set_field("R-200", "functional", False)
    assert second.prev == created.id
    assert second.hlc > created.hlc
    nodes["team_b"].add_note("R-200", "pump handle is missing")
    nodes["team_c"].create_record("R-300", "clinic")
    nodes["team_d"].add_attachment("R-300", "photo", "c0ffee" * 8, 48_213, "image/jpeg")
    stage("islands", [{"base"}, {"team_a", "team_b"}, {"team_c", "team_d"}])
    assert "R-200" not in nodes["base"].view()
    assert nodes["team_b"].view()["R-200"]["fields"] == {"functional": False}

    # A relay meets one island, then the other.
    stage("team_a comes home", [{"base", "team_a"}, {"team_b"}, {"team_c", "team_d"}])
    assert nodes["base"].view()["R-200"]["notes"] == ["pump handle is missing"]
    stage("base meets the east", [{"base", "team_c"}, {"team_a", "team_b"}, {"team_d"}])
    assert nodes["team_c"].frontier()["team_b"] == 1, "they never met"

    # Two that cannot hear each other change one field.
    network.set_partitions([{"team_a"}, {"team_c"}, {"base", "team_b", "team_d"}])
    nodes["team_a"].set_field("R-100", "status", "CLOSED-BY-A")
    time.sleep(0.01)  # the later one wins; within one millisecond their names would decide
    winner = nodes["team_c"].set_field("R-100", "status", "CLOSED-BY-C")
    stage("apart", [{"team_a"}, {"team_c"}, {"base", "team_b", "team_d"}])
    stage("one side", [{"team_a", "base", "team_b"}, {"team_c", "team_d"}])
    stage("all together", [set(NAMES)])

    views = {name: json.dumps(node.view(), sort_keys=True) for name, node in nodes.items()}
    assert len(set(views.values())) == 1, "views differ"
    frontiers = [node.frontier() for node in nodes.values()]
    assert all(frontier == frontiers[0] for frontier in frontiers), "frontiers differ"
    assert frontiers[0] == {"base": 2, "team_a": 3, "team_b": 1, "team_c": 2, "team_d": 1}
    events = nodes["team_d"].store.all_events()
    assert len(events) == nodes["team_d"].store.event_count() == 9
    assert {event.author for event in events} == set(NAMES)
    assert all(event.is_authentic() for event in events)
    assert winner.id in {event.id for event in events}
    assert network.bytes_sent > 0
    assert network.messages_sent > 0
    print(json.dumps(nodes["base"].view(), sort_keys=True))


if __name__ == "__main__":
    main()
