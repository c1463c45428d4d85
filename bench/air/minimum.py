"""What no encoding can beat: the entropy of what has to be said, from documented models.

A floor counts what the receiver cannot know. What it can know (schema, ids of known records, all
but the newest events, the table of frequencies itself) costs nothing here. Columns are taken as
independent, so a coder that uses what ties them together may go below; no coder here does.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.air.inputs import EDITS, GAP_MS_MAX, RECORDS_KNOWN

SIGNATURE_BYTES = 64
"""Ed25519, RFC 8032 §5.1.6; pseudorandom, hence incompressible."""

HEADER_BYTES = 19
"""Reticulum's header of a packet that travels one hop."""

FINGERPRINT_BYTES = 4
"""To tell equal from different with an error of 2^-32: log2(1 / error) bits must be said."""

UUID_BITS = 122
"""RFC 9562 §5.4: version 4 has 122 random bits."""

_HEX_32 = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$")
_CELL_DEGREES = 0.1


def entropy_bits(values: Iterable[object]) -> float:
    """Return the empirical (order 0) entropy per value: sum of -p log2 p. O(values)."""
    counts = Counter(values)
    total = counts.total()
    return -sum(count / total * math.log2(count / total) for count in counts.values())


def difference_bytes(authors: int, missing: int) -> float:
    """Return what names ``missing`` events that two sides lack of each other at the ends of feeds.

    log2 of the ways to spread d events over A feeds, each feed ahead on one side or the other,
    all ways alike likely: j feeds differ, sum over j of C(A, j) 2^j C(d - 1, j - 1).
    """
    ways = sum(
        math.comb(authors, feeds) * 2**feeds * math.comb(missing - 1, feeds - 1)
        for feeds in range(1, min(authors, missing) + 1)
    )
    return math.log2(ways) / 8


def loss_factor(receivers: int, loss: float) -> float:
    """Return how often one packet must be sent, on average, until all receivers have heard it.

    The expected greatest of as many geometric variables: sum over k of 1 - (1 - loss^k)^receivers.
    Who still lacks it is known for nothing. Codes over many packets come close to 1 / (1 - loss).
    """
    total, term, sent = 0.0, 1.0, 0
    while term > 1e-9:  # noqa: PLR2004 - the sum ends here
        total += term
        sent += 1
        term = 1 - (1 - loss**sent) ** receivers
    return total


def coordinate_bits(points: Sequence[tuple[str, str]]) -> float:
    """Return the floor of a point: which 0.1° cell (empirical), and where in it (uniform).

    Uniform to the file's own resolution, the decimals that most of its points have.
    """
    cells = [
        (math.floor(float(lat) / _CELL_DEGREES), math.floor(float(lon) / _CELL_DEGREES))
        for lat, lon in points
    ]
    decimals = Counter(len(text.partition(".")[2]) for point in points for text in point)
    [(digits, _)] = decimals.most_common(1)
    return entropy_bits(cells) + 2 * math.log2(_CELL_DEGREES * 10**digits)


def record_bytes(rows: Sequence[Mapping[str, str]], records_per_segment: int) -> dict[str, float]:
    """Return the floor of one survey record, part by part.

    * ``photo``: a column whose values end in a version 4 UUID, 122 bits each
    * ``coordinates``: see ``coordinate_bits``
    * ``answers``: the sum of the other columns' empirical entropies, the date among them
    * ``signature``: 64 bytes shared by the records of a segment

    Record ids, stamps and the author are not in it: they can follow from the feed.
    """
    photos, points, rest = 0.0, 0.0, 0.0
    for name in rows[0]:
        column = [row[name] for row in rows]
        if all(_HEX_32.search(value) for value in column):
            photos += UUID_BITS
        elif name == "latitude":
            points += coordinate_bits([(row["latitude"], row["longitude"]) for row in rows])
        elif name != "longitude":
            rest += entropy_bits(column)
    return {
        "photo": photos / 8,
        "coordinates": points / 8,
        "answers": rest / 8,
        "signature": SIGNATURE_BYTES / records_per_segment,
    }


def edits_bytes(records: int = 4, *, known: bool = True) -> float:
    """Return the floor of edits as ``inputs.edits`` draws them, without a signature.

    Each answer, log2 of how many there are to choose from; each stamp to the millisecond, log2
    of the longest gap. Which fields, and in which order, is known.

    Args:
        records: How many, with four edits each.
        known: Whether both sides know the records, 1,000 in all: log2 C(1000, records) bits say
            which. Otherwise their ids are 8 random bytes each.
    """
    which = math.log2(math.comb(RECORDS_KNOWN, records)) if known else 64 * records
    answers = sum(math.log2(len(choices)) for choices in EDITS.values()) * records
    stamps = math.log2(GAP_MS_MAX) * len(EDITS) * records
    return (which + answers + stamps) / 8
