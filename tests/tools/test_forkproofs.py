"""Fork proofs made of what a store holds."""

from __future__ import annotations

from dataclasses import replace

from meshlog.core.feed import FeedKind
from meshlog.core.forkproof import ForkProof
from meshlog.errors import MalformedError
from meshlog.tools.forkproofs import fork_proof
from tests.replica.devices import T0_MS, Stranger, identity, open_replica, segs

MALLORY = Stranger(identity("mallory"))


def made() -> tuple[ForkProof, Stranger]:
    cat = open_replica("cat")
    trunk = MALLORY.run(range(10))
    long = MALLORY.run(range(20, 60), trunk[4], word="a long branch ")
    short = MALLORY.run([30], trunk[4], word="short")
    cat.ingest(segs(MALLORY.opening(), trunk, long, short), T0_MS)
    (feed,) = cat.ledger.forks
    proof = fork_proof(
        cat.store, cat.ledger.roster, cat.ledger.frontier, feed, cat.ledger.forks[feed]
    )
    assert proof is not None
    return proof, MALLORY


def test_a_fork_is_proved_by_its_two_shortest_branches():
    proof, mallory = made()

    shows = ForkProof.decode(proof.encode()).check()

    assert shows is not None
    assert (shows.feed, shows.seq) == (mallory.data, 6)
    assert shows.feed.kind is FeedKind.DATA
    assert len(proof.encode()) < 700


def test_no_changed_bit_proves_anything_else():
    """Every bit is signed, or hashed into what is."""
    proof, _ = made()
    data = proof.encode()

    for bit in range(0, len(data) * 8, 5):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            other = ForkProof.decode(bytes(changed))
        except MalformedError:
            continue
        assert other.check() is None


def test_nobody_else_can_be_framed():
    proof, _ = made()
    bob = identity("bob")

    assert replace(proof, keys=bob.keys).check() is None
