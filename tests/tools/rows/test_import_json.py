"""JSON lines, flat or as exported; a bad line is reported and costs nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.tools.camp import Device

File = Callable[..., Path]


def test_flat_objects_are_rows(base: Device, file: File):
    path = file('{"code": 7, "a": 1.0, "b": "1", "c": null, "form": "x"}\n', "x.jsonl")

    report = base.bring(path, id_column="code")

    assert report.added == 1
    assert base.fields("7") == {"a": 1.0, "b": "1", "form": "x"}


def test_objects_without_an_id_get_one_from_their_content(base: Device, file: File):
    path = file('{"a": 1}\n{"a": 1}\n\n{"a": "1"}\n', "x.jsonl")

    assert base.bring(path).added == 3
    assert base.bring(path).unchanged == 3


def test_bad_lines_are_reported_by_number(base: Device, file: File):
    lines = [
        b'{"record_id": "w1", "a": 1}',
        b'{"record_id": "w2", "a": ',
        b"[1]",
        b'{"record_id": "w3", "a": NaN}',
        b'{"record_id": "w4", "a": 99999999999999999999}',
        b'{"record_id": "w5", "a": 1, "a": 2}',
        b'{"record_id": "w6", "a": "\xff"}',
        b'{"record_id": "w7", "a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"record_id": ["w8"], "a": 1}',
        b'{"record_id": "w9", "form": 3, "fields": {}}',
        b'{"record_id": "wa", "form": "f", "fields": {}, "notes": [1]}',
        b'{"record_id": "wb", "a": "\\ud800"}',
        b'{"record_id": "wc", "form": "f", "fields": {}, "attachments": [{"field": 1}]}',
        b'{"record_id": "wd", "a": 1e999}',
        b'{"record_id": "w99", "a": 2}',
    ]

    report = base.bring(file(b"\n".join(lines), "x.jsonl"))

    assert [line for line, _ in report.failed] == list(range(2, 15))
    assert sorted(base.view()) == ["w1", "w99"]


def test_a_new_record_needs_a_form_a_known_one_does_not(base: Device, file: File):
    base.write("record.put", record_id="w1", form="well", fields={"a": 1})

    report = base.bring(file('{"record_id": "w1", "a": 2}\n{"record_id": "w2"}\n', "x.jsonl"), None)

    assert (report.changed, report.failed[0].line) == (1, 2)
    assert "--form" in report.failed[0].reason
