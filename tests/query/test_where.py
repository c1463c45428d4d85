"""Conditions as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.errors import InputError
from meshlog.query.where import read_where


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ends where a field should be"),
        ("depth_m", "ends where =, !="),
        ("depth_m >", "ends where a value should be"),
        ("depth_m > > 3", "has '>' where a value should be"),
        ("depth_m = 3 4", "has '4' where its end, `and` or `or` should be"),
        ("depth_m = 3 and", "ends where a field should be"),
        ("(depth_m = 3", "ends where a closing parenthesis should be"),
        ("depth_m in 3", "has '3' where an opening parenthesis should be"),
        ("depth_m in ()", "has ')' where a value should be"),
        ("depth_m in (3", "ends where a comma or a closing parenthesis should be"),
        ("depth_m is", "ends where `missing` or `there` should be"),
        ("depth_m is lost", "has 'lost' where `missing` or `there` should be"),
        ("a = 'unclosed", "cannot be read from"),
        ("a == 3", "has '=' where a value should be"),
        ("not " * 40 + "a = 1", "nested at most 32 deep"),
        ("(" * 40 + "a = 1" + ")" * 40, "nested at most 32 deep"),
        ("a = " + "x" * 5_000, "at most 4096 characters"),
    ],
)
def test_what_is_no_condition_is_refused_and_says_where(text: str, says: str):
    with pytest.raises(InputError) as refused:
        read_where(text)

    assert says in str(refused.value)


@given(st.text(max_size=60))
def test_nothing_that_is_typed_raises_anything_else(text: str):
    try:
        condition = read_where(text)
    except InputError:
        return
    assert condition.sql.count("?") == len(condition.values)


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_quoted_is_bound_and_never_becomes_sql(field: str, value: str):
    quoted = [text.replace("'", "''") for text in (field, value)]

    condition = read_where(f"'{quoted[0]}' = '{quoted[1]}'")

    assert condition == read_where("a = 'b'")._replace(
        values=(field, "text", value), fields=(field,)
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a = 3", ("a", "number", 3)),
        ("a = -3.5e2", ("a", "number", -350.0)),
        ("a = '3'", ("a", "text", "3")),
        ('a = "true"', ("a", "text", "true")),
        ("a = true", ("a", "truth", 1)),
        ("a = 99999999999999999999", ("a", "number", 1e20)),
        ("a = 1" + "0" * 400, ("a", "number", float("inf"))),
        ("a = 2022-05-01", ("a", "text", "2022-05-01")),
        ('"with space" = it', ("with space", "text", "it")),
        ("a ~ 50%_", ("a", "50%_")),
    ],
)
def test_a_value_is_what_it_looks_like_unless_it_is_quoted(text: str, values: tuple[object, ...]):
    assert read_where(text).values == values
