"""Every mistake of a configuration with file, line and key: at the start, at a reload, whatever finds it."""

import re
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.programs import Program, sipgw

GOOD = """\
[gateway]
fqdn = "127.0.0.1"
listen = [
  "tcp:127.0.0.1:0",
]
workers = {workers}
[store]
url = "sqlite:gateway.db"
[admin]
listen = "127.0.0.1:0"
[limits]
[timers]
connect = 2.0
[[pool]]
fqdn = "pcpool.contoso.com"
servers = ["tcp:127.0.0.1:9"]
"""
TLS = '[tls]\ncertificate = "gw.pem"\nprivate_key = "gw.pem"\n'
Mistake = tuple[
    Callable[[str], str], list[str]
]  # what becomes of the file, and what is said: line, key and a word of it
MISTAKES: dict[str, Mistake] = {
    "values and keys": (
        lambda text: text.replace("[limits]", "[limits]\nmax_header = 3\nban = -1").replace("= 2.0", "= 0"),
        ["12: limits.max_header: .*max_headers", "13: limits.ban: is -1", "15: timers.connect: is 0"],
    ),
    "no TOML": (lambda text: text.replace("connect = 2.0", "connect 2.0"), ["13: not TOML: .*line 13"]),
    "something missing": (
        lambda text: text.replace('fqdn = "pcpool', 'x = "pcpool'),
        ["15: pool\\[0\\].x: ", "14: pool"],
    ),
    "no certificate": (
        lambda text: text.replace("[limits]", f"{TLS}[limits]"),
        ["12: tls.certificate: .*gw.pem: not in pem form"],
    ),
    "log": (lambda text: f'{text}[log]\nfile = "no/where.log"\n', ["18: log.file: .*no/where.log: No such"]),
}


def write(folder: Path, text: str, workers: int) -> Path:
    path = folder / "sipgw.toml"
    path.write_text(text.replace("{workers}", str(workers)), "utf-8")
    (folder / "gw.pem").write_text("nothing", "utf-8")
    return path


def told(program: Program, path: Path) -> list[str]:
    """What the log says of this file."""
    return [line.partition(f"{path}:")[2] for line in program.log if f"{path}:" in line]


def are_told(found: list[str], expected: list[str]) -> bool:
    return len(found) == len(expected) and all(any(re.match(pattern, line) for line in found) for pattern in expected)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_at_the_start_and_at_a_reload(tmp_path: Path, mistake: str, workers: int) -> None:
    spoil, expected = MISTAKES[mistake]
    path = write(tmp_path, spoil(GOOD), workers)
    async with sipgw("serve", "--config", path) as gateway:
        assert await gateway.process.wait() == 1
        await gateway.ended()
        assert are_told(told(gateway, path), expected), gateway.log
    write(tmp_path, GOOD, workers)
    async with sipgw("serve", "--config", path) as gateway:
        await gateway.ports()
        write(tmp_path, spoil(GOOD), workers)
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.line("not reloaded")
        write(tmp_path, GOOD, workers)
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.line("reloaded", "addresses")
        assert are_told(told(gateway, path), expected), gateway.log


@pytest.mark.parametrize("workers", [1, 2])
async def test_all_addresses_that_cannot_be_had(tmp_path: Path, workers: int) -> None:
    """Each with its own line."""
    with ExitStack() as stack:
        taken = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        more = f'  "tcp:127.0.0.1:{taken}",\n  "tcp:127.0.0.1:0",\n  "udp:203.0.113.9:5060",\n]'
        spoilt = GOOD.replace('  "tcp:127.0.0.1:0",\n]', more) + "[auth]\ntrust_network = true\n"
        expected = [
            f"4: gateway.listen\\[0\\]: tcp:127.0.0.1:{taken}: Address already in use",
            "6: gateway.listen\\[2\\]: ",
        ]
        path = write(tmp_path, spoilt, workers)
        async with sipgw("serve", "--config", path) as gateway:
            assert await gateway.process.wait() == 1
            await gateway.ended()
            assert are_told(told(gateway, path), expected), gateway.log
        write(tmp_path, GOOD, workers)
        async with sipgw("serve", "--config", path) as gateway:
            await gateway.ports()
            write(tmp_path, spoilt, workers)
            gateway.process.send_signal(signal.SIGHUP)
            await gateway.line("not reloaded", "203.0.113.9")
            assert are_told(told(gateway, path), expected), gateway.log


async def test_what_takes_a_restart(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, 1)
    async with sipgw("serve", "--config", path) as gateway:
        await gateway.ports()
        write(tmp_path, GOOD.replace('fqdn = "127.0.0.1"', 'fqdn = "other.test"'), 1)
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.line("not reloaded")
        assert are_told(told(gateway, path), ["2: gateway.fqdn: changes only with a restart"]), gateway.log


async def test_users(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text('[[user]]\nuri = "sip:a@contoso.com"\n[[user]]\nenabled = 5\n', "utf-8")
    path = write(tmp_path, GOOD + '[auth]\nschemes = ["digest"]\n', 1)
    async with sipgw("serve", "--config", path) as gateway:
        assert await gateway.process.wait() == 1
        await gateway.ended()
        assert are_told(told(gateway, users), ["3: user\\[1\\].uri: is missing", "4: user\\[1\\].enabled: is 5"])
