"""Every row of the table: what is measured, the bar, and the measurements behind it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import log
from pathlib import Path
from typing import Any, NamedTuple

from bench.air.inputs import CARRIED, SURVEY
from bench.data.jobs import Told, cpu_s, in_turns, middle, old, ours
from meshlog.sync.reply import PIECE_EVENTS

SIGNED = "0.5.0"
"""The version that signs; 0.1.0 has no signatures, and folds records by itself."""
RECORDS = "0.1.0"

ORDERS = {
    "reversed": ("a reversed batch", 1),
    "shuffled": ("a shuffled batch", 1),
    "twins": ("a reversed batch of forked twins", 4),
}
"""Hostile orders: their words, and which part of the sizes is measured (what is slow, smaller)."""


class Cell(NamedTuple):
    """One line of the table."""

    key: str
    what: str
    bar: str
    mine: str
    peer: str
    ratio: str


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    times: int
    """Repetitions, of which the median is taken."""
    turns: int
    """The same of writing and taking in, where ours and the peer's take turns."""
    ingest: int
    """Events that are taken in."""
    emit: int
    """Events that are written, and the least of a hostile batch."""
    sizes: tuple[int, ...]
    """Sizes of store at which cost against size is measured."""
    rows: Path | None = None
    """A survey; None: the real one where it lies beside the repository, else the carried one."""


QUICK = Scale(1, 1, 4_000, 400, (1_000, 10_000))
WHOLE = Scale(3, 7, 40_000, 4_000, (1_000, 10_000, 100_000, 1_000_000))


def per_event(seconds: float, events: int) -> str:
    """Return what one event costs."""
    return f"{seconds / events * 1e6:.1f} µs"


def ratio(slow: float, fast: float) -> str:
    """Return how many times faster."""
    found = slow / fast
    return f"{found:,.0f}×" if found >= 20 else f"{found:.2g}×"


def ingest(scale: Scale) -> Iterable[Cell]:
    """Segments of 32 and of 256 events, as sync takes a bundle in, and those of 32 one by one."""
    n = scale.ingest
    peer = {"do": "receive", "events": n}
    told = in_turns(
        scale.turns,
        partial(old, SIGNED, **peer, signed=True, persist=True),
        partial(old, RECORDS, **peer, signed=False, persist=False),
        *(
            partial(ours, do="receive", events=n, size=size, batch=batch)
            for size, batch in ((32, 1), (32, PIECE_EVENTS // 32), (256, PIECE_EVENTS // 256))
        ),
    )
    signed, bare, one, many, large = (middle(some, "cpu_s") for some in told)
    settle = middle(told[-1], "settle_cpu_s")
    kept = f"{SIGNED}, signed, persisted"
    in_memory = f"{RECORDS}, unsigned, in memory, no view"
    what, piece = "taking in, 32 events a segment", f"{PIECE_EVENTS // 32} a transaction"
    for key, said, bar, mine, peer in (
        ("ingest", f"{what}, {piece}, as sync takes in a bundle; {kept}", "≥ 15×", many, signed),
        ("ingest", f"{what}, a transaction each; {kept}", "", one, signed),
        ("ingest", f"the same, {piece}; {in_memory}", "≥ 1.5×", many, bare),
        ("ingest", f"the same, a transaction each; {in_memory}", "", one, bare),
        ("bootstrap", f"bootstrap, 256 a segment, {PIECE_EVENTS // 256} a transaction; {kept}",
         "≥ 35×", large, signed),
        ("bootstrap", f"bootstrap and the view's rows written, once; {kept}", "", large + settle,
         signed),
    ):  # fmt: skip
        yield Cell(key, said, bar, per_event(mine, n), per_event(peer, n), ratio(peer, mine))


def emit(scale: Scale) -> Iterable[Cell]:
    """Writing, durable and signed on return."""
    n = scale.emit
    kept = f"{SIGNED}, signed, persisted"
    written: list[tuple[str, str, int, dict[str, Any]]] = []
    for many, bar, sync, held in (
        (1, "≥ 1.1×", True, 0),
        (1, "", False, 0),
        (32, "≥ 8×", True, 0),
        (32, "", False, 0),
        (32, "", True, 10_000),
    ):
        count = n * min(many, 8)
        how = "one by one" if many == 1 else f"{many} at once"
        how += ", durable" if sync else ", the disk not synced"
        how += f", {held:,} events of others held" if held else ""
        job = {"do": "emit", "events": count, "many": many, "sync": sync, "held": held}
        written.append((f"writing {how}, signed; {kept}", bar, count, job))
    least = f"the least: one signature, one small write in place and fdatasync; {kept}"
    written.append((least, "", n, {"do": "least", "events": n}))
    for threads in (1, 8):
        who = "a node's thread" if threads == 1 else f"{threads} of a node's threads"
        job = {"do": "emit_beside", "events": n, "threads": threads}
        written.append((f"writing one by one, durable, signed, from {who}", "", n, job))
    theirs, *own = in_turns(
        scale.turns,
        partial(old, SIGNED, do="emit", events=n),
        *(partial(ours, **job) for _, _, _, job in written),
    )
    peer, wall = (middle(theirs, of) for of in ("cpu_s", "wall_s"))
    for (what, bar, count, _), told in zip(written, own, strict=True):
        mine, own_wall = (middle(told, of) for of in ("cpu_s", "wall_s"))
        is_beside = what.endswith(kept)
        yield Cell("emit", what, bar,
                   f"{per_event(mine, count)} (wall {per_event(own_wall, count)})",
                   f"{per_event(peer, n)} (wall {per_event(wall, n)})" if is_beside else "–",
                   ratio(peer / n, mine / count) if is_beside else "")  # fmt: skip


def hostile(scale: Scale) -> Iterable[Cell]:
    """One author's events in a hostile order: the exponent of cost against size."""
    for order, (what, part) in ORDERS.items():
        sizes = [scale.emit // part * times for times in (1, 2, 4)]
        mine = [cpu_s(scale.times, ours, do="hostile", events=n, order=order) for n in sizes]
        peer = [cpu_s(scale.times, old, SIGNED, do="hostile", events=n, order=order) for n in sizes]
        yield Cell("hostile", f"{what}, cost against size; {SIGNED}, unsigned",
                   "exponent ≤ 1.1", f"n^{exponent(sizes, mine):.2f}",
                   f"n^{exponent(sizes, peer):.2f}", "")  # fmt: skip


def encrypted(scale: Scale) -> Iterable[Cell]:
    """What SQLCipher costs, beside the same on a plain store."""
    n = scale.ingest
    job = {"do": "receive", "events": n, "size": 32, "batch": 1}
    told = {
        is_secret: [ours(**job, encrypt=is_secret) for _ in range(scale.times)]
        for is_secret in (False, True)
    }
    found = {
        (is_secret, key): middle(some, key)
        for is_secret, some in told.items()
        for key in ("cpu_s", "open_cpu_s")
    }
    taken = found[True, "cpu_s"], found[False, "cpu_s"]
    opened = found[True, "open_cpu_s"], found[False, "open_cpu_s"]
    secret, plain = (per_event(one, n) for one in taken)
    yield Cell("encrypted", "encrypted: taking in, 32 events a segment; beside: ours, plain", "",
               secret, plain, f"{taken[0] / taken[1]:.2f} times the cost")  # fmt: skip
    secret, plain = (f"{one * 1e3:.1f} ms" for one in opened)
    yield Cell("encrypted", "encrypted: opening, the passphrase stretched; beside: ours, plain", "",
               secret, plain, "")  # fmt: skip


def surveyed(scale: Scale) -> Iterable[Cell]:
    """A real survey: imported by one device, and taken in by a second."""
    rows = str(scale.rows or (SURVEY if SURVEY.exists() else CARRIED))
    told = [ours(do="survey", rows=rows) for _ in range(scale.times)]
    count, events = told[0]["rows"], told[0]["events"]
    for key, what in (("import", "imported, durable, signed"),
                      ("bootstrap", "taken in by a second device")):  # fmt: skip
        cpu, wall = (middle([t[key] for t in told], of) for of in ("cpu_s", "wall_s"))
        yield Cell("survey", f"{count:,} rows of a survey, {what}", "",
                   f"{cpu:.2f} s (wall {wall:.2f} s)", "–", "")  # fmt: skip
    size = told[0]["disk_bytes"] / events
    yield Cell("survey", "… on the second device's disk, per row", "", f"{size:.0f} B", "–", "")


class Grown(NamedTuple):
    """What one size costs."""

    events: int
    mine: Told
    peer: Told


def grow(scale: Scale, folder: Path) -> list[Grown]:
    """Measure opening, reading and checking at every size; stores are made on the way.

    What a store costs to make is no row, and is done once.
    """
    found = []
    for n in scale.sizes:
        store = str(folder / f"store-{n}")
        mine = {"made": _step(n, 1, ours, do="make", events=n, path=store)}
        for do in ("open", "weigh", "check", "look"):
            mine[do] = _step(n, scale.times, ours, do=do, path=store)
        log = _step(n, 1, old, SIGNED, do="log", events=n, folder=str(folder))["path"]
        peer = {"open": _step(n, scale.times, old, SIGNED, do="open", events=n, path=log)}
        peer["look"] = _step(n, 1, old, RECORDS, do="look", events=n)
        Path(log).unlink()
        found.append(Grown(n, mine, peer))
    return found


def _step(size: int, times: int, side: Callable[..., Told], *args: str, **job: Any) -> Told:
    """Do a job some times, say how long it took, and return the median of each of its numbers."""
    started = time.monotonic()
    told = [side(*args, **job) for _ in range(times)]
    whose = "ours" if side is ours else args[0]
    spent_s = time.monotonic() - started
    sys.stderr.write(f"bench: {size:,} events, {whose}, {job['do']} × {times}: {spent_s:.0f} s\n")
    return {key: middle(told, key) if times > 1 else told[0][key] for key in told[0]}


def against_size(grown: list[Grown]) -> Iterable[Cell]:
    """The rows that ``grow`` measured."""
    sizes = [one.events for one in grown]
    reads = [one.mine["look"]["cpu_s"] for one in grown]
    views = [one.peer["look"]["cpu_s"] for one in grown]
    for one in grown[-2:]:
        bar = {100_000: "≥ 500×", 1_000_000: "≥ 10,000×"}.get(one.events, "")
        what = f"one record after one new event, {one.events:,} held; {RECORDS}, view()"
        fast, slow = one.mine["look"]["cpu_s"], one.peer["look"]["cpu_s"]
        told = f"{fast * 1e6:.0f} µs", f"{slow * 1e3:,.0f} ms"
        yield Cell("look", what, bar, *told, ratio(slow, fast))
    yield Cell("look", "its growth", "exponent ≤ 0.1", f"n^{exponent(sizes, reads):.2f}",
               f"n^{exponent(sizes, views):.2f}", "")  # fmt: skip
    for one in grown[-2:]:
        mine, peer, n = one.mine["open"], one.peer["open"], one.events
        fast, slow = mine["cpu_s"], peer["cpu_s"]
        whole = f"{fast * 1e3:.2f} ms (replica {mine['replica_cpu_s'] * 1e3:.1f} ms)"
        bar = "≤ 5 ms, ≥ 1,000×" if n >= 1_000_000 else "≤ 5 ms"
        yield Cell("open", f"opening a store of {n:,}; {SIGNED}", bar,
                   whole, f"{slow:.2f} s", ratio(slow, fast))  # fmt: skip
    for one in grown[-2:]:
        what = f"memory of a node that holds {one.events:,}, above its imports; {SIGNED}"
        yield Cell("memory", what, "≤ 64 MB", f"{one.mine['weigh']['memory_bytes'] / 1e6:.1f} MB",
                   f"{one.peer['open']['memory_bytes'] / 1e6:,.0f} MB", "")  # fmt: skip
    for one in grown[-2:]:
        size, old_size = (
            told["disk_bytes"] / told["events"] for told in (one.mine["made"], one.peer["open"])
        )
        what = f"disk per event, {one.events:,} held, with view, index and history; {SIGNED}"
        yield Cell("disk", what, "≤ 160 B", f"{size:.0f} B", f"{old_size:.0f} B, no view", "")
    for one in grown[-2:]:
        for key, what, bar in (("chains_cpu_s", "chains and signatures", "≥ 300,000/s"),
                               ("cpu_s", "refold included", "≥ 100,000/s")):  # fmt: skip
            rate = one.events / one.mine["check"][key]
            yield Cell("fsck", f"fsck of {one.events:,}, {what}", bar, f"{rate:,.0f}/s", "–", "")


def exponent(sizes: list[int], costs: list[float]) -> float:
    """Return the slope of the line through the points, both axes logarithmic (least squares)."""
    xs, ys = [log(size) for size in sizes], [log(max(cost, 1e-9)) for cost in costs]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return over / sum((x - mean_x) ** 2 for x in xs)


PLAIN: dict[str, Callable[[Scale], Iterable[Cell]]] = {
    "ingest": ingest,
    "emit": emit,
    "hostile": hostile,
    "survey": surveyed,
    "encrypted": encrypted,
}
