"""rotate-key: by the founder, for everybody who belongs."""

from __future__ import annotations

import json

from meshlog.core.grant import Invite
from tests.cli.processes import Device


def key_of(device: Device) -> bytes:
    return Invite.parse(json.loads(device.ok("invite", "--json"))["invite"]).key


def test_a_new_invite_carries_the_new_key(base: Device) -> None:
    before = key_of(base)

    said = base.ok("rotate-key")

    assert "2nd key" in said
    assert key_of(base) != before
    assert json.loads(base.ok("rotate-key", "--json")) == {"epoch": 2}


def test_a_writer_is_told_who_can(base: Device) -> None:
    invite = json.loads(base.ok("invite", "--json"))["invite"]
    base.ok("join", invite, "--data", "team.db")

    result = base("rotate-key", "--data", "team.db")

    assert result.code == 2
    assert "only the founder and coordinators" in result.err
    assert "Traceback" not in result.err
