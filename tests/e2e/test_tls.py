"""Pools over TLS and mutual TLS, each way in which that can fail, and certificates that change: with real programs."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from sipgw.config import TlsFiles
from tests.e2e.programs import Program, sipgw, write_config
from tests.e2e.raw_client import RawClient
from tests.server.certificates import issue

POOL, OTHER = "pcpool.contoso.com", "pcpool.fabrikam.com"
ALICE = "sip:alice@contoso.com"
WITHIN = 15.0  # seconds


def options(files: TlsFiles) -> list[str]:
    """For `sipgw pool`."""
    pairs = (("--certificate", files.certificate), ("--private-key", files.private_key), ("--ca", files.ca))
    return [text for option, path in pairs if path is not None for text in (option, str(path))]


def table(files: TlsFiles) -> dict[str, Path]:
    """For the configuration."""
    return {key: path for key, path in files._asdict().items() if path is not None}


def configured(folder: Path, port: int, files: TlsFiles, listen: tuple[str, ...] = ("tcp:127.0.0.1:0",)) -> Path:
    return write_config(folder, f"tls:127.0.0.1:{port}", listen=listen, tls=table(files))


@asynccontextmanager
async def pool(*arguments: str, transport: str = "tls") -> AsyncIterator[int]:
    """The emulated pool; its port."""
    async with sipgw("pool", "--listen", f"{transport}:127.0.0.1:0", "--room", "Lobby", *arguments) as running:
        yield (await running.ports())[transport]


async def chat(gateway: Program, *more: str, transport: str = "tcp", contact: str = "") -> tuple[int, str]:
    """Join and say something: exit status and output of the client."""
    server = f"{transport}:127.0.0.1:{(await gateway.ports())[transport]}"
    to = ("--contact-object", contact) if contact else ()
    said = ("--join", "Lobby", "--say", "hello", "--timeout", "15")
    async with sipgw("client", "--user", ALICE, "--server", server, *to, *said, *more) as client:
        status = await client.process.wait()
        await client.stop()
    return status, "\n".join(client.log)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("mutual", [False, True])
async def test_a_pool_by_tls(authority: trustme.CA, tmp_path: Path, mutual: bool) -> None:
    """From a client by TLS as well."""
    files = issue(authority, tmp_path, POOL)
    own = issue(authority, tmp_path, "127.0.0.1")
    async with pool(*options(files if mutual else files._replace(ca=None))) as port:
        config = configured(tmp_path, port, own, ("tls:127.0.0.1:0",))
        async with sipgw("serve", "--config", config) as gateway:
            status, output = await chat(gateway, "--ca", str(own.ca), transport="tls")
            assert status == 0, output


class Fault(NamedTuple):
    """A pool that cannot be trusted, or does not trust us, and what is said about it."""

    pool: TlsFiles
    gateway: TlsFiles
    status: str
    reason: str


def fault(name: str, authority: trustme.CA, folder: Path) -> Fault:
    own = issue(authority, folder, "127.0.0.1")
    good = issue(authority, folder, POOL, ca=False)
    mutual = good._replace(ca=own.ca)
    stranger = trustme.CA()
    if name == "wrong name":
        return Fault(issue(authority, folder, OTHER, ca=False), own, "1010", "it is for another name")
    if name == "expired":
        return Fault(issue(authority, folder, POOL, days=-1.0, as_="old", ca=False), own, "1010", "it has expired")
    if name == "wildcard":
        return Fault(issue(authority, folder, "*.contoso.com", ca=False), own, "1010", "by a wildcard only")
    if name == "unknown authority":
        return Fault(issue(stranger, folder, POOL, as_="x", ca=False), own, "1010", "no authority in ca vouches for it")
    if name == "no client certificate":
        return Fault(mutual, TlsFiles(ca=own.ca), "1010", "it may want a certificate of ours")
    if name == "client certificate of a stranger":
        ours = issue(stranger, folder, "127.0.0.1", as_="y", ca=False)._replace(ca=own.ca)
        return Fault(mutual, ours, "1010", "it may want a certificate of ours, or another one")
    assert name == "plain TCP"
    return Fault(TlsFiles(), own, "1011", "is a plain TCP port meant?")


@pytest.mark.parametrize(
    "name",
    [
        "wrong name",
        "expired",
        "wildcard",
        "unknown authority",
        "no client certificate",
        "client certificate of a stranger",
        "plain TCP",
    ],
)
async def test_what_is_wrong_is_told_to_the_client_and_logged(authority: trustme.CA, tmp_path: Path, name: str) -> None:
    """The client gets 504 with the diagnostics id for it, the log says what to look at."""
    wrong = fault(name, authority, tmp_path)
    transport = "tcp" if name == "plain TCP" else "tls"
    async with (
        pool(*options(wrong.pool), transport=transport) as port,
        sipgw("serve", "--config", configured(tmp_path, port, wrong.gateway)) as gateway,
    ):
        status, output = await chat(gateway)
        assert status == 1
        assert "504" in output and wrong.status in output
        line = await gateway.line("request failed", "INVITE")
        assert wrong.status in line
        assert wrong.reason in await gateway.line(f"tls:127.0.0.1:{port}", wrong.reason)


# two pools behind one address


class Front:
    """TLS for several names on one port, as a load balancer does it: shows the certificate of the name that is asked
    for, wants one of the same authority in return, and passes on what it carries. `seen` are the names asked for."""

    def __init__(self, authorities: dict[str, trustme.CA], port: int) -> None:
        self.seen: list[str] = []
        self._port = port
        self._contexts = {name: self._context(name, authority) for name, authority in authorities.items()}
        self._tasks: set[asyncio.Task[None]] = set()

    @staticmethod
    def _context(name: str, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        self.seen.append(str(name))
        connection.context = self._contexts[str(name)]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        first = next(iter(self._contexts.values()))
        first.sni_callback = self._choose
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=first)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)

    @staticmethod
    async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except OSError:
            """The other side says it too."""
        finally:
            sink.transport.abort()
            with suppress(OSError):
                await sink.wait_closed()


def two_pools(folder: Path, port: int, own: TlsFiles, other: TlsFiles) -> Path:
    config = configured(folder, port, own)
    text = config.read_text("utf-8")
    lines = [
        "[[pool]]",
        f'fqdn = "{OTHER}"',
        f'servers = ["tls:127.0.0.1:{port}"]',
        *[f'{key} = "{path}"' for key, path in table(other).items()],
        "[[endpoint]]",
        'sip_address = "sip:theirs@contoso.com"',
        f'pool_fqdn = "{OTHER}"',
    ]
    config.write_text(text + "\n".join(lines) + "\n", "utf-8")
    return config


async def test_two_pools_with_their_own_authorities_behind_one_address(authority: trustme.CA, tmp_path: Path) -> None:
    """Each is asked for by its name, sees the certificate that it can check, and proves itself to its own authority."""
    theirs = trustme.CA()
    own, other = issue(authority, tmp_path, "127.0.0.1"), issue(theirs, tmp_path, "gw.fabrikam.com")
    async with pool(transport="tcp") as inner:
        front = Front({POOL: authority, OTHER: theirs}, inner)
        async with (
            front.listening() as port,
            sipgw("serve", "--config", two_pools(tmp_path, port, own, other)) as gateway,
        ):
            for contact in ("sip:ocschat@contoso.com", "sip:theirs@contoso.com"):
                status, output = await chat(gateway, contact=contact)
                assert status == 0, output
        assert set(front.seen) == {POOL, OTHER}


async def test_one_pools_authority_does_not_vouch_for_the_other(authority: trustme.CA, tmp_path: Path) -> None:
    theirs = trustme.CA()
    own, other = issue(authority, tmp_path, "127.0.0.1"), issue(theirs, tmp_path, "gw.fabrikam.com")
    async with pool(transport="tcp") as inner:
        front = Front({POOL: authority, OTHER: authority}, inner)
        async with (
            front.listening() as port,
            sipgw("serve", "--config", two_pools(tmp_path, port, own, other)) as gateway,
        ):
            assert (await chat(gateway))[0] == 0
            status, output = await chat(gateway, contact="sip:theirs@contoso.com")
            assert status == 1
            assert "504" in output and "1010" in output


# certificates that change


def trusting(files: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files.ca)


async def shown(port: int, files: TlsFiles) -> set[str]:
    """The names of the certificate that the gateway shows."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(files))
    alternatives = writer.get_extra_info("peercert")["subjectAltName"]
    writer.close()
    await writer.wait_closed()
    return {value for _, value in alternatives}


async def test_new_certificates_are_taken_up_while_calls_go_on(authority: trustme.CA, tmp_path: Path) -> None:
    own = issue(authority, tmp_path, "127.0.0.1")
    assert own.certificate is not None
    async with pool(transport="tcp") as inner:
        config = write_config(tmp_path, f"tcp:127.0.0.1:{inner}", listen=("tls:127.0.0.1:0",), tls=table(own))
        async with sipgw("serve", "--config", config) as gateway:
            port = (await gateway.ports())["tls"]
            alice = RawClient("alice@contoso.com")
            await alice.connect(port, trusting(own))
            try:
                assert (await alice.register())[0] == 200
                await alice.invite("sip:ocschat@contoso.com")
                issue(authority, tmp_path, "127.0.0.1", "new.contoso.com")
                await gateway.line("certificates reloaded")
                assert await shown(port, own) == {"new.contoso.com", "127.0.0.1"}
                own.certificate.write_text("nothing of the kind")
                line = await gateway.line("certificates not reloaded")
                assert str(own.certificate) in line
                assert await shown(port, own) == {"new.contoso.com", "127.0.0.1"}
                issue(authority, tmp_path, "127.0.0.1")
                while sum("certificates reloaded" in line for line in gateway.log) < 2:
                    await gateway.more()
                assert await shown(port, own) == {"127.0.0.1"}
                assert sum("certificates not reloaded" in line for line in gateway.log) == 1
                assert await alice.bye() == 200
            finally:
                await alice.close()


async def hang_up(gateway: Program) -> str:
    """SIGHUP, and the line with the outcome."""
    seen = len(gateway.log)
    gateway.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(WITHIN):
        while not (found := [line for line in gateway.log[seen:] if "reloaded" in line]):
            await gateway.more()
    return found[0]


async def test_sighup_takes_certificates_or_says_why_not(authority: trustme.CA, tmp_path: Path) -> None:
    own, other = issue(authority, tmp_path, "127.0.0.1"), issue(authority, tmp_path, "127.0.0.1", "b.test", as_="b")
    config = configured(tmp_path, 9, own, ("tls:127.0.0.1:0",))
    async with sipgw("serve", "--config", config) as gateway:
        port = (await gateway.ports())["tls"]
        text = config.read_text("utf-8")
        config.write_text(text.replace(str(own.certificate), str(other.certificate)), "utf-8")
        line = await hang_up(gateway)
        assert "not reloaded" in line and "is not the key of" in line and str(other.certificate) in line
        assert await shown(port, own) == {"127.0.0.1"}
        both = text.replace(str(own.certificate), str(other.certificate))
        config.write_text(both.replace(str(own.private_key), str(other.private_key)), "utf-8")
        assert "not reloaded" not in await hang_up(gateway)
        assert await shown(port, own) == {"b.test", "127.0.0.1"}


async def test_a_certificate_that_ends_soon_is_told_at_the_start(authority: trustme.CA, tmp_path: Path) -> None:
    own = issue(authority, tmp_path, "127.0.0.1", "gw.contoso.com", days=12.5)
    async with sipgw("serve", "--config", configured(tmp_path, 9, own, ("tls:127.0.0.1:0",))) as gateway:
        line = await gateway.line("certificate expires soon")
        assert str(own.certificate) in line and "days=12" in line and "gw.contoso.com" in line


# whoever connects


async def relay(port: int, files: TlsFiles, target: int) -> int:
    """The status of a request to another domain, sent with a certificate."""
    secure = trusting(files)
    if files.certificate is not None and files.private_key is not None:
        secure.load_cert_chain(files.certificate, files.private_key)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=secure)
    lines = [
        f"OPTIONS sip:127.0.0.1:{target};transport=tcp SIP/2.0", "Via: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK1",
        "Max-Forwards: 5", "From: <sip:a@edge.contoso.com>;tag=1", "To: <sip:b@elsewhere.test>", "Call-ID: 1",
        "CSeq: 1 OPTIONS", "Content-Length: 0", "", "",
    ]  # fmt: skip
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(WITHIN):
        status = int((await reader.readline()).split()[1])
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return status


async def test_a_trusted_name_has_to_be_proved(authority: trustme.CA, tmp_path: Path) -> None:
    """By a certificate of [tls] ca for a name in trusted_peers, or for a pool."""
    own = issue(authority, tmp_path, "127.0.0.1")
    async with pool(transport="tcp") as elsewhere:
        config = configured(tmp_path, 9, own, ("tls:127.0.0.1:0",))
        text = config.read_text("utf-8").replace("[gateway]\n", '[gateway]\ntrusted_peers = ["edge.contoso.com"]\n')
        config.write_text(text, "utf-8")
        async with sipgw("serve", "--config", config) as gateway:
            port = (await gateway.ports())["tls"]
            peers = {
                name: await relay(port, issue(authority, tmp_path, name)._replace(ca=own.ca), elsewhere)
                for name in ("edge.contoso.com", POOL, "phone.contoso.com")
            }
            peers["nobody"] = await relay(port, TlsFiles(ca=own.ca), elsewhere)
            assert peers["phone.contoso.com"] == peers["nobody"] == 403
            assert peers["edge.contoso.com"] == peers[POOL] != 403
