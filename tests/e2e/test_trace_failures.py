"""Each failure of the table in docs/operations.md, provoked, and told apart from the others by the command line."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from sipgw.management.trace_advice import REMEDIES
from sipgw.options import ClientOptions
from sipgw.registry import Server
from sipgw.server.chat_client import ClientError, GroupChatClient
from sipgw.server.running import read_running
from tests.e2e.admin_gateway import Phone
from tests.e2e.faults.scripted import is_silent, refusing, says, scripted
from tests.e2e.faults.site import pool, until
from tests.e2e.named import named, said
from tests.e2e.sign_in.site import USERS, write_users
from tests.management.name_server import serving
from tests.ports import free_port
from tests.server.certificates import issue

ZONE = "".join(f"{service}.nameless 300 IN SRV 0 0 0 .\n" for service in ("_sips._tcp", "_sip._tcp", "_sip._udp"))
HEAD = """
[gateway]
fqdn = "127.0.0.1"
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
[store]
url = "sqlite:gateway.db"
[admin]
listen = "127.0.0.1:{admin}"
[health]
interval = 0
fall = 1
[timers]
first_response = 0.5
connect = 2.0
[limits]
max_delay = 5.0
{limits}
{more}
"""


@dataclass(frozen=True)
class Case:
    """`status` and `id` are on the wire; `sent` are method, URI and further header lines; `explain` tells what `sipgw
    explain` says of it beforehand, `check` what `sipgw check` does, "" where it cannot know."""

    status: int
    id: int
    sent: tuple[str, ...]
    explain: str = ""
    check: str = ""


FORGED = "Route: <sip:00000000000000000000.forged@127.0.0.1;lr>"
GRUU = 'Contact: <sip:alice@127.0.0.1:1>;+sip.instance="<urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a>"'
CASES = {
    "nobody": Case(404, 1003, ("INVITE", "sip:nobody@contoso.com"), "ms-diagnostics 1003"),
    "disabled": Case(404, 4005, ("INVITE", "sip:off@contoso.com"), "ms-diagnostics 4005"),
    "signed out": Case(480, 1007, ("INVITE", "sip:bob@contoso.com")),
    "foreign": Case(403, 1005, ("INVITE", "sip:ocschat@elsewhere.test"), "ms-diagnostics 1005"),
    "stale route": Case(481, 1004, ("INFO", "sip:pool@127.0.0.1:9", FORGED)),
    "no name": Case(504, 1008, ("INVITE", "sip:nameless@contoso.com"), "ms-diagnostics 1008", "pool nameless"),
    "no address": Case(504, 1014, ("INVITE", "sip:homeless@contoso.com"), "ms-diagnostics 1014", "pool homeless"),
    "down": Case(504, 1011, ("INVITE", "sip:down@contoso.com"), "down since", "pool down"),
    "distrusted": Case(504, 1010, ("INVITE", "sip:strange@contoso.com"), "certificate not trusted", "pool strange"),
    "busy": Case(503, 20000, ("INVITE", "sip:busy@contoso.com"), ": 503"),
    "endpoint's address": Case(403, 4004, ("REGISTER", "sip:contoso.com", "Event: registration", GRUU), ""),
    "no endpoint id": Case(400, 4010, ("REGISTER", "sip:contoso.com", "Event: registration")),
    "wrong event": Case(489, 4055, ("REGISTER", "sip:contoso.com", "Event: presence", GRUU)),
    "no gruu": Case(
        421, 2057, ("REGISTER", "sip:contoso.com", "Event: registration", "Supported: msrtc-event-categories", GRUU)
    ),
}  # fmt: skip


@asynccontextmanager
async def strange(folder: Path) -> AsyncIterator[int]:
    """A pool's server with a certificate of an authority that the gateway does not know."""
    files = issue(trustme.CA(), folder, "strange.contoso.com", as_="theirs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert files.certificate is not None
    context.load_cert_chain(files.certificate, files.private_key)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def configured(folder: Path, stack: AsyncExitStack) -> Path:
    """A gateway with a pool for each thing that can be wrong with one."""
    down = await stack.enter_async_context(refusing())
    busy = await stack.enter_async_context(scripted(says(503)))
    tls_port = await stack.enter_async_context(strange(folder))
    own = issue(trustme.CA(), folder, "127.0.0.1", as_="ours")
    pools = [
        pool("down.contoso.com", [down], "sip:down@contoso.com"),
        pool("busy.contoso.com", [busy.address], "sip:busy@contoso.com"),
        pool("strange.contoso.com", [f"tls:127.0.0.1:{tls_port}"], "sip:strange@contoso.com"),
        pool("nameless.contoso.com", [], "sip:nameless@contoso.com"),
        pool("homeless.contoso.com", ["tcp:pc1.contoso.com:5041"], "sip:homeless@contoso.com"),
        '[[endpoint]]\nsip_address = "sip:off@contoso.com"\npool_fqdn = "down.contoso.com"\nenabled = false',
        f'[tls]\ncertificate = "{own.certificate}"\nprivate_key = "{own.private_key}"\nca = "{own.ca}"',
    ]
    return written(folder, "\n".join(pools))


def written(folder: Path, more: str, limits: str = "") -> Path:
    path = folder / "sipgw.toml"
    path.write_text(HEAD.format(admin=free_port(), more=more, limits=limits), "utf-8")
    return path


def provoke(port: int) -> None:
    """Every case once; the wire says what it should."""
    with Phone(port) as phone:
        for expires in ("600", "0"):
            assert phone.ask("REGISTER", "sip:contoso.com", "bob@contoso.com", f"Expires: {expires}")[0] == 200
        for name, case in CASES.items():
            method, uri, *lines = case.sent
            user = "busy@contoso.com" if name == "endpoint's address" else "alice@contoso.com"
            status, text = phone.ask(method, uri, user, *lines)
            found = re.search(r"ms-diagnostics: (\d+);", text)
            assert (name, status, found and int(found[1])) == (name, case.status, case.id), text


async def test_each_can_be_told_apart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        names = stack.enter_context(serving(ZONE))[1]
        config = await configured(tmp_path, stack)
        gateway = await stack.enter_async_context(named(names, "serve", "--config", config))
        port = (await gateway.ports())["udp"]
        await asyncio.to_thread(provoke, port)
        await until(lambda: down_at(tmp_path / "gateway.db") == 3)  # down, busy and strange
        await traced(names, config)
        await foretold(names, config)


def down_at(store: Path) -> int:
    """How many servers the gateway on a store says to be down."""
    running = read_running(store)
    return sum(not state.up for state in running.servers.values()) if running is not None else 0


async def traced(names: int, config: Path) -> None:
    """`sipgw trace --failed` has each of them, each with its own words and its own advice, and nothing else."""
    status, lines = await said(names, "trace", "--failed", "--list", "--last", "100", "--config", config)
    assert status == 0 and len(lines) == len(CASES), "\n".join(lines)
    reasons = [line.partition("FAILED ")[2].rpartition("  [")[0] for line in lines]
    assert len(set(reasons)) == len(CASES)
    for (name, case), reason in zip(CASES.items(), reasons, strict=True):
        assert re.match(rf"{case.status} {case.id} \S", reason), (name, reason)
    status, drawn = await said(names, "trace", "--failed", "--last", "100", "--config", config)
    advised = [line.removeprefix("  to do   ") for line in drawn if line.startswith("  to do   ")]
    assert advised == [REMEDIES[case.id] for case in CASES.values()]
    assert any("tcp:127.0.0.1" in line and "Connection refused" in line for line in drawn), "the server is named"


async def foretold(names: int, config: Path) -> None:
    """`sipgw explain` says what would happen to another try, and `sipgw check` what is wrong with the pools."""
    for name, case in CASES.items():
        if case.explain:
            _, lines = await said(names, "explain", *case.sent[:2], "--config", config)
            assert any(case.explain in line for line in lines), (name, lines)
    status, lines = await said(names, "check", "--config", config)
    assert status == 1
    for name, case in CASES.items():
        if case.check:
            assert any(line.startswith("FAIL") and case.check in line for line in lines), (name, lines)


async def test_an_overloaded_gateway(tmp_path: Path) -> None:
    """A second call when there is room for one."""
    async with AsyncExitStack() as stack:
        names = stack.enter_context(serving(ZONE))[1]
        silent = await stack.enter_async_context(scripted(is_silent))
        config = written(
            tmp_path, pool("pc.contoso.com", [silent.address], "sip:ocschat@contoso.com"), "max_transactions = 1"
        )
        gateway = await stack.enter_async_context(named(names, "serve", "--config", config))
        port = (await gateway.ports())["udp"]

        def ask() -> None:
            with Phone(port) as first, Phone(port) as second:
                assert first.ask("OPTIONS", "sip:contoso.com")[0] == 200  # lingers, as copies of it may come
                status, text = second.ask("INVITE", "sip:ocschat@contoso.com")
                assert status == 503 and "13011" in text

        await asyncio.to_thread(ask)
        _, lines = await said(names, "trace", "--failed", "--config", config)
        assert any(line.startswith("  FAILED  503 Service Unavailable: 13011;") for line in lines), lines
        assert f"  to do   {REMEDIES[13011]}" in lines


@pytest.mark.parametrize(
    ("user", "password", "reason", "remedy"),
    [
        ("bob", "secret", r"  FAILED  403 4004 .* \(detail From is sip:bob@\S+, signed in as sip:alice@\S+\)", 4004),
        ("alice", "wrong", r"  FAILED  sign-in failed: .*source tcp:127.0.0.1:\d+, reason ", 1000),
    ],
)
async def test_who_cannot_sign_in(tmp_path: Path, user: str, password: str, reason: str, remedy: int) -> None:
    async with AsyncExitStack() as stack:
        names = stack.enter_context(serving(ZONE))[1]
        write_users(tmp_path, USERS)
        down = await stack.enter_async_context(refusing())
        auth = '[auth]\nschemes = ["digest"]'
        config = written(tmp_path, f"{auth}\n{pool('pc.contoso.com', [down], 'sip:ocschat@contoso.com')}")
        gateway = await stack.enter_async_context(named(names, "serve", "--config", config))
        server = Server("TCP", "127.0.0.1", (await gateway.ports())["tcp"])
        uri, contact = f"sip:{user}@contoso.com", "sip:ocschat@contoso.com"
        client = GroupChatClient(ClientOptions(uri, server, contact, timeout=10.0, login="alice", password=password))
        try:
            with pytest.raises(ClientError):
                await client.start()
        finally:
            await client.close()
        _, lines = await said(names, "trace", "--failed", "--config", config)
        assert any(re.match(reason, line) for line in lines), lines
        assert f"  to do   {REMEDIES[remedy]}" in lines
