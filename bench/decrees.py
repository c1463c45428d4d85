# ruff: noqa: INP001, T201 - a script that prints what it measured
"""What a hostile member's decrees cost: `python -m bench.decrees [DECREES]`. CPU time, no disk.

Each row is one attack, and what judging all control events anew takes then, which every batch
with a control event pays once. Twice the events should cost about twice as much.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from meshlog.core.decrees import CUTS_MAX, DecreeLog
from meshlog.core.event import Event
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role
from meshlog.core.roster import fold
from meshlog.core.seniority import settle
from tests.views.members import Person, found, invited

DECREES = 4_000


def retiring(count: int) -> list[Person]:
    """A writer removes itself over and over, each time with as many cuts of its own as go."""
    base = found()
    wim = invited(base, "wim")
    line = [wim.last[FeedKind.CONTROL]]
    for number in range(count):
        tips = line[-CUTS_MAX:]
        cuts = [[0, wim.life, event.seq, event.id] for event in tips]
        payload = {"author": wim.author, "cuts": cuts, "mode": "soft"}
        line.append(wim.decree("member.revoke", payload, 10 + number))
    return [base, wim]


def made_up(count: int) -> list[Person]:
    """A coordinator removes people whom nobody knows."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR)
    for number in range(count):
        about = number.to_bytes(16, "big")
        payload = {"author": about, "cuts": [], "mode": "hard"}
        cora.decree("member.revoke", payload, 10 + number)
    return [base, cora]


def each_other(count: int) -> list[Person]:
    """A coordinator lets coordinators in who all remove each other, and one who has a long feed."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR)
    crowd = [invited(cora, f"c{n}", Role.COORDINATOR, 10 + n) for n in range(int(count**0.5))]
    for one in crowd:
        for other in crowd:
            if other is not one:
                payload = {"author": other.author, "cuts": [], "mode": "soft"}
                one.decree("member.revoke", payload, 1_000)
    return [base, cora, *crowd]


def barred(count: int) -> list[Person]:
    """Coordinators remove one member, 32 times each, whose control feed is as long."""
    base = found()
    cora = invited(base, "cora", Role.COORDINATOR)
    wim = invited(base, "wim")
    line = [wim.write(FeedKind.CONTROL, "x", {}, 10 + n) for n in range(count // 2)]
    cuts = [[0, wim.life, event.seq, event.id] for event in line[-CUTS_MAX:]]
    payload = {"author": wim.author, "cuts": cuts, "mode": "hard"}
    for number in range(count // 64):
        one = invited(cora, f"c{number}", Role.COORDINATOR, 10 + number)
        for wall_ms in range(32):
            one.decree("member.revoke", payload, 1_000 + wall_ms)
        base.said += one.said
    return [base, cora, wim]


def judged_ms(people: list[Person]) -> tuple[int, float]:
    """Return how many control events there are, and CPU ms to judge them."""
    events: list[Event] = [e for one in people for e in one.said if e.feed.kind is FeedKind.CONTROL]
    roster, log = fold(people[0].dataset, events), DecreeLog().put(events)
    begun = time.process_time()
    settle(roster, log)
    return len(events), 1_000 * (time.process_time() - begun)


ATTACKS: tuple[Callable[[int], list[Person]], ...] = (retiring, made_up, each_other, barred)


def main() -> None:
    """Print a line per attack, at half the decrees and at all of them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DECREES
    for attack in ATTACKS:
        (half, half_ms), (whole, whole_ms) = (judged_ms(attack(n)) for n in (count // 2, count))
        print(
            f"{attack.__name__:<10} {half:>7,} events {half_ms:>8,.1f} ms"
            f"   {whole:>7,} events {whole_ms:>8,.1f} ms   {whole_ms / half_ms:.1f} times"
        )


if __name__ == "__main__":
    main()
