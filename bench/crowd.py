# ruff: noqa: INP001, T201 - a script, seeded, that prints what it measured
"""Two honest devices meet, each with another part of one author's thousands of lives.

Run: ``python -m bench.crowd [lives]``. CPU time, stores in memory, batches of 1 MB.
"""

from __future__ import annotations

import sys
import time

from meshlog.replica import Replica
from tests.replica.devices import T0_MS, Pump, Stranger, identity, note, open_replica, segs

LIVES = 25_000
BATCH_BYTES = 900_000
SHARE = 4
"""In fifths: how much of the crowd each device has met."""


def take(replica: Replica, pieces: list[bytes]) -> None:
    """Give a replica openings, 512 at a time."""
    for at in range(0, len(pieces), 512):
        replica.ingest(pieces[at : at + 512], T0_MS)


def main() -> None:
    """Let them meet until both hold the same, or six times."""
    lives = int(sys.argv[1]) if len(sys.argv) > 1 else LIVES
    who = min((identity(f"mallory {n}") for n in range(200)), key=lambda one: one.author)
    pieces = [segs(Stranger(who, life=life).opening())[0] for life in range(lives)]
    ann, bob = open_replica("ann"), open_replica("bob")
    begun = time.process_time()
    take(ann, pieces[: lives * SHARE // 5])
    take(bob, pieces[lives - lives * SHARE // 5 :])
    print(f"{lives:,} lives: {time.process_time() - begun:,.1f} s to take them in, on two devices")
    for number, device in enumerate((ann, bob)):
        note(device, f"from device {number}")
    pump = Pump(ann, bob)
    pump.asks_max = 100_000
    for turn in range(6):
        begun, sizes = time.process_time(), len(pump.sizes)
        pump.meet(*((ann, bob) if turn % 2 else (bob, ann)), batch_size_bytes=BATCH_BYTES)
        took_s, said = time.process_time() - begun, sum(pump.sizes[sizes:])
        notes = [sum(key.kind == 1 for key in one.frontier()) for one in (ann, bob)]
        control = [sum(key.kind == 0 for key in one.frontier()) for one in (ann, bob)]
        print(
            f"meeting {turn + 1}: {took_s:,.1f} s, {said:,} B; data feeds held {notes},"
            f" control feeds {control}"
        )
        if ann.root() == bob.root():
            print("they hold the same")
            break


if __name__ == "__main__":
    main()
