"""Targets of trust: decrees, seals, keys in sealed boxes, fork proofs, bundle files."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.target import MIB, Target
from fuzz.vectors import hexes, load
from meshlog.core.bundlefile import read_about, read_frame_head, read_head, read_holds
from meshlog.core.decrees import read_decree
from meshlog.core.event import NO_PREV, DatasetId, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.forkproof import ForkProof
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.keylog import fold_keys
from meshlog.core.lives import fold_seals
from meshlog.core.sealedbox import are_boxes, open_box
from meshlog.errors import MalformedError

_BOX = load("box")
_BUNDLE = load("bundle")
_DATASET = DatasetId(EventId(bytes.fromhex(_BOX["dataset"])))
_MEMBER = Identity(bytes.fromhex(_BOX["members"][0]["private"]))
_AUTHOR = AuthorId(bytes.fromhex(load("decree")["author"]))
_SALT = bytes.fromhex(_BUNDLE["salt"])


def _decree(data: bytes) -> None:
    """A body in a control feed, as a decree, a seal or a key."""
    key = FeedKey(_AUTHOR, FeedKind.CONTROL, 7)
    event = Event.make(key, 2, Stamp(1_750_000_000_000, 0), NO_PREV, data, _DATASET)
    assert read_decree(event) == read_decree(event)
    assert fold_seals([event]) == fold_seals([event, event])
    assert fold_keys([event]) == fold_keys([event, event])


def _boxes(data: bytes) -> None:
    if are_boxes(data):
        found = open_box(data, _MEMBER, _DATASET)
        assert found is None or isinstance(found, bytes)


def _fork(data: bytes) -> None:
    proof = ForkProof.decode(data)
    proof.check()
    assert ForkProof.decode(proof.encode()) == proof


def _bundlefile(data: bytes) -> None:
    """A head, and the contents of frames, whose seal a holder of the key can make."""
    read_frame_head(data, _SALT)
    refusals = 0
    for read in (read_about, read_holds):
        try:
            read(data)
        except MalformedError:
            refusals += 1
    head, size = read_head(data)
    assert head.encode() == data[:size]


def _decree_seeds() -> Iterator[bytes]:
    yield from hexes("decree", "good", "ignored", key="body")
    yield bytes.fromhex(_BOX["body"])


def _bundle_seeds() -> Iterator[bytes]:
    yield from hexes("bundle", "heads", "frames", "refused_heads")
    yield from hexes("bundle", "frames", key="content")


TARGETS = (
    Target("decree", _decree, _decree_seeds, 8 * MIB),
    Target("boxes", _boxes, lambda: [bytes.fromhex(_BOX["boxes"])], MIB),
    Target("fork", _fork, lambda: hexes("fork", "good", "shows_nothing", "bad"), 8 * MIB),
    Target("bundlefile", _bundlefile, _bundle_seeds, 8 * MIB),
)
