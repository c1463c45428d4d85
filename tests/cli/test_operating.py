"""What a service says of itself: structured logs, figures for Prometheus, the systemd unit."""

from __future__ import annotations

import configparser
import json
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.processes import Device, wait_for
from tests.cli.test_bad_input import is_one_line_error

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "packaging" / "meshlog.service"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Device:
    device = Device(tmp_path_factory.mktemp("base"))
    device.ok("init", "Survey", "--name", "base")
    device.ok("put", "W-1", "--form", "well", "depth_m=30")
    return device


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_node_serves_its_figures(base: Device, port: int) -> None:
    held = json.loads(base.ok("status", "--json"))

    with base.node("--metrics", f"127.0.0.1:{port}"):
        figures = scrape(port)

    assert figures["meshlog_events"] == held["events"]
    assert figures["meshlog_records"] == 1
    assert figures["meshlog_forked_feeds"] == 0
    assert figures["meshlog_disk_trouble"] == 0
    assert figures["meshlog_store_bytes"] > 10_000
    assert figures["meshlog_refused_segments_total forged"] == 0
    assert figures["meshlog_peers in sync"] == 0
    assert "meshlog_clock_ahead_seconds" not in figures
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_port_that_is_taken_is_said(base: Device) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = base("run", "--service", "--no-radio", "--metrics", f"127.0.0.1:{port}")

    assert is_one_line_error(result), result
    assert "choose another port" in result.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--metrics", "9464"], "no address and port"),
        (["--metrics", "127.0.0.1:0"], "no address and port"),
        (["--metrics", "127.0.0.1:http"], "no address and port"),
        (["--log-format", "xml"], "--log-format"),
        (["--log-file", "no/such/folder/log"], "check the name"),
        (["--log-file", "."], "is a directory"),
    ],
)
def test_bad_input_is_one_line(base: Device, words: list[str], says: str) -> None:
    result = base("run", "--service", "--no-radio", *words)

    assert is_one_line_error(result), result
    assert says in result.err


def test_structured_logs_are_one_object_per_line_and_name_their_event(
    base: Device, tmp_path: Path
) -> None:
    file = tmp_path / "node.log"

    with base.node("--log-format", "json", "--log-file", file, "-v"):
        wait_for(lambda: "node.state" in file.read_text())
        moved = file.rename(tmp_path / "node.log.1")
        base.ok("note", "W-1", "a secret of the team")
        wait_for(lambda: file.exists() and "node.state" in file.read_text())

    lines = [json.loads(line) for one in (moved, file) for line in one.read_text().splitlines()]
    assert lines[0]["event"] == "node.started"
    assert lines[-1]["event"] == "node.stopping"
    assert all(line.keys() >= {"time", "level", "event", "logger", "message"} for line in lines)
    assert "a secret" not in file.read_text()
    assert {one.stat().st_mode & 0o777 for one in (file, moved)} == {0o600}


def test_every_event_that_is_logged_stands_in_the_list() -> None:
    told = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    names = set()
    for path in (ROOT / "src").rglob("*.py"):
        for part in path.read_text(encoding="utf-8").split('"event": "')[1:]:
            names.add(part.split('"')[0])

    assert len(names) >= 10
    assert not [name for name in names if f"`{name}`" not in told]


def test_the_unit_starts_a_service_that_comes_back() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)

    assert unit["Service"]["ExecStart"].endswith("meshlog run --service")
    assert unit["Service"]["Restart"] == "always"
    assert "rnsd.service" in unit["Unit"]["Wants"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/usr/local/bin/meshlog", "/bin/true")
    unit = tmp_path / "meshlog.service"
    unit.write_text(text, encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert "meshlog.service" not in done.stderr, done.stderr
