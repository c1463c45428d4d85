"""A victim of the predecessor's: its node over its own Reticulum transport; see ``ours.py``.

Run by the interpreter of its environment; what is called here is its public surface.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import weight

OUT, sys.stdout = sys.stdout, sys.stderr  # Reticulum logs there

peer = importlib.import_module("meshlog")
SIGNS = "signer" in inspect.signature(peer.Node).parameters


def main() -> None:
    """Serve until standard input ends."""
    folder, config = Path(sys.argv[1]), sys.argv[2]
    transport = importlib.import_module("meshlog.rns_transport").RNSTransport(
        configdir=config, identity_path=str(folder / "identity"), announce_interval=1.0
    )
    log = str(folder / "log.jsonl")
    more: dict[str, Any] = {}
    if SIGNS:
        more = {"signer": transport.signer(), "verifier": transport.verifier()}
        more["reducer"] = importlib.import_module("meshlog.reducer").RawReducer()
    node = peer.Node(transport.node_id, transport, persist_path=log, **more)
    raised = {"receive": 0, "gossip": 0}
    receive = transport._cb  # noqa: SLF001 - counted on its way in

    def counted(src: str, message: bytes) -> None:
        try:
            receive(src, message)
        except Exception:
            raised["receive"] += 1
            raise

    def gossip() -> None:
        while True:
            try:
                node.gossip_round()
            except Exception:  # noqa: BLE001 - whatever it is
                raised["gossip"] += 1
            time.sleep(1)

    transport.set_receive(counted)
    transport.set_frontier_provider(node.frontier)
    for n in range(50):
        node.emit("field.set", {"record_id": f"W-{n}", "field": "depth", "value": n})
    threading.Thread(target=gossip, daemon=True).start()
    print(json.dumps({"author": transport.node_id, "invite": ""}), file=OUT, flush=True)
    before = 0
    for line in sys.stdin:
        if json.loads(line)["do"] == "begin":
            before = weight.begin()
            print("{}", file=OUT, flush=True)
            continue
        said = {
            "grown": weight.peak() - before,
            "events": node.store.event_count(),
            "authors": len(node.frontier()),
            "ahead_s": _ahead_s(node),
            "raised": sum(raised.values()),
            "view": _works(node.view),
            "serves": _works(lambda: node.store.delta_for({})),
        }
        print(json.dumps(said), file=OUT, flush=True)
    reopens = _works(lambda: peer.FeedStore(log).event_count())
    print(json.dumps({"reopens": reopens}), file=OUT, flush=True)


def _ahead_s(node: Any) -> int:
    wall = node.hlc.wall
    return max(0, int(wall / 1000 - time.time())) if isinstance(wall, int | float) else -1


def _works(what: Any) -> bool:
    try:
        what()
    except Exception:  # noqa: BLE001 - whatever it is
        return False
    return True


if __name__ == "__main__":
    main()
