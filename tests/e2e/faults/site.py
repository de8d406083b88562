"""A gateway with pools whose servers the tests make, and the emulated client and pool in the test's own process."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from sipgw.config import ListenAddress, TlsFiles
from sipgw.options import ClientOptions, PoolOptions
from sipgw.registry import Server
from sipgw.server.chat_client import ClientError, GroupChatClient
from sipgw.server.pool_app import PoolApp
from tests.e2e.programs import Program
from tests.e2e.raw_client import RawClient

FIRST_RESPONSE, CONNECT = 0.5, 0.3  # seconds, much shorter than they would be
SLACK = 1.0  # seconds beyond what the timers say: this machine may be busy
PAIR = "sip:ocschat@contoso.com"  # the contact object of the pool whose service the emulated pool names
ALONE = "sip:alone@contoso.com"  # that of another pool
GONE = 481  # what a request inside a dialog gets when its server is not there


def pool(fqdn: str, servers: Sequence[str], contact_object: str, *more: str) -> str:
    """A pool and its endpoint as the configuration has them."""
    listed = ", ".join(f'"{server}"' for server in servers)
    return "\n".join(
        [
            "[[pool]]",
            f'fqdn = "{fqdn}"',
            f"servers = [{listed}]",
            *more,
            "[[endpoint]]",
            f'sip_address = "{contact_object}"',
            f'pool_fqdn = "{fqdn}"',
        ]
    )


def write(
    folder: Path,
    *pools: str,
    health: str = "interval = 0",
    timers: str = "",
    listen: str = "'tcp:127.0.0.1:0', 'udp:127.0.0.1:0'",
) -> Path:
    """A configuration with short timers."""
    path = folder / "sipgw.toml"
    head = f"""
[gateway]
fqdn = "127.0.0.1"
listen = [{listen}]
[store]
url = "sqlite:gateway.db"
[limits]
max_requests_per_user = 0
max_delay = 5.0
[timers]
first_response = {FIRST_RESPONSE}
connect = {CONNECT}
{timers}
[health]
{health}
"""
    path.write_text("\n".join([head, *pools, ""]), "utf-8")
    return path


@asynccontextmanager
async def emulated_pool(port: int = 0, host: str = "127.0.0.1", tls: TlsFiles | None = None) -> AsyncIterator[str]:
    """A pool that works; its address. With `tls` it shows that certificate, and wants one where a `ca` is named."""
    listen = ListenAddress("TLS" if tls is not None else "TCP", host, port)
    files = {} if tls is None else {key: path for key, path in tls._asdict().items() if path is not None}
    app = PoolApp(PoolOptions((listen,), "contoso.com", rooms=("Lobby",), **files))
    await app.start()
    try:
        yield str(app.listeners[0])
    finally:
        await app.close()


class Visit(NamedTuple):
    """What became of one client that came to chat: after `seconds` it could, or was told `failure`."""

    seconds: float
    failure: str = ""


async def visit(port: int, contact_object: str = PAIR) -> Visit:
    """Sign in, find the chat service, list its rooms, sign out."""
    options = ClientOptions("sip:alice@contoso.com", Server("TCP", "127.0.0.1", port), contact_object, timeout=10.0)
    client = GroupChatClient(options)
    began = time.monotonic()
    try:
        await client.start()
        seconds = time.monotonic() - began
        assert "Lobby" in await client.find_rooms()
        await client.sign_out()
    except ClientError as error:
        return Visit(time.monotonic() - began, str(error))
    finally:
        await client.close()
    return Visit(seconds)


def note(fault: str, who: str, seconds: float, what: str) -> None:
    """A figure for docs/pool-faults.md, shown by `pytest -rP`."""
    print(f"measured | {fault} | {who} | {seconds:.2f} s | {what}")


@asynccontextmanager
async def caller(port: int) -> AsyncIterator[RawClient]:
    client = RawClient("alice@contoso.com")
    await client.connect(port)
    try:
        assert (await client.register())[0] == 200
        yield client
    finally:
        await client.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that shows itself in the test's own process or in a file."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text("utf-8")
    assert old in text
    config.write_text(text.replace(old, new), "utf-8")


async def reload(gateway: Program) -> None:
    """SIGHUP, and wait until it is done."""
    seen = len(gateway.log)
    gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: any("reloaded" in line for line in gateway.log[seen:]))
    assert not any("not reloaded" in line for line in gateway.log[seen:]), gateway.log[seen:]
