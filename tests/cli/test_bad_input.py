"""Whatever is wrong: one line that says what to do, exit code 2, no traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import Device, Result

OLD_LOG = '{"author": "a", "seq": 1, "hlc": [1, 0], "kind": "note.add", "payload": {}}\n'


def is_one_line_error(result: Result) -> bool:
    lines = result.err.splitlines()
    return (
        result.code == 2
        and len(lines) == 1
        and lines[0].startswith("meshlog")
        and ": " in lines[0]
        and "Traceback" not in result.err
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["veiw"], "did you mean view?"),
        (["--frob"], "no such option"),
        (["set"], "missing argument"),
        (["set", "W-1", "depth_m"], "missing argument 'VALUE'"),
        (["set", "W-1", "depth_m", "1", "--frob"], "--frob"),
        (["set", "W-1", "mark", "-x"], "begins with a dash goes behind --"),
        (["set", "W" * 257, "depth_m", "1"], "256 bytes"),
        (["set", "", "depth_m", "1"], "record_id"),
        (["set", "W-1", "depth_m", os.fsdecode(b"\xff")], "UTF-8"),
        (["note", "W-1", "x" * 70_000], "65536"),
        (["put", "W-1"], "nothing to write"),
        (["put", "W-1", "depth_m"], "FIELD=VALUE"),
        (["put", "W-1", "a=1", "a=2"], "twice"),
        (["delete", "W-9"], "no record 'W-9'"),
        (["view", "W-2"], "did you mean W-1?"),
        (["history", "W-2"], "did you mean W-1?"),
        (["view", "--data", "missing.db"], "does not exist"),
        (["set", "a", "b", "c", "--data", "missing.db"], "does not exist"),
        (["set", "W-1", "a", "1", "--identity", "nobody"], "is missing"),
        (["init", "Other"], "holds a dataset already"),
        (["init", "n" * 65, "--data", "new.db"], "64 bytes"),
        (["init", "Other", "--data", "no/such/folder.db"], "not a folder"),
        (["init"], "missing argument"),
        (["join", "MESHLOG1-AAAA", "--data", "new.db"], "mistyped"),
        (["join", "hello", "--data", "new.db"], "neither an invite nor a file"),
        (["join", "-", "--data", "new.db"], "not an invite"),
        (["import", "missing.csv", "--form", "well"], "missing.csv"),
        (["import", "-", "--form", "well"], "standard input is empty"),
        (["backup", "-"], "not to standard output"),
        (["bundle", "export", "-"], "not to standard output"),
        (["export", "--form", "nothing"], "no records of form"),
        (["export", "."], "folder"),
        (["export", "no/such/folder.csv"], "No such file"),
        (["export", "no/such/folder.csv"], "meshlog: no/such/folder.csv: "),
        (["log", "--limit", "0"], "--limit"),
        (["log", "-n", "x"], "no whole number from 1 to 100000"),
        (["log", "--after", "-1"], "no whole number from 0"),
        (["invite", "--uses", "1.5"], "no whole number from 1 to 65535"),
        (["invite", "--expires", "soon"], "'soon' is no time"),
        (["invite", "--expires", "2020-01-01"], "past already"),
        (["revoke", "nobody"], "there is no member 'nobody'"),
        (["revoke", "base"], "that is this device"),
        (["revoke", "base", "--hard", "--soft"], "not both"),
        (["readmit", "base"], "not revoked"),
        (["invite", "--role", "king"], "--role"),
        (["run", "--gossip-interval", "nan"], "gossip-interval"),
        (["run", "--gossip-interval", "-1"], "gossip-interval"),
        (["run", "--set", "W-1", "a"], "--set"),
        (["run", "--data", "."], "is a folder"),
    ],
)
def test_a_wrong_word_costs_one_line(base: Device, words: list[str], says: str) -> None:
    result = base(*words)

    assert is_one_line_error(result), result
    assert says in result.err


@pytest.mark.parametrize("words", ["view", "set a b c", "run", "status", "fsck", "export", "log"])
def test_without_a_dataset_every_command_says_how_to_begin(empty: Device, words: str) -> None:
    result = empty(*words.split())

    assert is_one_line_error(result), result
    assert "meshlog init" in result.err


@pytest.mark.parametrize("words", ["view", "run --no-radio", "set a b c", "status", "fsck"])
def test_an_old_log_is_pointed_to_import(base: Device, words: str) -> None:
    (base.home / "old.jsonl").write_text(OLD_LOG)

    result = base(*words.split(), "--data", "old.jsonl")

    assert is_one_line_error(result), result
    assert "import" in result.err
    assert (base.home / "old.jsonl").read_text() == OLD_LOG


@pytest.mark.parametrize("words", ["view", "run --no-radio -s", "set W-1 a 1", "status", "fsck"])
@pytest.mark.parametrize("spoil", ["not a store", "zeros", "header only"])
def test_a_spoilt_store_costs_one_line(base: Device, words: str, spoil: str) -> None:
    whole = base.data.read_bytes()
    spoilt = {
        "not a store": b"hello" * 4_000,
        "zeros": bytes(len(whole)),
        "header only": whole[:100] + b"\xaa" * (len(whole) - 100),
    }
    for beside in ("-wal", "-shm"):
        Path(f"{base.data}{beside}").unlink(missing_ok=True)
    base.data.write_bytes(spoilt[spoil])

    result = base(*words.split())

    assert is_one_line_error(result), result


@pytest.mark.parametrize("words", ["set W-1 a 1", "run --no-radio", "invite"])
def test_a_torn_identity_is_an_error_and_never_a_new_one(base: Device, words: str) -> None:
    identity = Path(f"{base.data}.identity")
    torn = identity.read_bytes()[:40]
    identity.write_bytes(torn)

    result = base(*words.split())

    assert is_one_line_error(result), result
    assert ".bak" in result.err
    assert identity.read_bytes() == torn


def test_another_identity_is_refused(base: Device) -> None:
    base.ok("init", "Other", "--data", "other.db")

    result = base("set", "W-1", "a", "1", "--identity", "other.db.identity")

    assert is_one_line_error(result), result
    assert "belongs to" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_costs_one_line(empty: Device) -> None:
    folder = empty.home / "closed"
    folder.mkdir(mode=0o500)

    result = empty("init", "Survey", "--data", folder / "a.db")

    assert is_one_line_error(result), result


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_disk_behind_the_output_costs_one_line(base: Device) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            base.command("view", "--json"), env=base.env, stdout=full, stderr=subprocess.PIPE,
            check=False, timeout=60,
        )  # fmt: skip

    assert is_one_line_error(Result(done.returncode, "", done.stderr.decode()))


@pytest.mark.parametrize(
    "words",
    ["view", "view --json", "query", "watch --all --once", "log", "history W-1", "query --count"],
)
def test_a_reader_that_leaves_early_is_no_error(base: Device, words: str) -> None:
    """Not for a script with `pipefail` either."""
    theirs, ours = os.pipe()
    os.close(theirs)

    done = subprocess.run(
        base.command(*words.split()), env=base.env, stdout=ours, stderr=subprocess.PIPE,
        check=False, timeout=60,
    )  # fmt: skip
    os.close(ours)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name != "posix", reason="a shell closes them")
@pytest.mark.parametrize(
    ("words", "code"), [("view", 0), ("export - --form well", 0), ("import - --form well", 2)]
)
def test_streams_that_were_closed_before_are_empty(base: Device, words: str, code: int) -> None:
    """A job in the background, or one of `cron`, may have none."""
    ask = shlex.join(base.command(*words.split()))
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {ask} <&- >&-"], env=base.env, stderr=subprocess.PIPE,
        check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def test_without_reticulum_run_says_what_to_install(base: Device, tmp_path: Path) -> None:
    (tmp_path / "broken" / "RNS").mkdir(parents=True)
    (tmp_path / "broken" / "RNS" / "__init__.py").write_text("raise ImportError('not here')")
    base.env["PYTHONPATH"] = f"{tmp_path / 'broken'}{os.pathsep}{base.env['PYTHONPATH']}"

    result = base("run")

    assert is_one_line_error(result), result
    assert "pip install" in result.err


def test_an_expired_invite_is_refused_before_anything_is_made(base: Device) -> None:
    invite = base.ok("invite", "--expires", "1d", "--json")

    base.env["PYTHONPATH"] = os.pathsep.join([str(_clock(base.home)), base.env["PYTHONPATH"]])
    result = base("join", invite.split('"invite": "')[1].split('"')[0], "--data", "late.db")

    assert is_one_line_error(result), result
    assert "expired" in result.err
    assert not (base.home / "late.db").exists()


def _clock(home: Path) -> Path:
    """Return a folder for PYTHONPATH in whose world it is ten days later."""
    folder = home / "later"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import time\nnow = time.time\ntime.time = lambda: now() + 864000\n"
    )
    return folder


def test_a_broken_reticulum_configuration_is_one_error_with_exit_2(tmp_path: Path) -> None:
    """Reticulum's own way is to leave with 255 and, for a bad port, a traceback."""
    radio = tmp_path / "radio"
    radio.mkdir()
    (radio / "config").write_text(
        "[reticulum]\n  share_instance = No\n[interfaces]\n  [[U]]\n    type = UDPInterface\n"
        "    enabled = yes\n    listen_ip = 127.0.0.1\n    listen_port = 99999\n",
    )

    done = subprocess.run(
        [
            *(sys.executable, "-m", "meshlog", "run", "--name", "ann"),
            *("--data", tmp_path / "a.db", "--configdir", radio),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "Reticulum cannot start" in done.stderr.splitlines()[-1]
