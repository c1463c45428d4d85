"""Cells and values undo each other, and nothing is taken for a number that is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.derived import derived_id
from meshlog.tools.rows.cells import cell_of, value_of

NASTY = ["", " 1", "1 ", "007", "-0", "1.50", "1.", ".5", "+5", "1_000", "٣", "1e5", "TRUE"]
NASTY += ["True", "nan", "inf", "-inf", "0x10", "9223372036854775808", "1" * 400, "1,5", "--1"]


@pytest.mark.parametrize("cell", NASTY)
def test_keeps_as_text_what_a_number_would_not_give_back(cell: str):
    assert value_of(cell) == cell
    assert isinstance(value_of(cell), str)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("9223372036854775807", 2**63 - 1),
        ("-14.5240718", -14.5240718),
        ("1.0", 1.0),
        ("true", True),
        ("false", False),
    ],
)
def test_types_what_is_surely_a_value(cell: str, value: object):
    assert value_of(cell) == value
    assert type(value_of(cell)) is type(value)


@given(st.one_of(st.text(), st.from_regex(r"[-+ ]?[0-9]{0,20}\.?[0-9]{0,20}(e-?[0-9]+)?")))
def test_every_cell_comes_back(cell: str):
    assert cell_of(value_of(cell)) == cell


def test_an_id_depends_on_content_form_and_occurrence_alone():
    one = derived_id("well", {"a": "1", "b": "2"}, 0)

    assert one == derived_id("well", {"b": "2", "a": "1"}, 0)
    assert len({one, derived_id("well", {"a": "1", "b": "2"}, 1), derived_id("tap", {}, 0)}) == 3


def test_shows_values_that_a_cell_cannot_have_as_text():
    assert cell_of(b"\x01\xff") == "01ff"
    assert cell_of(("é", 1, {"k": b"\x00"})) == '["é", 1, {"k": "00"}]'
