"""The seed's network: who reaches whom, and what it counts."""

from __future__ import annotations

from meshlog import Node, SimNetwork, SimTransport

Heard = list[tuple[str, str, bytes]]


def listeners(air: SimNetwork, *names: str) -> tuple[dict[str, SimTransport], Heard]:
    heard: Heard = []

    def listen(name: str) -> SimTransport:
        transport = SimTransport(name, air)
        transport.set_receive(lambda src, message: heard.append((src, name, message)))
        return transport

    return {name: listen(name) for name in names}, heard


def test_everybody_reaches_everybody_at_first():
    air = SimNetwork()
    ends, heard = listeners(air, "ann", "bob", "cat")

    assert ends["bob"].reachable_peers() == ["ann", "cat"]
    ends["bob"].send("cat", b"hello")

    assert heard == [("bob", "cat", b"hello")]
    assert (air.bytes_sent, air.messages_sent) == (5, 1)


def test_nodes_reach_those_of_their_own_part_only():
    air = SimNetwork()
    ends, heard = listeners(air, "ann", "bob", "cat", "dan")
    air.set_partitions([{"ann", "bob"}, ["cat"]])

    reached = {name: end.reachable_peers() for name, end in ends.items()}
    ends["ann"].send("cat", b"lost")

    assert reached == {"ann": ["bob"], "bob": ["ann"], "cat": [], "dan": []}
    assert heard == []
    assert (air.bytes_sent, air.messages_sent) == (0, 0), "what nobody hears is not counted"


def test_a_node_in_two_parts_is_the_bridge():
    air = SimNetwork()
    ends, _ = listeners(air, "ann", "bob", "cat")

    air.set_partitions([{"ann", "bob"}, {"bob", "cat"}])

    assert ends["bob"].reachable_peers() == ["ann", "cat"]
    assert ends["ann"].reachable_peers() == ["bob"]


def test_a_part_may_name_somebody_who_is_not_there():
    air = SimNetwork()
    ends, _ = listeners(air, "ann")
    air.set_partitions([{"ann", "ghost"}])

    assert ends["ann"].reachable_peers() == []
    ends["ann"].send("ghost", b"hello")
    ends["ann"].send("nobody", b"hello")

    assert air.messages_sent == 0


def test_the_islands_are_the_networks_own():
    air = SimNetwork()
    ends, _ = listeners(air, "ann", "bob")
    part = {"ann", "bob"}
    air.set_partitions([part])

    part.remove("bob")

    assert ends["ann"].reachable_peers() == ["bob"]


def test_a_transport_without_a_listener_drops_what_arrives():
    air = SimNetwork()
    ann = SimTransport("ann", air)
    SimTransport("bob", air)

    ann.send("bob", b"hello")

    assert air.bytes_sent == 5


def test_nodes_that_agree_spend_little_and_nodes_apart_spend_nothing():
    air = SimNetwork()
    nodes = [Node(name, SimTransport(name, air)) for name in ("ann", "bob")]
    for index in range(50):
        nodes[0].set_field(f"r{index}", "f", "x" * 100)
    for node in nodes:
        node.gossip_round()
    assert nodes[1].frontier() == {"ann": 50}

    spent = air.bytes_sent
    nodes[0].gossip_round()
    assert air.bytes_sent - spent < 150, "a round of agreement fits in a packet or two"

    air.set_partitions([])
    spent = air.bytes_sent
    nodes[0].gossip_round()
    assert air.bytes_sent == spent
