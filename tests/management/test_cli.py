"""The command line as a whole: exit statuses, one-line mistakes, no tracebacks."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sipgw import __version__
from sipgw.build import kind
from sipgw.config import ListenAddress
from sipgw.management import cli
from sipgw.options import ClientOptions, PoolOptions
from sipgw.registry import Server
from tests.management.conftest import Run


def test_version(sipgw: Run) -> None:
    assert sipgw("--version", config=None) == (0, f"sipgw, version {__version__}, {kind()}\n", "")


def test_help_lists_the_commands_and_hides_the_demo(sipgw: Run) -> None:
    found = sipgw("--help", config=None)
    assert found.status == 0
    names = [line.split()[0] for line in found.out.split("Commands:\n")[1].splitlines()]
    assert names == sorted(names)
    assert set(names) >= {"backup", "cmdlet", "completion", "endpoint", "pool-state", "restore", "serve", "user"}
    assert "demo" not in names


def test_no_command_shows_the_help(sipgw: Run) -> None:
    found = sipgw(config=None)
    assert found.status == 2
    assert "Usage: sipgw" in found.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nonsense",), "sipgw: No such command 'nonsense'; see sipgw --help"),
        (("serve", "--port", "5"), "sipgw serve: No such option '--port'; see sipgw serve --help"),
        (("endpoint", "new"), "sipgw endpoint new: Missing option '--sip-address'; see sipgw endpoint new --help"),
        (
            ("pool", "--listen", "tcp:host"),
            "sipgw pool: Invalid value for '--listen': \"tcp:host\" has no port; write transport:host:port; "
            "see sipgw pool --help",
        ),
        (
            ("client", "--user", "alice", "--server", "tcp:h:1"),
            "sipgw client: Invalid value for '--user': \"alice\" is not of the form sip:user@domain; "
            "see sipgw client --help",
        ),
        (
            ("client", "--user", "alice@contoso.com", "--server", "tcp:h:0"),
            "sipgw client: Invalid value for '--server': \"tcp:h:0\" has port 0, which nobody can connect to; "
            "write transport:host:port; see sipgw client --help",
        ),
    ],
)
def test_command_lines_that_cannot_be_read(sipgw: Run, arguments: tuple[str, ...], text: str) -> None:
    assert sipgw(*arguments, config=None) == (2, "", f"{text}\n")


def test_each_configuration_mistake_is_a_line(sipgw: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[gateway]\nworkers = 2\nworker_port = 65_535\n[log]\nlevel = "loud"\n', "utf-8")
    found = sipgw("serve", config=path)
    assert found.status == 1
    assert found.err.splitlines() == [
        f'sipgw: {path}:5: log.level: is "loud"; write "debug", "info", "warning" or "error"',
        f"sipgw: {path}:3: gateway.worker_port: is 65535; 2 workers need 2 ports from there on; "
        "write 65534 or less, or 0",
    ]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(98, "Address already in use"), 1, "sipgw: Address already in use\n"),
        (FileNotFoundError(2, "No such file or directory", "ca.pem"), 1, "sipgw: ca.pem: No such file or directory\n"),
        (OSError("something else"), 1, "sipgw: something else\n"),
    ],
)
def test_ends(sipgw: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, text: str) -> None:
    async def fail(config: object, explain: object) -> int:
        raise error

    monkeypatch.setattr("sipgw.server.serving.serve", fail)
    assert sipgw("serve") == (status, "", text)


def test_status_of_a_program_is_that_of_the_command(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(config: object, explain: object) -> int:
        return 7

    monkeypatch.setattr("sipgw.server.serving.serve", serve)
    assert sipgw("serve").status == 7


def test_runs_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program() -> int:
        return 0 if type(asyncio.get_running_loop()).__module__.startswith("asyncio") else 1

    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.run(program()) == 0


def test_pool_options(sipgw: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[PoolOptions] = []

    async def run_pool(options: PoolOptions) -> int:
        told.append(options)
        return 0

    monkeypatch.setattr("sipgw.server.pool_app.run_pool", run_pool)
    rooms = tmp_path / "rooms.toml"
    rooms.touch()
    sipgw("pool", config=None)
    listen = ("--listen", "tcp:127.0.0.1:5042", "--listen", "udp:[::1]:0")
    rest = ("--data", "chat.db", "--rooms", str(rooms), "--room", "Lobby", "--room", "Café", "--domain", "Fabrikam.com")
    sipgw("pool", *listen, *rest, config=None)
    assert told == [
        PoolOptions((ListenAddress("TCP", "127.0.0.1", 5041),), "contoso.com"),
        PoolOptions(
            (ListenAddress("TCP", "127.0.0.1", 5042), ListenAddress("UDP", "::1", 0)),
            "fabrikam.com",
            Path("chat.db"),
            rooms,
            ("Lobby", "Café"),
        ),
    ]


def test_pool_by_tls_needs_its_files(sipgw: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[PoolOptions] = []

    async def run_pool(options: PoolOptions) -> int:
        told.append(options)
        return 0

    monkeypatch.setattr("sipgw.server.pool_app.run_pool", run_pool)
    paths = {name: tmp_path / name for name in ("certificate", "private-key", "ca")}
    arguments = ["pool", "--listen", "tls:127.0.0.1:0"]
    for name, path in paths.items():
        if name != "ca":
            found = sipgw(*arguments, config=None)
            assert (found.status, f"--listen tls:... needs --{name}" in found.err) == (2, True)
        path.touch()
        arguments += [f"--{name}", str(path)]
    sipgw(*arguments, config=None)
    (options,) = told
    assert [options.certificate, options.private_key, options.ca] == list(paths.values())


def test_client_options(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[ClientOptions] = []

    async def run_client(options: ClientOptions) -> int:
        told.append(options)
        return 0

    monkeypatch.setattr("sipgw.server.client_app.run_client", run_client)
    who = ("client", "--user", "Alice@contoso.com", "--server", "tls:gw.contoso.com:5061")
    sipgw(*who, config=None)
    wishes = ("--join", "Lobby", "--say", "hello", "--say", "again", "--expect", "hi", "--history", "--rooms")
    sipgw(*who, "--contact-object", "sip:x@contoso.com", *wishes, "--timeout", "2.5", config=None)
    server = Server("TLS", "gw.contoso.com", 5061)
    assert told == [
        ClientOptions("sip:alice@contoso.com", server, "sip:ocschat@contoso.com"),
        ClientOptions(
            "sip:alice@contoso.com",
            server,
            "sip:x@contoso.com",
            join=("Lobby",),
            say=("hello", "again"),
            expect=("hi",),
            history=True,
            list_rooms=True,
            timeout=2.5,
        ),
    ]


def test_an_interrupt_from_the_keyboard_ends_in_silence(tmp_path: Path) -> None:
    """As a process: SIGINT reaches a program that waits, and neither it nor the interpreter says a word."""
    program = """
import asyncio, sys
from sipgw.management import cli
import sipgw.server.serving

async def serve(config, explain):
    print("waiting", flush=True)
    await asyncio.sleep(3600)

sipgw.server.serving.serve = serve
sys.exit(cli.main(["serve"]))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"waiting\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_leaves_is_no_traceback(gw: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "sipgw", "endpoint", "get", "--json", "--config", str(gw)]
    found = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False, env=environment)
    os.close(writing)
    assert (found.returncode, found.stderr) == (1, b"")
