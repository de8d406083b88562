"""What a gateway tells of itself beside its store: it is read while the gateway lives, and never afterwards."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from sipgw.config import default_config, parse_config
from sipgw.core.health import Health, HealthSettings
from sipgw.events import Hop, Listener
from sipgw.observability import log
from sipgw.server.running import MAX_RECOVERED, Running, RunningFile, ServerState, path_of, read_running

CONFIG = default_config()
WALL = 1_700_000_000.0
PC1 = Hop("TLS", "10.1.0.1", 5041, "pc.contoso.com")
PC2 = Hop("TCP", "2001:db8::2", 5041)
LISTENERS = [Listener("TCP", "127.0.0.1", 5060, "gw.contoso.com:5060"), Listener("UDP", "::1", 5060, "gw.contoso.com")]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "gw.db"


@pytest.fixture
def health() -> Health:
    return Health(HealthSettings(interval=10.0))


def told(store: Path) -> Running:
    found = read_running(store)
    assert found is not None
    return found


def test_nothing_runs(store: Path) -> None:
    assert read_running(store) is None


def test_what_is_told(store: Path, health: Health) -> None:
    file = RunningFile(store, lambda: WALL)
    file.look(CONFIG, LISTENERS, health, 50.0)
    assert told(store) == Running(os.getpid(), WALL, "", WALL, ("tcp:127.0.0.1:5060", "udp:[::1]:5060"), {})
    assert path_of(store).stat().st_mode & 0o777 == 0o600
    file.close()
    assert list(store.parent.iterdir()) == []


def test_servers_that_go_down_and_come_back(store: Path, health: Health) -> None:
    file = RunningFile(store, lambda: WALL)
    health.failed(PC1, "Connection refused", 40.0, certain=True)
    health.failed(PC2, "503", 45.0, retry_after=30.0)
    file.look(CONFIG, LISTENERS, health, 50.0)
    assert told(store).servers == {
        PC1: ServerState(False, WALL - 10, "Connection refused", 0.0),
        PC2: ServerState(False, WALL - 5, "503", WALL + 25),
    }
    health.succeeded(PC1, 60.0)
    file.look(CONFIG, LISTENERS, health, 60.5)
    assert told(store).servers == {
        PC1: ServerState(True, WALL, "", 0.0),
        PC2: ServerState(False, WALL - 15.5, "503", WALL + 14.5),
    }
    file.close()


def test_a_server_that_has_failed_once_is_not_down(store: Path, health: Health) -> None:
    file = RunningFile(store, lambda: WALL)
    health.failed(PC1, "timeout", 40.0)
    file.look(CONFIG, LISTENERS, health, 50.0)
    assert told(store).servers == {}
    file.close()


def test_it_is_written_only_when_something_has_changed(store: Path, health: Health) -> None:
    file = RunningFile(store, lambda: WALL)
    health.failed(PC1, "Connection refused", 40.0, certain=True)
    file.look(CONFIG, LISTENERS, health, 50.0)
    first = path_of(store).stat().st_ino
    file.look(CONFIG, LISTENERS, health, 50.5)
    assert path_of(store).stat().st_ino == first
    file.look(CONFIG, LISTENERS[:1], health, 51.0)
    assert told(store).listening == ("tcp:127.0.0.1:5060",)
    file.close()


def test_a_configuration_that_is_read_again(store: Path, health: Health) -> None:
    """Also one that says the same: that it was read is what counts."""
    walls = [WALL, WALL + 1, WALL + 2, WALL + 3, WALL + 4]
    file = RunningFile(store, lambda: walls.pop(0))
    source = store.parent / "gw.toml"
    file.look(parse_config({}, source), LISTENERS, health, 50.0)
    assert (told(store).source, told(store).configured) == (str(source), WALL + 1)
    file.look(parse_config({}, source), LISTENERS, health, 51.0)
    assert told(store).configured == WALL + 3
    file.close()


def test_servers_that_were_down_are_not_kept_for_ever(store: Path, health: Health) -> None:
    file = RunningFile(store, lambda: WALL)
    hops = [Hop("TCP", "10.1.0.1", port) for port in range(1, MAX_RECOVERED + 11)]
    for hop in hops:
        health.failed(hop, "Connection refused", 40.0, certain=True)
    file.look(CONFIG, LISTENERS, health, 50.0)
    for hop in hops:
        health.succeeded(hop, 51.0)
    file.look(CONFIG, LISTENERS, health, 52.0)
    assert list(told(store).servers) == hops[10:]
    file.close()


def test_a_gateway_that_was_killed_tells_nothing_any_more(store: Path, health: Health) -> None:
    """Not even while its file is there; the next gateway's takes its place."""
    program = f"""
import os, signal
from pathlib import Path
from sipgw.config import default_config
from sipgw.core.health import Health, HealthSettings
from sipgw.server.running import RunningFile
file = RunningFile(Path({str(store)!r}))
file.look(default_config(), [], Health(HealthSettings()), 0.0)
print("told", flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"told\n"
        assert told(store).pid == child.pid
        child.send_signal(signal.SIGKILL)
    assert path_of(store).exists()
    assert read_running(store) is None
    file = RunningFile(store, lambda: WALL)
    file.look(CONFIG, LISTENERS, health, 50.0)
    assert told(store).pid == os.getpid()
    file.close()


def test_the_file_of_a_successor_is_left_alone(store: Path, health: Health) -> None:
    first, second = RunningFile(store, lambda: WALL), RunningFile(store, lambda: WALL + 1)
    first.look(CONFIG, LISTENERS, health, 50.0)
    second.look(CONFIG, LISTENERS, health, 50.0)
    first.close()
    assert told(store).since == WALL + 1
    second.close()
    assert not path_of(store).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', json.dumps({"pid": 1, "since": 2, "servers": [1]})])
def test_what_cannot_be_read_is_passed_over(store: Path, health: Health, text: str) -> None:
    file = RunningFile(store, lambda: WALL)
    file.look(CONFIG, LISTENERS, health, 50.0)
    path_of(store).write_text(text)  # the same file: the lock stays
    assert read_running(store) is None
    file.close()


def test_a_folder_that_cannot_be_written_is_warned_of_once(store: Path, health: Health) -> None:
    path_of(store).mkdir()
    (path_of(store) / "x").touch()
    stream = io.StringIO()
    log.configure("json", "info", stream)
    try:
        file = RunningFile(store, lambda: WALL)
        file.look(CONFIG, LISTENERS, health, 50.0)
        file.look(CONFIG, LISTENERS, health, 50.5)
    finally:
        structlog.reset_defaults()
    (warning,) = map(json.loads, stream.getvalue().splitlines())
    assert (warning["level"], warning["event"]) == ("warning", "cannot tell commands what runs")
    assert warning["file"] == str(path_of(store))
    file.close()
