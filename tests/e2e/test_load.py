"""The load generator of scripts/bench, through the gateway: what it measures is the job that it says it is."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmark import rig
from benchmark.proxies import PROXIES, Place

RATE, SECONDS, PATIENCE = 30, 1, 10
EVERY_CORE = frozenset(range(1024))
TRANSPORTS = {name: replace(one, sockets=min(one.sockets, 8)) for name, one in rig.TRANSPORTS.items()}

pytestmark = [
    pytest.mark.peer("cc", "gcc"),
    pytest.mark.skipif(not Path("/usr/include/openssl/ssl.h").exists(), reason="Debian package libssl-dev is missing"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rig.build_generator(tmp_path_factory.mktemp("load"))


class Load:
    """A running generator; `run` gives what it has counted."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        assert running.stdin is not None and running.stdout is not None
        self._to, self._from = running.stdin, running.stdout
        self.pool_port = int(self._from.readline().split()[1])

    def run(self, port: int) -> dict[str, Any]:
        self._to.write(f"run {port} {RATE} 1 {SECONDS} {PATIENCE}\n")
        self._to.flush()
        told = [self._from.readline().strip() for _ in range(3)]
        assert told[:2] == ["measuring", "measured"]
        found: dict[str, Any] = json.loads(told[2])
        return found


@contextmanager
def running(program: Path, spoken: rig.Transport) -> Iterator[Load]:
    command = [str(program), spoken.callers, spoken.pool, str(spoken.sockets)]
    with rig.process(command, EVERY_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Load(process)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_call_goes_through_the_gateway(program: Path, tmp_path: Path, transport: str) -> None:
    spoken = TRANSPORTS[transport]
    with running(program, spoken) as load:
        workers = 2 if transport == "workers" else 1
        place = Place(tmp_path, load.pool_port, EVERY_CORE, spoken, workers, max_delay=5.0)  # the machine may be busy
        with PROXIES["interpreted"](place) as (_, port):
            found = load.run(port)
    assert found["calls"] == found["completed"] == RATE * SECONDS, found
    assert not any(found["faults"].values()), found["faults"]
    assert found["lost_connections"] == found["send_errors"] == found["rejected"] == 0, found
    assert 0 < found["p50_ms"] <= found["p99_ms"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_no_proxy_has_touched_is_told(program: Path, transport: str) -> None:
    """To the pool itself, and pretending that it is a proxy: each call lacks what a proxy puts in and takes out."""
    with running(program, TRANSPORTS[transport]) as load:
        found = load.run(load.pool_port)
    assert found["faults"]["no_record_route"] == found["faults"]["max_forwards_kept"] == RATE * SECONDS, found


def test_a_proxy_that_is_not_there_is_told(program: Path) -> None:
    spoken = TRANSPORTS["tcp"]
    command = [str(program), spoken.callers, spoken.pool, "1"]
    found = subprocess.run(command, input="run 1 10 1 1 1\n", capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 2
    assert "load: no connection to port 1: Connection refused" in found.stderr
