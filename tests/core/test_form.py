"""Forms: strictly read, the same on every replica, and exact about the values they take."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import NO_PREV, OPEN_DATASET, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.fieldtypes import Choice, Choices, Decimal, FieldType
from meshlog.core.form import FORM_KIND, FORM_SIZE_MAX, fold_forms, form_body, read_form
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import Identity
from meshlog.core.rangecoder import ReaderCoder, Writer
from meshlog.core.roster import Member, Roster
from meshlog.core.typedefinition import read_type
from meshlog.errors import InputError, MalformedError

ANN, BEN = Identity(bytes(range(64))), Identity(bytes(range(1, 65)))


def made(kind: str, **params: Any) -> FieldType:
    found = read_type(kind, params)
    assert found is not None
    return found


TYPES = [
    made("int"),
    made("bool"),
    made("decimal", scales=[7, 2], low=-(10**9), high=10**9),
    made("decimal", scales=[0], low=-5, high=5),
    made("choice", options=["a", "b", 1, 1.0, True, ""]),
    made("choices", options=["a", "b", "c d"], separator=" / "),
    made("choices", options=["x", "y", "z"], shares=[0, 64, 3]),
    made("date", pattern="%d.%m.%Y", first=700_000),
    made("date", pattern="%Y-%m-%dT%H:%M:%SZ", first=1),
    made("uuid", prefix="p/", suffix=".jpg"),
    made("uuid", dashed=True),
]
values = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.decimals(-100, 100, places=7).map(float),
    st.text(max_size=8),
    st.sampled_from(["a", "b / a", "c d / a / b", "x, z", "z, y", "z, z", -0.0, 1.0, 0.5]),
    st.dates().map(lambda day: f"{day:%d.%m}.{day.year:04}"),
    st.datetimes().map(lambda at: f"{at.year:04}{at:-%m-%dT%H:%M:%SZ}"),
    st.uuids().map(str),
    st.uuids().map(lambda found: f"p/{found.hex}.jpg"),
)


@given(st.lists(values, min_size=1, max_size=8))
def test_a_value_that_a_type_takes_comes_back_exactly(listed: list[Any]):
    for kind in TYPES:
        taken = [(value, kind.pack(value)) for value in listed]
        known = [(value, packed) for value, packed in taken if packed is not None]
        writer = Writer()
        last = None
        for _, packed in known:
            last = kind.code(writer, "x", packed, last)
        reader = ReaderCoder(writer.finish())
        last = None
        for value, _ in known:
            last = kind.code(reader, "x", 0, last)
            found = kind.unpack(last)
            assert (type(found), repr(found)) == (type(value), repr(value))
        reader.end()


def test_steps_of_every_scale_share_their_models():
    """A coarse value first, a fine one later: the tree has room for both."""
    kind = made("decimal", scales=[7, 2], low=-(10**9), high=10**9)
    listed = [0.0, 0.01, 55.1234567, -99.0, 0.5]
    writer, last = Writer(), None
    for value in listed:
        packed = kind.pack(value)
        assert packed is not None
        last = kind.code(writer, "x", packed, last)
    reader, last, found = ReaderCoder(writer.finish()), None, []
    for _ in listed:
        last = kind.code(reader, "x", 0, last)
        found.append(kind.unpack(last))

    assert found == listed


def test_types_take_what_they_are_for():
    decimal = made("decimal", scales=[7, 5], low=-150_000_000, high=0)
    assert isinstance(decimal, Decimal)

    assert decimal.pack(-14.5240718) is not None
    assert decimal.pack(-14.52407181) is None
    assert decimal.pack(14.5) is None
    assert decimal.pack("-14.5") is None
    assert made("choice", options=["1"]).pack(1) is None
    assert made("date", pattern="%d/%m/%Y", first=1).pack("31/02/2022") is None
    assert made("uuid").pack("AB" * 16) is None
    assert made("choices", options=["a", "b"]).pack("") is None


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("colour", {}),
        ("int", {"low": 1}),
        ("text", {"long": True}),
        ("choice", {}),
        ("choice", {"options": []}),
        ("choice", {"options": ["a", "a"]}),
        ("choice", {"options": [None]}),
        ("choice", {"options": ["a"], "weights": [24]}),
        ("choice", {"options": ["a"], "weights": [1, 2]}),
        ("choice", {"options": [f"{n}" for n in range(257)]}),
        ("choices", {"options": ["a, b"]}),
        ("choices", {"options": ["a"], "separator": ""}),
        ("choices", {"options": ["a"], "shares": [65]}),
        ("decimal", {"scales": [16], "low": 0, "high": 1}),
        ("decimal", {"scales": [1], "low": 1, "high": 0}),
        ("decimal", {"scales": [1, 1], "low": 0, "high": 1}),
        ("decimal", {"scales": [1], "low": 0, "high": 2**53}),
        ("date", {"pattern": "%d/%m", "first": 1}),
        ("date", {"pattern": "%d/%m/%Y %d", "first": 1}),
        ("date", {"pattern": "%d %b %Y", "first": 1}),
        ("date", {"pattern": "%d/%m/%Y", "first": 0}),
        ("uuid", {"prefix": 3}),
        ("uuid", {"dashed": 1}),
    ],
)
def test_a_parameter_that_is_wrong_or_unknown_is_refused(kind: str, params: dict[str, Any]):
    """Both ends must code alike: what one does not know, it must not guess."""
    with pytest.raises(MalformedError):
        read_type(kind, params)


WELL = {"form": "well", "fields": [["depth_m", "int"], ["note", "text", {"share": 3}]]}


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"form": "well"},
        {"form": "", "fields": [["a", "int"]]},
        {"form": "well", "fields": []},
        {"form": "well", "fields": [["a", "int"], ["a", "text"]]},
        {"form": "well", "fields": [["a"]]},
        {"form": "well", "fields": [["a", "int", {"share": 65}]]},
        {"form": "well", "fields": [["a", "colour"]]},
        {"form": "well", "fields": [[f"f{n}", "int"] for n in range(257)]},
        {"form": "well", "fields": [["a", "int"]], "more": 1},
        {"form": "well", "fields": [["a", "choice", {"options": ["x" * FORM_SIZE_MAX]}]]},
    ],
)
def test_what_is_no_form_cannot_be_pinned_and_is_ignored_when_heard(definition: dict[str, Any]):
    with pytest.raises(InputError):
        form_body(definition)

    assert fold_forms([put(ANN, 1, definition)]).pinned == {}


def put(who: Identity, seq: int, definition: dict[str, Any], at_ms: int = 5) -> Event:
    feed = FeedKey(who.author, FeedKind.CONTROL, 1)
    stamp = Stamp(at_ms + seq, 0)
    return Event.make(feed, seq, stamp, NO_PREV, encode_body(FORM_KIND, definition))


def team(**roles: Role) -> Roster:
    identities = {"ann": ANN, "ben": BEN}
    return Roster(
        OPEN_DATASET,
        members={
            identities[name].author: Member(
                identities[name].author,
                identities[name].keys,
                name,
                role,
                b"",
                (1,),
                (0, b"", 0, 0, b""),
            )
            for name, role in roles.items()
        },
    )


def test_the_forms_do_not_depend_on_the_order_in_which_they_come():
    other = {"form": "well", "fields": [["depth_m", "int"]]}
    events = [put(ANN, 1, WELL), put(BEN, 2, other), put(BEN, 1, WELL, 900), put(ANN, 2, {})]
    roster = team(ann=Role.WRITER, ben=Role.COORDINATOR)

    books = [fold_forms(order).book(roster) for order in itertools.permutations(events)]

    assert all(book == books[0] for book in books)
    assert [len(form.fields) for form in books[0].forms] == [2, 1]
    latest = books[0].named("well")
    assert latest is not None
    assert latest.id == read_form(encode_body(FORM_KIND, other)).id


def test_only_who_writes_pins_forms():
    log = fold_forms([put(ANN, 1, WELL)])

    assert log.book(team(ann=Role.RELAY)).forms == ()
    assert log.book(team(ben=Role.WRITER)).forms == ()
    assert len(log.book(team(ann=Role.WRITER)).forms) == 1


def test_a_hint_names_one_form_or_none():
    book = fold_forms([put(ANN, 1, WELL)]).book(team(ann=Role.WRITER))
    form = book.forms[0]

    assert book.hinted(form.hint) is form
    assert book.hinted(b"\x00\x00") is None
    assert book.named("school") is None


def test_nobody_crowds_out_what_others_pinned():
    """A member back-dates hundreds of forms: of each author the latest sixteen count."""
    flood = [
        put(BEN, seq, {"form": f"junk-{seq}", "fields": [["a", "int"]]}, at_ms=1)
        for seq in range(1, 400)
    ]

    forms = (
        fold_forms([*flood, put(ANN, 1, WELL)]).book(team(ann=Role.WRITER, ben=Role.WRITER)).forms
    )

    assert "well" in {form.name for form in forms}
    assert len(forms) == 17


def test_several_choices_keep_their_order_and_stay_small():
    kind = made("choices", options=["a", "b", "c"])
    assert isinstance(kind, Choices)
    packed = [kind.pack(", ".join(order)) for order in itertools.permutations("abc")]

    assert len({*packed}) == 6
    assert packed[0] == 7


def test_weights_make_the_usual_cheap():
    kind = made("choice", options=["usual", "rare"], weights=[23, 0])
    assert isinstance(kind, Choice)
    writer = Writer()
    for _ in range(100):
        kind.code(writer, "x", 0, None)

    assert len(writer.finish()) <= 1
