"""One store and many hands: commands beside a node, and copies that people make of it in use."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from random import Random

import pytest

from meshlog.core.identity import Identity
from meshlog.errors import StoreError
from meshlog.replica import Replica
from meshlog.store import SqliteStore, load_identity
from tests.cli.processes import Device, Result
from tests.support.scale import scaled

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1_800)]

COMMANDS, HANDS = scaled(24, 120), 4
COPIES = scaled(20, 300)
"""Of each size."""

WRITER = """
import sys, time
from random import SystemRandom
from meshlog.core.identity import Identity
from meshlog.replica import Replica
from meshlog.store import SqliteStore, load_identity

path, size = sys.argv[1], int(sys.argv[2])
now_ms = lambda: time.time_ns() // 1_000_000
luck = SystemRandom()
replica = Replica(SqliteStore(path), Identity(load_identity(path + ".identity")), now_ms(), luck)
number = 0
while True:
    number += 1
    text = luck.randbytes(size // 2).hex()
    said = [("note.add", {"record_id": f"r{number % 20}", "text": text}) for _ in range(3)]
    for event in replica.append_many(said, now_ms()):
        sys.stdout.write(event.id.hex() + "\\n")
    sys.stdout.flush()
"""


def founded(folder: Path) -> Device:
    device = Device(folder)
    device.ok("init", "valley", "--name", "base")
    return device


def test_all_that_commands_beside_a_node_acknowledged_is_there(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Many at a time, while the node runs, stops, dies and starts again."""
    device = founded(tmp_path / "one")
    results: dict[str, Result] = {}
    left: SimpleQueue[int] = SimpleQueue()
    for number in range(COMMANDS):
        left.put(number)

    def work() -> None:
        while not left.empty():
            number = left.get()
            results[f"W-{number}"] = device("set", f"W-{number}", "depth_m", str(number))

    hands = [threading.Thread(target=work) for _ in range(HANDS)]
    with device.node():
        for hand in hands:
            hand.start()
        _wait(lambda: len(results) >= COMMANDS // 3)
    with device.node() as node:
        _wait(lambda: len(results) >= COMMANDS * 2 // 3)
        node.send_signal(signal.SIGKILL)
        node.wait(10)
    for hand in hands:
        hand.join()

    view = json.loads(device.ok("view", "--json"))
    codes = Counter(result.code for result in results.values())
    acknowledged = {name for name, result in results.items() if result.code == 0}
    assert acknowledged <= view.keys()
    for name, result in results.items():
        assert result.code in (0, 2), result
        assert "Traceback" not in result.err
        assert len(errors(result)) == (result.code != 0), (name, result)
    assert len(acknowledged) > COMMANDS // 2
    device.ok("fsck")
    tell(f"commands beside a node that stops and dies: {dict(codes)} by exit code, 0 lost")


def errors(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if line.startswith("meshlog: ")]


def _wait(condition: Callable[[], bool], timeout_s: float = 300) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "in time"
        time.sleep(0.02)


def test_a_second_process_on_a_store_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    device = founded(tmp_path / "one")
    with closing(SqliteStore(device.data)) as store:
        before = store.event_count()
        refused = device("set", "W-1", "depth_m", "3")

        assert refused.code == 2
        [why] = errors(refused)
        assert "in use by process" in why
        assert store.event_count() == before
    device.ok("set", "W-1", "depth_m", "3")


def copy_in_use(path: Path, folder: Path, luck: Random) -> None:
    """Copy the files as a person does, one after the other, in the order of anybody's folder."""
    folder.mkdir()
    files = [file for file in path.parent.glob(f"{path.name}*") if not file.name.endswith("-shm")]
    luck.shuffle(files)
    for file in files:
        if file.name.startswith(f"{path.name}.instance") and luck.random() < 0.5:
            continue
        shutil.copyfile(file, folder / file.name)
        time.sleep(luck.choice((0, 0, 0.002, 0.02)))


@pytest.mark.parametrize("size_bytes", [100, 20_000])
def test_a_store_copied_while_in_use_is_a_new_life_or_a_clear_refusal(
    tmp_path: Path, tell: Callable[[str], None], size_bytes: int
) -> None:
    device = founded(tmp_path / "one")
    path = device.data
    luck = random.Random(size_bytes)
    acknowledged: list[bytes] = []
    became: Counter[str] = Counter()
    command = [sys.executable, "-c", WRITER, str(path), str(size_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=device.env) as writer:
        assert writer.stdout is not None
        for number in range(COPIES):
            said = [writer.stdout.readline() for _ in range(luck.randint(3, 40))]
            acknowledged += map(bytes.fromhex, said)
            so_far = set(acknowledged)
            folder = tmp_path / f"copy {number}"
            copy_in_use(path, folder, luck)
            became[opened(folder / path.name, so_far)] += 1
            shutil.rmtree(folder)
        writer.kill()
        rest = writer.stdout.readlines()
    acknowledged += [bytes.fromhex(line) for line in rest if line.endswith("\n")]

    with closing(SqliteStore(path)) as store:
        held = {arrival.event.id for arrival in store.scan()}
    assert held >= set(acknowledged)
    device.ok("fsck")
    tell(f"stores copied in use, events of {size_bytes} B: {dict(became)}, original whole")


def opened(path: Path, acknowledged: set[bytes]) -> str:
    """Open a copy; return what it is."""
    private = load_identity(f"{path}.identity")
    assert private is not None
    try:
        with closing(SqliteStore(path)) as store:
            was = store.get_meta("incarnation")
            replica = Replica(store, Identity(private), time.time_ns() // 1_000_000, Random(1))
            assert store.get_meta("incarnation") != was, "the same life on two devices"
            assert any("copied or restored" in news for news in replica.news)
            held = {arrival.event.id for arrival in store.scan()}
            assert store.integrity() == []
            assert acknowledged <= held
            return "a new life with all that was acknowledged"
    except StoreError as error:
        return f"refused, {'as not whole' if 'not whole' in str(error) else error}"
