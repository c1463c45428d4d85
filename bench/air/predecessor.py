"""Our end of the pipe to ``driver.py``: the predecessor's nodes as an object."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from bench.air.environments import interpreter

DRIVER = Path(__file__).with_name("driver.py")
EPOCH_MS = 1_700_000_000_000


class Send(NamedTuple):
    """One message that a node handed to its transport."""

    src: str
    dst: str
    message: bytes

    @property
    def offers(self) -> bool:
        """Whether it is a frontier; else it carries events."""
        return self.message.startswith(b'{"t":"frontier"')


class Predecessor:
    """Nodes of one version, in a process of their own.

    Args of the methods are names as ``add`` returns them. Everything that a call makes the nodes
    send is returned, and delivered only when the caller says so.

    Example:
        with Predecessor("0.5.0", seed=1) as nodes:
            ann, bob = nodes.cell(2)
            nodes.emit(ann, "note.add", {"record_id": "R-1", "text": "bridge is out"})
            [offer] = nodes.gossip(bob)
            [events] = nodes.hear(offer)
    """

    def __init__(self, version: str, seed: int) -> None:
        """Start the process; keys follow from the seed."""
        self.version = version
        self.rng = random.Random(seed)  # noqa: S311 - a seed must repeat
        self._process = subprocess.Popen(
            [str(interpreter(version)), "-I", str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.clock(EPOCH_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None, "the process was started with a pipe"
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def cell(self, count: int) -> list[str]:
        """Make nodes that all reach each other; return their names."""
        names = [
            str(self._do("node", key=self.rng.randbytes(64).hex())["name"]) for _ in range(count)
        ]
        for name in names:
            self._do("reach", name=name, peers=[other for other in names if other != name])
        return names

    def clock(self, now_ms: int) -> None:
        """Set the nodes' wall time."""
        self._do("clock", now_ms=now_ms)

    def fill(self, name: str, counts: Mapping[str, int], *, real: bool = True) -> None:
        """Give a node feeds of others: see ``driver.Host.fill``."""
        self._do("fill", name=name, counts=dict(counts), real=real)

    def emit(self, name: str, kind: str, payload: Mapping[str, Any]) -> None:
        """Let a node write an event; the predecessor says nothing until its next round."""
        self._do("emit", name=name, kind=kind, payload=dict(payload))

    def gossip(self, name: str) -> list[Send]:
        """Let a node's gossip timer fire."""
        return self._sends(self._do("gossip", name=name))

    def hear(self, send: Send) -> list[Send]:
        """Deliver a message."""
        message = base64.b64encode(send.message).decode()
        return self._sends(self._do("hear", src=send.src, dst=send.dst, message=message))

    def held(self) -> dict[str, int]:
        """Return how many events each node holds."""
        counts: dict[str, int] = self._do("held")["held"]
        return counts

    def announce_size_bytes(self, name: str) -> int:
        """Return the app_data that its Reticulum transport would announce now."""
        return int(self._do("frontier", name=name)["size_bytes"])

    def _do(self, verb: str, **words: object) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None, "the process was started with pipes"
        assert process.stdout is not None, "the process was started with pipes"
        process.stdin.write(json.dumps({"do": verb, **words}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the predecessor's process ended with {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @staticmethod
    def _sends(answer: Mapping[str, Sequence[Sequence[str]]]) -> list[Send]:
        return [Send(src, dst, base64.b64decode(text)) for src, dst, text in answer["sends"]]
