"""The story: a morning at base, a day without contact, three short meetings, one dataset."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from meshlog.demo.device import DemoError, Holding
from meshlog.demo.field import BASE, NAMES, TEAMS, Field
from meshlog.demo.interrupts import interrupts
from meshlog.demo.report import show_air, show_conflict, show_holdings
from meshlog.demo.screen import Screen
from meshlog.demo.survey import OWN_FORM, Survey, cut, form_of, read_survey, survey_file
from meshlog.errors import MeshlogError
from meshlog.transport.reticulum import load_rns

DATASET = "Demo survey"

RECORD, FIELD = "school-well", "working"
EDITS = {"team_a": "yes", "team_b": "no: the pump handle is broken"}
"""What each team writes into the field while cut off; base wrote "not visited" before."""

RESULT = "result.json"
"""File with the numbers, in the folder that ``--keep`` keeps."""


def main(rows: Path | None = None, *, keep: bool = False, console: Console | None = None) -> int:
    """Run the demo.

    Args:
        rows: A CSV file to collect; None for the survey that the package carries.
        keep: Leave the folder with stores, logs and ``result.json`` behind, and say where.
        console: Where to write; standard output by default.

    Returns:
        0 when the three views are the same, 1 when they are not or something failed.

    Raises:
        InputError: ``rows`` cannot be used.
        TransportError: Reticulum is not installed.
    """
    load_rns()
    screen = Screen(console or Console(highlight=False, emoji=False, markup=False))
    started_s = time.monotonic()
    with survey_file(rows) as path, interrupts.watched():
        form = OWN_FORM if rows is None else form_of(path)
        survey = read_survey(path, form, len(NAMES))
        home = Path(tempfile.mkdtemp(prefix="meshlog-demo-"))
        try:
            result = _Story(screen, survey, home).play()
        except MeshlogError as error:  # of the run; a file that cannot be used is the caller's
            screen.say(f"meshlog demo: {error}")
            if not keep:
                screen.say("Its stores and logs are kept with `meshlog demo --keep`.")
            return 1
        finally:
            if keep:
                screen.say(f"Stores and logs are in {home}")
            else:
                shutil.rmtree(home, ignore_errors=True)
    result["took_s"] = round(time.monotonic() - started_s, 1)
    if keep:
        (home / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    screen.say(
        f"The three views are the same, byte for byte ({result['view_bytes']:,} bytes of JSON,"
        f" {result['records']:,} records). It took {result['took_s']} s."
    )
    return 0


class _Story:
    """One run, from an empty folder to three equal views."""

    def __init__(self, screen: Screen, survey: Survey, home: Path) -> None:
        self._screen = screen
        self._survey = survey
        self._home = home

    def play(self) -> dict[str, Any]:
        """Run all of it and return its numbers.

        Raises:
            DemoError: Something differs, failed, or stands still.
        """
        stage, say = self._screen.stage, self._screen.say
        say(
            f"Three devices, {len(self._survey.rows_at):,} rows of {self._survey.path.name}, real"
            " Reticulum over loopback. The two teams are never connected to each other."
        )
        with Field(self._home) as field:
            with stage("base founds the dataset and invites two teams"):
                self._found(field)
            with stage("morning: all at base, they hold its first record") as show:
                field.start()
                field.wait_started(show)
                for air in field.air.values():
                    air.on = True
                field.wait_alike(NAMES, show)
                for air in field.air.values():
                    air.on = False
            with stage("cut off: each collects, both teams edit one field") as show:
                bad_rows = self._collect(field, show)
            before = {name: field[name].holding() for name in NAMES}
            carried = [field.carried()]
            for title, team, names in (
                ("team_a meets base, and leaves", TEAMS[0], (BASE, TEAMS[0])),
                ("team_b meets base, and leaves", TEAMS[1], (BASE, TEAMS[1])),
                ("team_a comes back", TEAMS[0], NAMES),
            ):
                with stage(title) as show:
                    self._meet(field, team, names, show)
                carried.append(field.carried())
            with stage("the nodes stop, and three views are compared"):
                for team in TEAMS:
                    if field.met(team) != {BASE}:
                        raise DemoError(
                            f"{team} met {', '.join(sorted(field.met(team))) or 'nobody'}"
                        )
                self._stop(field)
                views = self._views(field)
            after = {name: field[name].holding() for name in NAMES}
            sizes_bytes = {name: field[name].size_bytes() for name in NAMES}
            self._check(before, after, views)
            conflict = self._conflict(field)
        say()
        show_holdings(self._screen, before, after, sizes_bytes)
        show_conflict(self._screen, conflict)
        events = after[BASE].own + after[BASE].others
        file_bytes = self._survey.path.stat().st_size
        show_air(self._screen, carried[-1], events, file_bytes / len(self._survey.rows_at))
        if bad_rows:
            say(f"{bad_rows:,} rows of the file could not be used: `meshlog import` says why.")
        return {
            "rows": len(self._survey.rows_at),
            "rows_unusable": bad_rows,
            "events": events,
            "records": after[BASE].records,
            "view_bytes": len(views[BASE]),
            "stage_s": {title: round(s, 2) for title, s in self._screen.took_s.items()},
            "air_bytes": [{team: one._asdict() for team, one in some.items()} for some in carried],
            "store_bytes": sizes_bytes,
        }

    # ── the stages ──────────────────────────────────────────────────────────────────

    def _found(self, field: Field) -> None:
        base = field[BASE]
        invites = [
            base.ask("init", DATASET, "--name", BASE)["invite"],
            base.ask("invite")["invite"],
        ]
        said = {
            team: ["join", invite, "--name", team, "--json"]
            for team, invite in zip(TEAMS, invites, strict=True)
        }
        form = self._survey.form
        said[BASE] = ["put", RECORD, "--form", form, f"{FIELD}=not visited", "--json"]
        for command in field.together(said).values():
            command.end()

    def _collect(self, field: Field, show: Callable[[str], None]) -> int:
        """Import a third of the rows on each device and edit on the teams.

        Returns:
            How many rows could not be used.
        """
        parts = cut(self._survey, self._home, NAMES)
        chosen = ["--id", self._survey.id_column] if self._survey.id_column else []
        words = {
            name: ["import", str(part), "--form", self._survey.form, *chosen, "--json"]
            for name, part in parts.items()
        }
        imports = field.together(words, fails=(1,))  # 1: some rows are broken, the rest is in
        edits = field.together({team: ["set", RECORD, FIELD, EDITS[team]] for team in TEAMS})
        field.wait_done(imports | edits, show)
        for command in edits.values():
            command.end()
        reports = [json.loads(command.end()) for command in imports.values()]
        return sum(report["failed_count"] for report in reports)

    @staticmethod
    def _meet(field: Field, team: str, names: tuple[str, ...], show: Callable[[str], None]) -> None:
        field.air[team].on = True
        try:
            field.wait_alike(names, show)
        finally:
            field.air[team].on = False

    @staticmethod
    def _stop(field: Field) -> None:
        for name, code in field.stop().items():
            if code:
                raise DemoError(
                    f"the node of {name} ended badly ({code}): {field[name].last_words()}"
                )

    @staticmethod
    def _views(field: Field) -> dict[str, bytes]:
        begun = {name: field[name].begin("view", "--json") for name in NAMES}
        return {name: command.bytes() for name, command in begun.items()}

    @staticmethod
    def _check(
        before: dict[str, Holding], after: dict[str, Holding], views: dict[str, bytes]
    ) -> None:
        """Raise DemoError where a view differs, or an event was lost."""
        for team in TEAMS:
            if views[team] != views[BASE]:
                raise DemoError(f"the views of {BASE} and {team} differ")
        written = sum(held.own for held in before.values())
        for name, held in after.items():
            if held.own + held.others != written:
                raise DemoError(f"{name} holds {held.own + held.others} of {written} events")

    @staticmethod
    def _conflict(field: Field) -> dict[str, Any]:
        found = field[BASE].ask("conflicts", RECORD)
        values = [{one["shown"]["value"], *(it["value"] for it in one["beside"])} for one in found]
        if values != [set(EDITS.values())]:
            raise DemoError(f"the teams' edits are not kept side by side: {found}")
        conflict: dict[str, Any] = found[0]
        return conflict
