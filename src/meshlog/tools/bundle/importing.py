"""Bringing in a bundle file: what is whole and holds is taken, the rest is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from meshlog.core.bundlefile import About, Frame
from meshlog.core.event import DatasetId
from meshlog.core.identity import Identity
from meshlog.sync.holdings import Verdict
from meshlog.tools.bundle.reading import BundleReader, Damage, Summary, summary_of
from meshlog.tools.taking import Ingest, Intake, NameOf, Refusal, Taken

Progress: TypeAlias = Callable[[int, int], None]

PASSES_MAX = 4
"""A segment that had to wait for a later one is taken in the next pass; an export puts them in
order, so more than one is needed after damage only."""

DAMAGES_KEPT_MAX = 100


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What came of a bundle file."""

    events: int
    """New on this device."""
    segments: int
    """Whole ones in the file."""
    known: int
    """Segments that were held already."""
    waiting: int
    """Segments that follow events which are neither here nor in the file."""
    refused: int
    """Segments that do not hold."""
    refusals: tuple[Refusal, ...]
    """The first 100 that were refused or wait."""
    damages: tuple[Damage, ...]
    """The first 100 stretches that are no frame."""
    damage_count: int
    missing: int
    """Parts that the file had when it was written, and has no more; 0 where that is not known."""
    is_torn: bool
    """Whether its end is missing."""
    about: About | None

    @property
    def is_clean(self) -> bool:
        """Whether the file was whole and all of it could be taken."""
        return not (self.waiting or self.refused or self.damage_count or self.is_torn)


@dataclass(slots=True)
class _Pass:
    """What one reading of the file came to."""

    intake: Intake
    segments: int = 0
    frames: int = 0
    damage_count: int = 0
    damages: list[Damage] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)

    def damage(self, piece: Damage) -> None:
        """Count a stretch that is no frame."""
        self.damage_count += 1
        if len(self.damages) < DAMAGES_KEPT_MAX:
            self.damages.append(piece)


def import_bundle(
    path: Path,
    dataset: DatasetId,
    keys: Sequence[bytes],
    ingest: Ingest,
    name_of: NameOf,
    progress: Progress | None = None,
    identity: Identity | None = None,
) -> BundleReport:
    """Take in all that holds of a bundle file, as if it had come by radio.

    Args:
        path: The file.
        dataset: Ours.
        keys: The dataset's keys that we hold, the latest first.
        ingest: Where the segments go, at most 64 of them or 1 MiB at once.
        name_of: For the report.
        progress: Told bytes read and bytes in all.
        identity: This device's, which opens its own lock where none of the keys does.

    Raises:
        InputError: No bundle of this dataset that we can open; nothing was taken.
        StoreError: The disk refused; what came before stays, and the file can be brought again.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        reader = BundleReader(file, str(path), dataset, keys, identity)
        done = _read_through(reader, _Pass(Intake(ingest, name_of)), progress)
        events, known = done.intake.events, done.intake.verdicts[Verdict.DUPLICATE]
        passes = 1
        while done.intake.verdicts[Verdict.GAP] and done.intake.events and passes < PASSES_MAX:
            done = _read_through(reader, _Pass(Intake(ingest, name_of)), progress)
            events += done.intake.events
            passes += 1
    damages = done.damages
    if reader.head_is_damaged:
        damages = [Damage(0, 0, "is damaged: its copy at the end served"), *damages]
    return BundleReport(
        events,
        done.segments,
        known,
        done.intake.verdicts[Verdict.GAP],
        done.intake.refused,
        tuple(done.intake.refusals),
        tuple(damages),
        done.damage_count + reader.head_is_damaged,
        0 if reader.frames is None else max(reader.frames - done.frames, 0),
        reader.frames is None,
        done.summary.about,
    )


def check_bundle(
    path: Path, dataset: DatasetId, keys: Sequence[bytes], identity: Identity | None
) -> BundleReport:
    """Read a bundle file through and take nothing. See ``import_bundle``."""
    return import_bundle(
        path, dataset, keys, _take_none, lambda author: author.hex()[:8], identity=identity
    )


def _take_none(segments: Sequence[bytes]) -> Taken:
    return Taken(0, [Verdict.DUPLICATE] * len(segments))


def _read_through(reader: BundleReader, done: _Pass, progress: Progress | None) -> _Pass:
    for piece in reader.pieces():
        if isinstance(piece, Damage):
            done.damage(piece)
            continue
        done.frames += 1
        if piece.type == Frame.SEGMENT:
            done.segments += 1
            done.intake.add(f"part {piece.number}", piece.content)
            if progress is not None:
                progress(reader.done_bytes, reader.size_bytes)
        else:
            summary_of(piece, done.summary)
    done.intake.flush()
    return done
