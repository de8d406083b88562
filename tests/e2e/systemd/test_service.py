"""The gateway as a service: what it tells systemd, the unit, and the rotation of its log."""

import asyncio
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.e2e.faults.site import change, until
from tests.e2e.programs import ROOT, Program, sipgw, write_config
from tests.e2e.raw_client import RawClient
from tests.e2e.systemd.manager import serving

UNIT, ROTATION = ROOT / "config/sipgw.service", ROOT / "config/logrotate"


def config(folder: Path, log: str = "") -> Path:
    path = write_config(folder, "tcp:127.0.0.1:9")
    if log:
        change(path, "[log]", f'[log]\nfile = "{log}"')
    return path


@pytest.mark.parametrize("abstract", [False, True])
async def test_it_says_when_it_is_ready_and_when_it_ends(tmp_path: Path, abstract: bool) -> None:
    path = f"@sipgw-test-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    async with serving(config(tmp_path), path) as (gateway, manager):
        ready = await manager.next("READY")
        assert ready == {"READY": "1", "STATUS": "0 registrations, 0 connections, 0 transactions"}
        client = RawClient("alice@contoso.com")  # it listens, as it has said
        await client.connect((await gateway.ports())["tcp"])
        assert (await client.register())[0] == 200
        await client.close()
        gateway.process.send_signal(signal.SIGTERM)
        assert (await manager.next("STOPPING"))["STATUS"] == "finishing calls under way"
        assert await gateway.process.wait() == 0
        assert not any("WATCHDOG" in told for told in manager.told), "none was asked for"


async def test_it_says_when_it_reloads(tmp_path: Path) -> None:
    path = config(tmp_path)
    async with serving(path, str(tmp_path / "notify")) as (gateway, manager):
        await manager.next("READY")
        gateway.process.send_signal(signal.SIGHUP)
        assert (await manager.next("RELOADING"))["MONOTONIC_USEC"].isdecimal()
        assert "registrations" in (await manager.next("READY"))["STATUS"]
        change(path, 'level = "info"', 'level = "loud"')
        gateway.process.send_signal(signal.SIGHUP)
        await manager.next("RELOADING")
        status = (await manager.next("READY"))["STATUS"]
        assert status.startswith("not reloaded: ") and "log.level" in status


async def test_the_watchdog_hears_of_it_in_time(tmp_path: Path) -> None:
    async with serving(config(tmp_path), str(tmp_path / "notify"), WATCHDOG_USEC="300000") as (_, manager):
        await manager.next("READY")
        for _ in range(3):
            assert (await manager.next("WATCHDOG"))["WATCHDOG"] == "1"


async def test_a_watchdog_of_somebody_else(tmp_path: Path) -> None:
    meant = {"WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"}
    async with serving(config(tmp_path), str(tmp_path / "notify"), **meant) as (gateway, manager):
        await manager.next("READY")
        gateway.process.send_signal(signal.SIGTERM)
        await manager.next("STOPPING")
        assert not any("WATCHDOG" in told for told in manager.told)


async def test_a_manager_that_is_gone_is_no_matter(tmp_path: Path) -> None:
    async with serving(config(tmp_path), str(tmp_path / "notify"), WATCHDOG_USEC="100000") as (gateway, manager):
        await manager.next("WATCHDOG")
        manager.close()
        (tmp_path / "notify").unlink()
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.line("reloaded")


# the unit


@pytest.mark.peer("systemd-analyze", "systemd")
def test_the_unit_is_one(tmp_path: Path) -> None:
    """With a program where it says that there is one."""
    installed = tmp_path / "sipgw.service"
    installed.write_text(UNIT.read_text("utf-8").replace("/opt/sipgw/bin/sipgw", sys.executable), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(installed)], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.peer("systemd-analyze", "systemd")
def test_the_unit_leaves_little_open() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(UNIT)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for sipgw.service: (\d+\.\d)", done.stdout)
    assert found is not None and float(found[1]) < 2.0, done.stdout


def test_the_unit_starts_what_there_is() -> None:
    text = UNIT.read_text("utf-8")
    (start,) = re.findall(r"^ExecStart=/opt/sipgw/bin/sipgw (.*)$", text, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "sipgw", *start.split()[:1], "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and all(option in done.stdout for option in re.findall(r"--\S+", start))
    assert "Type=notify" in text and "WatchdogSec=" in text


# the log


async def traffic(gateway: Program, user: str) -> None:
    """Something that is worth a line of the log."""
    client = RawClient(f"{user}@contoso.com")
    await client.connect((await gateway.ports())["tcp"])
    assert (await client.register())[0] == 200
    await client.close()


async def test_the_log_goes_to_a_file_which_is_opened_anew(tmp_path: Path) -> None:
    log, old = tmp_path / "sipgw.log", tmp_path / "sipgw.log.1"
    async with sipgw("serve", "--config", config(tmp_path, "sipgw.log")) as gateway:
        await until(lambda: log.exists() and "listening" in log.read_text("utf-8"))
        gateway.log += log.read_text("utf-8").splitlines()
        await traffic(gateway, "alice")
        await until(lambda: "user=alice" in log.read_text("utf-8"))
        log.rename(old)
        gateway.process.send_signal(signal.SIGUSR1)
        await until(log.exists)
        await traffic(gateway, "bob")
        await until(lambda: "user=bob" in log.read_text("utf-8"))
        assert await gateway.stop() == 0
    assert "listening" in old.read_text("utf-8") and "stopped" in log.read_text("utf-8")
    assert "listening" not in log.read_text("utf-8") and "stopped" not in old.read_text("utf-8")
    assert "\x1b" not in old.read_text("utf-8"), "no colours"


def rules_for(folder: Path, log: Path, pid: int) -> Path:
    """Our own rules, but for where the log is, whose it is, and how to reach the service."""
    ours = {
        "/var/log/sipgw/sipgw.log": str(log),
        "su sipgw sipgw": f"su {folder.owner()} {folder.group()}",
        "systemctl kill --signal=USR1 --kill-whom=main sipgw.service": f"kill -USR1 {pid}",
    }
    text = ROTATION.read_text("utf-8")
    for theirs, here in ours.items():
        assert theirs in text
        text = text.replace(theirs, here)
    folder.chmod(0o755)  # logrotate refuses a folder that others could write to
    path = folder / "rules"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.peer("logrotate", "logrotate")
async def test_logrotate_does_it(tmp_path: Path) -> None:
    log = tmp_path / "sipgw.log"
    async with sipgw("serve", "--config", config(tmp_path, str(log))) as gateway:
        await until(lambda: log.exists() and "listening" in log.read_text("utf-8"))
        rules = rules_for(tmp_path, log, gateway.process.pid)
        command = ["logrotate", "--force", "--state", str(tmp_path / "state"), str(rules)]
        rotation = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
        said, _ = await rotation.communicate()
        assert (rotation.returncode, said) == (0, b"")
        await until(log.exists)
        assert "listening" in (tmp_path / "sipgw.log.1").read_text("utf-8")
        assert await gateway.stop() == 0
    assert "stopped" in log.read_text("utf-8")


async def test_without_a_file_the_signal_changes_nothing(tmp_path: Path) -> None:
    async with sipgw("serve", "--config", config(tmp_path)) as gateway:
        await gateway.ports()
        gateway.process.send_signal(signal.SIGUSR1)
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.line("reloaded")


async def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """One line at the start, and at a reload nothing changes."""
    path = config(tmp_path, "no/where/sipgw.log")
    line = path.read_text("utf-8").splitlines().index('file = "no/where/sipgw.log"') + 1
    async with sipgw("serve", "--config", path) as gateway:
        assert await gateway.process.wait() == 1
        await gateway.ended()
        fault = f"sipgw: {path}:{line}: log.file: {tmp_path}/no/where/sipgw.log: No such file or directory"
        assert gateway.log == [f"{fault}; name one that this user can write"]
    path = config(tmp_path, "sipgw.log")
    async with sipgw("serve", "--config", path) as gateway:
        log = tmp_path / "sipgw.log"
        await until(lambda: log.exists() and "listening" in log.read_text("utf-8"))
        change(path, '"sipgw.log"', '"no/sipgw.log"')
        gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: "not reloaded" in log.read_text("utf-8"))
        change(path, '"no/sipgw.log"', '"other.log"')
        gateway.process.send_signal(signal.SIGHUP)
        other = tmp_path / "other.log"
        await until(lambda: other.exists() and "reloaded" in other.read_text("utf-8"))
