"""Calls through a pool that is known by its name alone: Knot has its records, its servers are on several addresses."""

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from sipgw.config import TlsFiles
from tests.e2e.dns.name_server import change, knot
from tests.e2e.faults.scripted import unreachable
from tests.e2e.faults.site import PAIR, SLACK, emulated_pool, note, pool, visit, write
from tests.e2e.named import named
from tests.e2e.programs import Program
from tests.ports import free_port
from tests.server.certificates import issue

pytestmark = pytest.mark.peer("knotd", "knot")

POOL = "pcpool.contoso.com"
SHORTEST = 5.0  # seconds that an answer is kept at least
ZONE = """
$ORIGIN contoso.com.
$TTL 1
@    SOA ns hostmaster 1 3600 600 86400 1
@    NS  ns
ns   A   127.0.0.1
pc1  A   127.0.0.2
pc2  A   127.0.0.3
"""
SRV = f"_sips._tcp.{POOL}"


@pytest.fixture
def names(tmp_path: Path) -> Iterator[int]:
    """The name server's port."""
    folder = tmp_path / "knot"
    folder.mkdir()
    with knot(folder, {"contoso.com": ZONE}) as port:
        yield port


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """All servers have the pool's certificate."""
    return issue(trustme.CA(), tmp_path, POOL)


async def serving(stack: AsyncExitStack, folder: Path, names: int, files: TlsFiles, health: str) -> tuple[Program, int]:
    config = write(folder, f'[tls]\nca = "{files.ca}"', pool(POOL, [], PAIR), health=health)
    gateway = await stack.enter_async_context(named(names, "serve", "--config", config))
    return gateway, (await gateway.ports())["tcp"]


async def chats(gateway: Program, port: int) -> tuple[str, float]:
    """By which server a client does, and how long it waited."""
    seen = len(gateway.log)
    made = await visit(port)
    assert made.failure == "", made.failure
    line = next(line for line in gateway.log[seen:] if "forwarded" in line and "ocschat" in line)
    return line[line.index("tls:") :].split()[0].strip("'\","), made.seconds


async def until_chats(gateway: Program, port: int, at: str, seconds: float) -> float:
    """Clients come one after the other, all of them can chat, and at last by this server. Seconds that it took."""
    began = time.monotonic()
    while (await chats(gateway, port))[0] != at:
        assert time.monotonic() - began < seconds
    return time.monotonic() - began


@pytest.mark.parametrize("health", ["interval = 0", "interval = 0.3\nrise = 1\nfall = 2"], ids=["calls", "OPTIONS"])
async def test_one_of_two_servers_is_gone(tmp_path: Path, names: int, files: TlsFiles, health: str) -> None:
    ports = free_port(), free_port()
    change(
        names, "contoso.com", SRV, 1, "SRV", f"10 0 {ports[0]} pc1.contoso.com.", f"20 0 {ports[1]} pc2.contoso.com."
    )
    shown = files._replace(ca=None)
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(emulated_pool(ports[1], "127.0.0.3", shown))
        async with emulated_pool(ports[0], "127.0.0.2", shown) as first:
            gateway, port = await serving(stack, tmp_path, names, files, health)
            assert (await chats(gateway, port))[0] == first
        if "0.3" in health:
            await gateway.line("server down", first)
        at, seconds = await chats(gateway, port)
        note("located by SRV and TLS, first server gone", "next client", seconds, "chats")
        assert at == second or any("next hop failed" in line and first in line for line in gateway.log)
        assert seconds < SLACK
        async with emulated_pool(ports[0], "127.0.0.2", shown):
            if "0.3" in health:
                await gateway.line("server up", first)
                assert (await chats(gateway, port))[0] == first


async def test_a_server_moves_and_no_client_waits(tmp_path: Path, names: int, files: TlsFiles) -> None:
    """Its record changes, and is taken up when its time is up."""
    where = free_port()
    change(names, "contoso.com", SRV, 1, "SRV", f"10 0 {where} pc1.contoso.com.")
    shown = files._replace(ca=None)
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(emulated_pool(where, "127.0.0.2", shown))
        new = await stack.enter_async_context(emulated_pool(where, "127.0.0.4", shown))
        gateway, port = await serving(stack, tmp_path, names, files, "interval = 0")
        assert (await chats(gateway, port))[0] == old
        change(names, "contoso.com", "pc1.contoso.com", 1, "A", "127.0.0.4")
        seconds = await until_chats(gateway, port, new, SHORTEST + 5 * SLACK)
        note("located, its address changes", "the gateway follows", seconds, "clients chat all the time")


async def test_a_server_that_is_named_later(tmp_path: Path, names: int, files: TlsFiles) -> None:
    where = free_port()
    async with AsyncExitStack() as stack:
        late = await stack.enter_async_context(emulated_pool(where, "127.0.0.2", files._replace(ca=None)))
        gateway, port = await serving(stack, tmp_path, names, files, "interval = 0")
        told = await visit(port)
        assert ": 504 " in told.failure and "(1014;" in told.failure
        change(names, "contoso.com", SRV, 1, "SRV", f"10 0 {where} pc1.contoso.com.")
        began = time.monotonic()
        while (made := await visit(port)).failure:
            assert time.monotonic() - began < SHORTEST + 5 * SLACK
        note("no records, then there are", "the gateway follows", time.monotonic() - began, "chats")
        assert any(late in line for line in gateway.log if "forwarded" in line) and made.seconds < SLACK


async def test_ipv6_that_leads_nowhere_costs_a_quarter_of_a_second(tmp_path: Path, names: int) -> None:
    """Each call of a client: nobody has found out yet that it leads nowhere."""
    change(names, "contoso.com", "both.contoso.com", 1, "A", "127.0.0.1")
    change(names, "contoso.com", "both.contoso.com", 1, "AAAA", "::1")
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(emulated_pool())
        where = int(good.rpartition(":")[2])
        await stack.enter_async_context(unreachable(where, "::1"))
        listen = "'tcp:127.0.0.1:0', 'tcp:[::1]:0'"
        config = write(tmp_path, pool(POOL, [f"tcp:both.contoso.com:{where}"], PAIR), listen=listen)
        text = config.read_text("utf-8").replace("connect = 0.3", "connect = 20.0").replace("e = 0.5", "e = 30.0")
        config.write_text(text, "utf-8")
        gateway = await stack.enter_async_context(named(names, "serve", "--config", config))
        addresses = await gateway.line("listening", "addresses")
        port = int(addresses.partition("tcp:127.0.0.1:")[2].split(",")[0].split()[0].strip("'\""))
        made = await visit(port)
        note("IPv6 leads nowhere, IPv4 works", "first client (2 calls)", made.seconds, made.failure or "chats")
        assert made.failure == ""
        assert 2 * 0.25 <= made.seconds < 2 * 0.25 + SLACK
        assert not [line for line in gateway.log if "server down" in line]
