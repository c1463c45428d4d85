"""Help is where people look first."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from meshlog.cli.app import program

WRITING = [
    "init",
    "join",
    "invite",
    "rotate-key",
    "run",
    "put",
    "set",
    "note",
    "delete",
    "import",
]
READING = [
    "export",
    "bundle",
    "backup",
    "forms",
    "view",
    "conflicts",
    "history",
    "log",
    "status",
    "clock",
    "fsck",
    "doctor",
    "sim",
    "demo",
]
COMMANDS = [*WRITING, *READING]


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(program, ["--help"])

    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output


def test_a_bare_call_shows_the_help() -> None:
    result = CliRunner().invoke(program, [])

    assert result.exit_code == 0
    assert "Commands:" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(program, [name, "--help"])

    assert result.exit_code == 0, result.output
    example = result.output.split("Example:\n")[1]
    assert example.startswith(f"  meshlog {name}")
    text = result.output.split("Example:")[0]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_cuts_no_sentence(name: str) -> None:
    listed = CliRunner().invoke(program, ["--help"]).output.splitlines()

    line = next(line for line in listed if line.startswith(f"  {name} "))

    assert not line.endswith("...")


def test_version_is_shown() -> None:
    result = CliRunner().invoke(program, ["--version"])

    assert result.exit_code == 0
    assert result.output.startswith("meshlog ")
