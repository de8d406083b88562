"""Each failure of the table in docs/operations.md, provoked, and told apart from the others by the command line."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from sipgw.core import failures
from sipgw.core.failures import (
    CHAT_FULL,
    CLOCKS,
    FOREIGN_DOMAIN,
    NO_ADDRESS,
    NO_SRV,
    NO_USER,
    NOT_ENABLED,
    NOT_SIGNED,
    NOT_SIGNED_IN,
    NOT_YOUR_URI,
    OVERLOADED,
    Failure,
)
from sipgw.management.trace_advice import REMEDIES
from sipgw.options import ClientOptions
from sipgw.registry import Endpoint, Server
from sipgw.server.chat_client import ClientError, GroupChatClient
from sipgw.server.running import read_running
from sipgw.server.store import Store
from tests.e2e.admin_gateway import Phone
from tests.e2e.faults.scripted import is_silent, refusing, says, scripted, takes_calls
from tests.e2e.faults.site import pool, until
from tests.e2e.named import named, said
from tests.e2e.raw_client import RawClient
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
first_response = 2.0
connect = 2.0
[limits]
max_delay = 5.0
{limits}
{more}
"""


@dataclass(frozen=True)
class Case:
    """`status` and `id` are on the wire; `sent` are method, URI and further header lines. `because` is what `sipgw
    explain` says of the next try, beside status, id and remedy, None where no line could be explained; `check` is
    what `sipgw check` fails with, "" where it cannot know. `todo` is the advice, "" for that of the id."""

    status: int
    id: int
    sent: tuple[str, ...]
    because: str | None = None
    check: str = ""
    todo: str = ""
    sender: str = "alice@contoso.com"

    @property
    def advice(self) -> str:
        return self.todo or REMEDIES[self.id]


FORGED = "Route: <sip:00000000000000000000.forged@127.0.0.1;lr>"
GRUU = 'Contact: <sip:alice@127.0.0.1:1>;+sip.instance="<urn:uuid:085e0bd8-031c-5a0d-8d9a-f149aae6954a>"'
REGISTER = ("REGISTER", "sip:contoso.com")
CASES = {
    "nobody": Case(404, 1003, ("INVITE", "sip:nobody@contoso.com"), "no endpoint and no live registration for "),
    "misled": Case(
        404, 1003, ("INVITE", "sip:misled@contoso.com"), "sip:misled@contoso.com leads to pool gone.contoso.com",
        "store: stored endpoint sip:misled@contoso.com",
        "put the [[pool]] gone.contoso.com back into the configuration and reload; or sipgw endpoint remove "
        "sip:misled@contoso.com",
    ),
    "disabled": Case(404, 4005, ("INVITE", "sip:off@contoso.com"), ""),
    "signed out": Case(480, 1007, ("INVITE", "sip:bob@contoso.com"), "no endpoint and no live registration for "),
    "gone": Case(480, 1007, ("INVITE", "sip:carol@contoso.com"), "the connection that it signed in over is gone"),
    "foreign": Case(403, 1005, ("INVITE", "sip:ocschat@elsewhere.test"), "elsewhere.test is not served here"),
    "stale route": Case(481, 1004, ("INFO", "sip:pool@127.0.0.1:9", FORGED)),
    "no name": Case(504, 1008, ("INVITE", "sip:nameless@contoso.com"), "the SRV records of ", "pool nameless"),
    "no address": Case(504, 1014, ("INVITE", "sip:homeless@contoso.com"), "there is no such name", "pool homeless"),
    "down": Case(504, 1011, ("INVITE", "sip:down@contoso.com"), "Connection refused", "pool down"),
    "silent": Case(504, 1011, ("INVITE", "sip:silent@contoso.com"), " timeout", "did not answer OPTIONS within"),
    "drained": Case(
        504, 1011, ("INVITE", "sip:drained@contoso.com"), "pool drained.contoso.com is drained by command",
        "pool drained.contoso.com: no active server",
        "sipgw pool-state set drained.contoso.com --normal has its servers take new dialogs again",
    ),
    "distrusted": Case(
        504, 1010, ("INVITE", "sip:strange@contoso.com"), " certificate not trusted: ", "pool strange.contoso.com"
    ),
    "busy": Case(503, 20000, ("INVITE", "sip:busy@contoso.com"), " 503", "answers OPTIONS with 503"),
    "endpoint's address": Case(
        403, 4004, (*REGISTER, "Event: registration", GRUU), "is the endpoint of pool busy.contoso.com",
        sender="busy@contoso.com",
    ),
    "no endpoint id": Case(400, 4010, (*REGISTER, "Event: registration")),
    "wrong event": Case(489, 4055, (*REGISTER, "Event: presence", GRUU)),
    "no gruu": Case(421, 2057, (*REGISTER, "Event: registration", "Supported: msrtc-event-categories", GRUU)),
}  # fmt: skip
ADVISED_APART = {
    NO_USER.id,
    NOT_ENABLED.id,
    NOT_SIGNED_IN.id,
    FOREIGN_DOMAIN.id,
    NO_SRV.id,
    NO_ADDRESS.id,
    NOT_YOUR_URI.id,
}
Said = tuple[int, list[str]]


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
    silent, drained, busy = [
        await stack.enter_async_context(scripted(script)) for script in (is_silent, takes_calls, says(503))
    ]
    tls_port = await stack.enter_async_context(strange(folder))
    own = issue(trustme.CA(), folder, "127.0.0.1", as_="ours")
    pools = [
        pool("down.contoso.com", [down], "sip:down@contoso.com"),
        pool("silent.contoso.com", [silent.address], "sip:silent@contoso.com"),
        pool("drained.contoso.com", [drained.address], "sip:drained@contoso.com"),
        pool("busy.contoso.com", [busy.address], "sip:busy@contoso.com"),
        pool("strange.contoso.com", [f"tls:127.0.0.1:{tls_port}"], "sip:strange@contoso.com"),
        pool("nameless.contoso.com", [], "sip:nameless@contoso.com"),
        pool("homeless.contoso.com", ["tcp:pc1.contoso.com:5041"], "sip:homeless@contoso.com"),
        '[[endpoint]]\nsip_address = "sip:off@contoso.com"\npool_fqdn = "down.contoso.com"\nenabled = false',
        f'[tls]\ncertificate = "{own.certificate}"\nprivate_key = "{own.private_key}"\nca = "{own.ca}"',
    ]
    with closing(Store.open(folder / "gateway.db")) as store:
        store.add_endpoint(Endpoint("sip:misled@contoso.com", "gone.contoso.com"), 0)
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
            status, text = phone.ask(method, uri, case.sender, *lines)
            found = re.search(r"ms-diagnostics: (\d+);", text)
            assert (name, status, found and int(found[1])) == (name, case.status, case.id), text


class Passing(RawClient):
    """Its Contact is its own end of the connection, as that of most clients is."""

    def _contact_line(self) -> str:
        port = self._writer.get_extra_info("sockname")[1]
        return super()._contact_line().replace("127.0.0.1;", f"127.0.0.1:{port};")


async def come_and_gone(port: int) -> None:
    """A client whose connection ends without a word."""
    carol = Passing("carol@contoso.com")
    await carol.connect(port)
    assert (await carol.register())[0] == 200
    await carol.close()


@dataclass
class Told:
    """What the commands say: trace with --failed --list, and drawn; explain, by case; check."""

    listed: Said
    drawn: Said
    explained: dict[str, Said]
    checked: Said

    def failed(self, name: str) -> str:
        """What trace's list says of a case."""
        line = self.listed[1][list(CASES).index(name)]
        return line.partition("FAILED ")[2].rpartition("  [")[0]

    def advised(self, name: str) -> str:
        """What trace says that is to do about it."""
        advice = [line.removeprefix("  to do   ") for line in self.drawn[1] if line.startswith("  to do   ")]
        return advice[list(CASES).index(name)]


async def provoked(folder: Path) -> Told:
    async with AsyncExitStack() as stack:
        names = stack.enter_context(serving(ZONE))[1]
        config = await configured(folder, stack)
        gateway = await stack.enter_async_context(named(names, "serve", "--config", config))
        ports = await gateway.ports()
        await said(names, "pool-state", "set", "drained.contoso.com", "--none", "--config", config)
        await come_and_gone(ports["tcp"])
        await asyncio.to_thread(provoke, ports["udp"])
        await until(lambda: down_at(folder / "gateway.db") == 4)  # down, silent, busy and strange
        listed = await said(names, "trace", "--failed", "--list", "--last", "100", "--config", config)
        drawn = await said(names, "trace", "--failed", "--last", "100", "--config", config)
        explained = {
            name: await said(names, "explain", *case.sent[:2], "--from", case.sender, "--config", config)
            for name, case in CASES.items()
            if case.because is not None
        }
        return Told(listed, drawn, explained, await said(names, "check", "--config", config))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Each case has happened once."""
    return asyncio.run(provoked(tmp_path_factory.mktemp("failures")))


def down_at(store: Path) -> int:
    """How many servers the gateway on a store says to be down."""
    running = read_running(store)
    return sum(not state.up for state in running.servers.values()) if running is not None else 0


def test_trace_has_each_of_them_and_nothing_else(told: Told) -> None:
    status, lines = told.listed
    assert status == 0 and len(lines) == len(CASES), "\n".join(lines)
    assert len({told.failed(name) for name in CASES}) == len(CASES), "each with its own words"
    assert len({told.advised(name) for name in CASES}) >= len({case.id for case in CASES.values()}) - 1  # two of DNS


@pytest.mark.parametrize("name", CASES)
def test_trace(told: Told, name: str) -> None:
    case = CASES[name]
    assert re.match(rf"{case.status} {case.id} \S", told.failed(name))
    assert told.advised(name) == case.advice
    assert (case.because or "") in told.failed(name) or name == "gone", "explain and trace say the same"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.because is not None])
def test_explain(told: Told, name: str) -> None:
    """What the next try comes to: the status, the id, why, and what to do; and the exit status says that it fails."""
    case, (status, lines) = CASES[name], told.explained[name]
    assert status == 1, lines
    at = next(at for at, line in enumerate(lines) if line.startswith("result "))
    assert re.search(rf": {case.status} \S", lines[at]), lines
    assert lines[at + 1].startswith(f"          ms-diagnostics {case.id} "), lines
    assert any(line.startswith("because   ") and (case.because or "") in line for line in lines) or not case.because
    (todo,) = [line.removeprefix("to do     ") for line in lines if line.startswith("to do ")]
    known_better = case.id in ADVISED_APART and not case.todo
    assert todo == case.advice or known_better, "of these explain knows more than trace"
    assert not any(line.startswith("unless ") for line in lines), "nothing is in doubt"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.check])
def test_check(told: Told, name: str) -> None:
    status, lines = told.checked
    assert status == 1
    assert any(line.startswith("FAIL") and CASES[name].check in line for line in lines), lines


def test_the_table_is_whole() -> None:
    """Every failure of ours is here, or has a test of its own below; what pools say themselves is theirs."""
    apart = {OVERLOADED.id, NOT_SIGNED.id, CLOCKS.id, CHAT_FULL.id}
    known = {value.id for value in vars(failures).values() if isinstance(value, Failure)}
    assert {case.id for case in CASES.values()} | apart == known


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
