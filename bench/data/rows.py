"""Every row of the table: what is measured, the bar, and the measurements behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import NamedTuple

from bench.data.jobs import Told, cpu_s, old, ours

SIGNED = "0.5.0"
"""The version that signs; 0.1.0 has no signatures, and folds records by itself."""
RECORDS = "0.1.0"


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
    ingest: int
    """Events that are taken in."""
    emit: int
    sizes: tuple[int, ...]
    """Sizes of store at which cost against size is measured."""


QUICK = Scale(1, 4_000, 400, (1_000, 10_000))
WHOLE = Scale(3, 40_000, 4_000, (1_000, 10_000, 100_000, 1_000_000))


def per_event(seconds: float, events: int) -> str:
    """Return what one event costs."""
    return f"{seconds / events * 1e6:.1f} µs"


def ratio(slow: float, fast: float) -> str:
    """Return how many times faster."""
    found = slow / fast
    return f"{found:,.0f}×" if found >= 20 else f"{found:.2g}×"


def ingest(scale: Scale) -> Iterable[Cell]:
    """Segments of 32 events, one transaction each; and large ones, many in a transaction."""
    n = scale.ingest
    signed = cpu_s(scale.times, old, SIGNED, do="receive", events=n, signed=True, persist=True)
    bare = cpu_s(scale.times, old, RECORDS, do="receive", events=n, signed=False, persist=False)
    small = cpu_s(scale.times, ours, do="receive", events=n, size=32, batch=1)
    large = cpu_s(scale.times, ours, do="receive", events=n, size=256, batch=16)
    kept = f"{SIGNED}, signed, persisted"
    yield Cell("ingest", f"taking in, 32 events a segment; {kept}", "≥ 15×",
               per_event(small, n), per_event(signed, n), ratio(signed, small))  # fmt: skip
    yield Cell("ingest", f"the same; {RECORDS}, unsigned, in memory, no view", "≥ 1.5×",
               per_event(small, n), per_event(bare, n), ratio(bare, small))  # fmt: skip
    yield Cell("bootstrap", f"bootstrap, 256 a segment; {kept}", "≥ 35×",
               per_event(large, n), per_event(signed, n), ratio(signed, large))  # fmt: skip


def emit(scale: Scale) -> Iterable[Cell]:
    """Writing, durable and signed on return."""
    n = scale.emit
    theirs = [old(SIGNED, do="emit", events=n) for _ in range(scale.times)]
    peer = sorted(told["cpu_s"] for told in theirs)[scale.times // 2]
    wall = sorted(told["wall_s"] for told in theirs)[scale.times // 2]
    for many, bar in ((1, "≥ 1.1×"), (32, "≥ 8×")):
        own = [ours(do="emit", events=n * min(many, 8), many=many) for _ in range(scale.times)]
        count = n * min(many, 8)
        mine = sorted(told["cpu_s"] for told in own)[scale.times // 2]
        own_wall = sorted(told["wall_s"] for told in own)[scale.times // 2]
        how = "one by one" if many == 1 else f"{many} at once"
        yield Cell("emit", f"writing {how}, durable, signed; {SIGNED}, signed, persisted", bar,
                   f"{per_event(mine, count)} (wall {per_event(own_wall, count)})",
                   f"{per_event(peer, n)} (wall {per_event(wall, n)})",
                   ratio(peer / n, mine / count))  # fmt: skip


def hostile(scale: Scale) -> Iterable[Cell]:
    """One author's events in a hostile order: the exponent of cost against size."""
    sizes = [scale.emit, scale.emit * 2, scale.emit * 4]
    for order in ("reversed", "shuffled"):
        mine = [cpu_s(scale.times, ours, do="hostile", events=n, order=order) for n in sizes]
        peer = [cpu_s(scale.times, old, SIGNED, do="hostile", events=n, order=order) for n in sizes]
        yield Cell("hostile", f"a {order} batch, cost against size; {SIGNED}, unsigned",
                   "exponent ≤ 1.1", f"n^{exponent(sizes, mine):.2f}",
                   f"n^{exponent(sizes, peer):.2f}", "")  # fmt: skip


class Grown(NamedTuple):
    """What one size costs."""

    events: int
    mine: Told
    peer: Told


def grow(scale: Scale, folder: Path) -> list[Grown]:
    """Measure opening, reading and checking at every size; stores are made on the way."""
    found = []
    for n in scale.sizes:
        store = str(folder / f"store-{n}")
        mine = {"made": ours(do="make", events=n, path=store)}
        mine["open"] = ours(do="open", path=store)
        mine["check"] = ours(do="check", path=store)
        mine["look"] = ours(do="look", path=store)
        log = old(SIGNED, do="log", events=n, folder=str(folder))["path"]
        peer = {"open": old(SIGNED, do="open", events=n, path=log)}
        peer["look"] = old(RECORDS, do="look", events=n)
        Path(log).unlink()
        found.append(Grown(n, mine, peer))
    return found


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
    last = grown[-1]
    mine, peer, n = last.mine, last.peer, last.events
    fast, slow = mine["open"]["cpu_s"], peer["open"]["cpu_s"]
    whole = f"{fast * 1e3:.2f} ms (replica {mine['open']['replica_cpu_s'] * 1e3:.1f} ms)"
    yield Cell("open", f"opening a store of {n:,}; {SIGNED}", "≤ 5 ms, ≥ 1,000×",
               whole, f"{slow:.2f} s", ratio(slow, fast))  # fmt: skip
    yield Cell("memory", f"memory of a node that holds {n:,}, above its imports", "≤ 64 MB",
               f"{mine['open']['memory_bytes'] / 1e6:.1f} MB",
               f"{peer['open']['memory_bytes'] / 1e6:,.0f} MB", "")  # fmt: skip
    size = mine["made"]["disk_bytes"] / mine["made"]["events"]
    old_size = peer["open"]["disk_bytes"] / peer["open"]["events"]
    yield Cell("disk", "disk per event, with view, index and history", "≤ 160 B",
               f"{size:.0f} B", f"{old_size:.0f} B, no view", "")  # fmt: skip
    rate = n / mine["check"]["cpu_s"]
    yield Cell("fsck", f"fsck of {n:,}, refold included", "≥ 100,000/s", f"{rate:,.0f}/s", "–", "")


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
}
