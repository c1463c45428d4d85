"""Help is where people look first."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from meshlog.cli.app import main, program

WRITING = [
    "init",
    "join",
    "invite",
    "members",
    "revoke",
    "readmit",
    "rotate",
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
    "query",
    "conflicts",
    "watch",
    "history",
    "log",
    "status",
    "forks",
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


@pytest.mark.parametrize(
    ("name", "words"), [("clock", "fix, mend, show"), ("bundle", "export, import, show")]
)
def test_a_command_with_commands_of_its_own_asks_which_in_one_line(
    name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([name])

    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said == f"meshlog {name}: say which: {words}: see `meshlog {name} --help`\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_cuts_no_sentence(name: str) -> None:
    listed = CliRunner().invoke(program, ["--help"]).output.splitlines()

    line = next(line for line in listed if line.startswith(f"  {name} "))

    assert not line.endswith("...")


def test_version_is_shown() -> None:
    result = CliRunner().invoke(program, ["--version"])

    assert result.exit_code == 0
    assert result.output.startswith("meshlog ")
