"""An invite as a QR code: what a reader reads of it joins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zxingcpp

from meshlog.cli.qr import code, image
from tests.cli.processes import Device


def read(text: str) -> str:
    """Return what a QR reader sees on our code's modules."""
    rows = [bytes(255 * (1 - dark) for dark in row) for row in code(text).matrix_iter(4, 4)]
    [found] = zxingcpp.read_barcodes(
        memoryview(b"".join(rows)).cast("B", (len(rows), len(rows[0])))
    )
    return found.text


def test_an_invite_comes_back_from_its_code_and_joins(base: Device) -> None:
    invite = json.loads(base.ok("invite", "--json"))["invite"]

    assert read(invite) == invite
    assert "Joined" in base.ok("join", read(invite), "--data", "team.db")


def test_an_invite_takes_the_alphanumeric_mode_and_stays_scannable(base: Device) -> None:
    """57 modules: on a phone's screen of 6 cm about 1 mm each."""
    made = code(json.loads(base.ok("invite", "--json"))["invite"])

    assert made.mode == "alphanumeric"
    assert made.version <= 11


@pytest.mark.parametrize("name", ["invite.png", "invite.svg"])
def test_a_file_with_a_code_is_the_owners_alone(base: Device, name: str) -> None:
    invite = json.loads(base.ok("invite", "--json", "--qr-file", name))["invite"]

    path = base.home / name if (base.home / name).exists() else Path(name)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == image(invite, name[-3:])


def test_the_terminal_shows_a_code_that_fits_it(base: Device) -> None:
    said = base.ok("invite", "--qr")

    blocks = [line for line in said.splitlines() if line.startswith("█")]
    assert len(blocks) > 25
    assert max(map(len, blocks)) <= 80


@pytest.mark.parametrize("file", ["invite.jpg", "no/such/folder/invite.png"])
def test_a_file_that_cannot_be_is_refused_before_anything_is_made(base: Device, file: str) -> None:
    result = base("init", "Other", "--data", "other.db", "--qr-file", file)

    assert result.code == 2
    assert not (base.home / "other.db").exists()
