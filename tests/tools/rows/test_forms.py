"""Forms that an import makes: what a file's columns hold, and never twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from meshlog.core.form import FormBook, form_body, read_form
from meshlog.tools.rows.forms import infer_form
from meshlog.tools.rows.importing import import_file
from tests.replica.devices import T0_MS, open_replica


def types_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    definition = infer_form("x", rows)
    form_body(definition)
    return {entry[0]: entry[1] for entry in definition["fields"]}


def survey(count: int = 200) -> list[dict[str, Any]]:
    rng = random.Random(4)
    rows = []
    for at in range(count):
        row: dict[str, Any] = {
            "day": f"{rng.randrange(1, 29):02}/{rng.randrange(1, 13):02}/2022",
            "photo": f"https://x/{rng.getrandbits(128):032x}",
            "uid": f"{at:08x}-0000-4000-8000-{rng.getrandbits(48):012x}",
            "lat": round(-14 - rng.random(), 7),
            "status": rng.choice(["works", "works", "broken"]),
            "problems": ", ".join(sorted(rng.sample(["Rods", "Pipes", "Handle", "Apron"], 2))),
            "people": rng.randrange(10**6),
            "remark": "".join(rng.choices("abcdefgh ", k=20)),
        }
        if at % 4 == 0:
            row["seldom"] = rng.random() < 0.5
        rows.append(row)
    return rows


def test_columns_get_the_type_that_suits_them():
    assert types_of(survey()) == {
        "day": "date",
        "photo": "uuid",
        "uid": "uuid",
        "lat": "decimal",
        "status": "choice",
        "problems": "choices",
        "people": "int",
        "remark": "text",
        "seldom": "choice",
    }


def test_a_form_says_how_often_a_field_is_answered_and_what_first():
    form = read_form(form_body(infer_form("x", survey())))
    status = infer_form("x", survey())["fields"][4]

    assert form.fields[form.places["seldom"]].share == 16
    assert form.fields[form.places["day"]].share == 64
    assert status[2]["options"] == ["works", "broken"]


def test_a_form_stays_within_its_size():
    rng = random.Random(1)
    rows = [
        {f"f{n}": "".join(rng.choices("abcdefgh", k=60)) for n in range(60)} for _ in range(10)
    ] * 40

    form_body(infer_form("x", rows))


def imported(path: Path, replica: Any) -> Any:
    return import_file(
        path,
        form="well",
        id_column="code",
        lookup=replica.record,
        append=lambda items: replica.append_many(items, T0_MS),
        forms=replica.ledger.forms,
        put_form=lambda definition: replica.put_form(definition, T0_MS),
    )


def test_an_import_pins_a_form_once(tmp_path: Path):
    path = tmp_path / "wells.csv"
    path.write_text("code,depth_m\n" + "".join(f"W-{n},{n % 7}\n" for n in range(50)))
    ann = open_replica("ann")

    first = imported(path, ann)
    events = ann.event_count()
    again = imported(path, ann)

    assert first.added == 50
    assert first.notes[0].startswith("pinned form well: 1 field")
    assert again.notes == ()
    assert ann.event_count() == events
    assert ann.ledger.forms.named("well") is not None


def test_a_file_with_another_column_pins_another_form(tmp_path: Path):
    path = tmp_path / "wells.csv"
    path.write_text("code,depth_m\nW-1,3\n")
    ann = open_replica("ann")
    imported(path, ann)
    path.write_text("code,depth_m,owner\nW-1,3,x\n")

    imported(path, ann)

    form = ann.ledger.forms.named("well")
    assert form is not None
    assert [*form.places] == ["depth_m", "owner"]


def test_without_a_way_to_pin_nothing_is_pinned(tmp_path: Path):
    path = tmp_path / "wells.csv"
    path.write_text("code,depth_m\nW-1,3\n")
    ann = open_replica("ann")

    import_file(
        path,
        form="well",
        id_column="code",
        lookup=ann.record,
        append=lambda items: ann.append_many(items, T0_MS),
    )

    assert ann.ledger.forms == FormBook()
