"""A cut-over killed at each of its changes, against a gateway that runs and where everybody signs in: by its API, as it
is by default. tests/management/test_cutover_back.py has every other moment, on a store."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipgw.config import load_config
from sipgw.management import cutover_rollback, cutover_steps
from sipgw.management.cli import main
from sipgw.management.cmdlets.accounts import read_accounts
from sipgw.management.cmdlets.api_backend import ApiBackend
from sipgw.management.cmdlets.choose import backend_for
from tests.e2e.admin_gateway import Gateway
from tests.e2e.programs import ROOT
from tests.e2e.rehearsal.weekend import MONITORS, OCSCHAT, POOL, SERVERS, USERS, write_config
from tests.management.killing import killed_at

FORWARD: list[tuple[Any, str]] = [(cutover_steps, "disable"), (ApiBackend, "add_endpoint")]
BACK: list[tuple[Any, str]] = [(ApiBackend, "remove_endpoint"), (cutover_rollback, "enable")]


class Weekend:
    """A gateway and a pool that run; how things are."""

    def __init__(self, config: Path) -> None:
        self.config = config
        line = ["cutover", "--sip-address", OCSCHAT, "--config", str(config)]
        accounts = ["--sender-account", "monitor1", "--receiver-account", "monitor2"]
        self.forward = [*line, "--pool-fqdn", POOL, "--assume-data-moved", "--disable-user", *accounts]
        self.back = [*line, "--rollback"]

    @property
    def is_over(self) -> bool:
        return self._state == ([OCSCHAT], False)

    @property
    def is_undone(self) -> bool:
        return self._state == ([], True)

    @property
    def _state(self) -> tuple[list[str], bool]:
        config = load_config(self.config)
        backend = backend_for(config)
        assert isinstance(backend, ApiBackend)
        enabled = next(one.enabled for one in read_accounts(config) if one.uri == OCSCHAT)
        return [one.sip_address for one in backend.registry().endpoints()], enabled

    def record(self) -> list[str]:
        """What has been begun since the last look."""
        file = self.config.with_name("gateway.db-audit.jsonl")
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        file.unlink()
        return [line["what"] for line in lines if line["state"] == "begun"]


@pytest.fixture
def weekend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Weekend]:
    for end in ("SENDER", "RECEIVER"):
        monkeypatch.setenv(f"SIPGW_{end}_PASSWORD", "secret")
    users = tmp_path / "users.toml"
    users.write_text(USERS + MONITORS, "utf-8")
    users.chmod(0o600)
    gateway = Gateway(write_config(tmp_path, [POOL], 'schemes = ["ntlm"]'), tmp_path / "log")
    command = [sys.executable, "-m", "sipgw", "pool", "--listen", SERVERS[POOL], "--room", "Lobby"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "pool log").open("wb") as output:
        pool = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        gateway.start()
        yield Weekend(gateway.config)
    finally:
        pool.terminate()
        pool.wait(15)
        gateway.stop()


def test_killed_at_each_change_it_is_finished_or_taken_back(weekend: Weekend) -> None:
    moment = 0
    while killed_at(moment, FORWARD, lambda: main(weekend.forward)):
        assert main(weekend.forward) == 0, f"killed at {moment}"
        assert weekend.is_over
        assert {"user.disable", "endpoint.new"} <= set(weekend.record()), "also what nobody could say the end of"
        assert main(weekend.back) == 0
        assert weekend.is_undone
        weekend.record()
        killed_at(moment, FORWARD, lambda: main(weekend.forward))
        assert main(weekend.back) == 0, f"killed at {moment}"
        assert weekend.is_undone
        weekend.record()
        moment += 1
    assert moment == 4
    assert weekend.is_over


def test_killed_on_the_way_back_it_is_taken_back(weekend: Weekend) -> None:
    moment = 0
    while True:
        assert main(weekend.forward) == 0
        if not killed_at(moment, BACK, lambda: main(weekend.back)):
            break
        assert main(weekend.back) == 0, f"killed at {moment}"
        assert weekend.is_undone
        moment += 1
    assert moment == 4
    assert weekend.is_undone
