"""Cost against size, both axes logarithmic. Run with an interpreter that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Read what ``__main__`` saved (first argument) and write a picture (second)."""
    import matplotlib as mpl  # noqa: PLC0415 - in an environment of its own

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    told: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    mpl.rcParams["svg.hashsalt"] = "meshlog"
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for line in told["lines"]:
        style = "o-" if line["ours"] else "s--"
        label = f"{line['name']}  n^{line['exponent']:.2f}"
        axes.plot(line["sizes"], line["ms"], style, label=label)
    axes.set(xscale="log", yscale="log", xlabel="events held", ylabel="CPU, ms")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
