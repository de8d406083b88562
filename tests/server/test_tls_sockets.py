"""TLS on real sockets: handshakes within bounds, connections of one identity each, failures with their reason."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from sipgw.config import TlsFiles
from sipgw.events import Hop
from sipgw.server import connector
from sipgw.server.handshake import TELL_EVERY, Arrivals
from sipgw.server.limits import ShellLimits
from sipgw.server.tls import TlsContexts, TlsSettings
from tests.ports import free_port
from tests.server.certificates import issue
from tests.server.probe import WITHIN, Running, running

GATEWAY, POOL, OTHER = "sipgw.contoso.com", "pcpool.contoso.com", "pcpool.fabrikam.com"
HELLO = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"
PLAIN = "TCP connects and TLS does not: is a plain TCP port meant?"
MUTE = ShellLimits(connect_timeout=0.25)


class Site:
    """An authority, and files under it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.gateway = self.issue(GATEWAY)

    def issue(self, *names: str, days: float | None = None, as_: str = "") -> TlsFiles:
        return issue(self.authority, self.folder, *names, days=days, as_=as_)

    def contexts(self, clients: ssl.VerifyMode | None = ssl.CERT_OPTIONAL, **pools: TlsFiles) -> TlsContexts:
        known = {name.replace("_", "."): files for name, files in pools.items()}
        return TlsContexts(TlsSettings(self.gateway, known, clients))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@asynccontextmanager
async def dialled(port: int, files: TlsFiles | None = None, name: str = GATEWAY) -> AsyncIterator[asyncio.StreamWriter]:
    """A client that shows a certificate, or a plain one."""
    secure = TlsContexts(TlsSettings(files)).client(files) if files is not None else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=secure, server_hostname=name if secure else None
    )
    writer.reader = reader  # type: ignore[attr-defined]
    try:
        yield writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def ended(writer: asyncio.StreamWriter) -> None:
    """The other side closes, having said nothing."""
    async with asyncio.timeout(WITHIN):
        with suppress(ConnectionResetError):
            assert await writer.reader.read(1) == b""  # type: ignore[attr-defined]


async def told(here: Running, words: str) -> str:
    """The log line of a failed handshake; there is one at most."""
    async with asyncio.timeout(WITHIN):
        line = await here.log.lines.get()
    assert here.log.lines.empty()
    assert line.startswith("warning TLS handshake failed")
    assert words in line
    return line


# whoever connects


async def test_names_come_from_the_certificate(site: Site) -> None:
    async with running(site.contexts()) as here:
        for files, names in ((site.issue(POOL), (POOL,)), (TlsFiles(ca=site.gateway.ca), ())):
            async with dialled(here.port, files) as client:
                client.write(HELLO)
                flow = (await here.next("connected")).what
                assert (flow.transport, flow.names, flow.listener.port) == ("TLS", names, here.port)
                assert (await here.next("received")).what == HELLO
            await here.next("lost")


async def test_a_silent_handshake_ends_in_time(site: Site) -> None:
    async with running(site.contexts(), limits=MUTE) as here, dialled(here.port) as client:
        await ended(client)
        line = await told(here, "no handshake within 1 s")
        assert f"tls:127.0.0.1:{here.port}" in line and "'peer': '127.0.0.1'" in line
        assert here.shell.counters["handshakes_failed"] == 1
        assert here.probe.events.empty()


async def test_sip_without_tls_is_told_from_tls(site: Site) -> None:
    async with running(site.contexts()) as here, dialled(here.port) as client:
        client.write(HELLO)
        await told(here, "does not speak TLS")
        assert here.probe.events.empty()


async def test_a_certificate_of_a_stranger_is_refused(site: Site) -> None:
    stranger = issue(trustme.CA(), site.folder, POOL)._replace(ca=site.gateway.ca)
    async with running(site.contexts()) as here:
        with suppress(ConnectionError, ssl.SSLError):
            async with dialled(here.port, stranger) as client:
                await ended(client)
        await told(here, "no authority in ca vouches for it")
        assert here.probe.events.empty()


async def test_handshakes_count_as_connections_do(site: Site) -> None:
    """Per peer here; one more is closed before it costs anything, and there is room again when one has ended."""
    async with running(site.contexts(), limits=ShellLimits(max_per_peer=2)) as here, AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(dialled(here.port)) for _ in range(2)]
        async with dialled(here.port) as third:
            await ended(third)
        assert here.shell.counters["connections_refused"] == 1
        waiting[0].transport.abort()
        await told(here, "closed by the other side")
        async with dialled(here.port, site.issue(POOL)):
            await here.next("connected")
            async with dialled(here.port) as again:
                await ended(again)
        assert here.shell.counters["connections_refused"] == 2
        await here.next("lost")


async def test_handshakes_are_bounded_in_all(site: Site) -> None:
    async with running(site.contexts(), limits=ShellLimits(max_connections=1)) as here, dialled(here.port):
        async with dialled(here.port) as second:
            await ended(second)
        assert here.shell.counters["connections_refused"] == 1
        assert here.shell.arrivals.total == 1


def test_a_line_a_minute_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipgw.server.handshake.MAX_TOLD", 2)
    arrivals = Arrivals()
    said = [arrivals.worth_telling(peer, at) for peer, at in (("a", 0.0), ("a", 1.0), ("b", 1.0), ("a", TELL_EVERY))]
    assert said == [True, False, True, True]
    assert arrivals.worth_telling("c", TELL_EVERY)
    assert arrivals.worth_telling("a", TELL_EVERY), "who is forgotten is told of once more"


async def test_stopping_leaves_open_connections_alone(site: Site) -> None:
    async with running(site.contexts()) as here, dialled(here.port, site.issue(POOL)) as client:
        await here.next("connected")
        await here.shell.stop_accepting()
        client.write(HELLO)
        await here.next("received")
        with pytest.raises(OSError):
            async with dialled(here.port):
                """Nobody listens."""
        client.transport.abort()
        await here.next("lost")


# whom we connect to


def hop(port: int, name: str = POOL) -> Hop:
    return Hop("TLS", "127.0.0.1", port, name)


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        ((POOL,), -1.0, "certificate not trusted: it has expired"),
        ((OTHER,), None, "certificate not trusted: it is for another name"),
        (("*.contoso.com",), None, f"certificate not trusted: it is for {POOL} by a wildcard only"),
    ],
)
async def test_a_server_that_does_not_prove_its_name_gets_nothing(
    site: Site, names: tuple[str, ...], days: float | None, reason: str
) -> None:
    async with running(serving(site.issue(*names, days=days, as_="server"))) as there, running(site.contexts()) as here:
        here.send(hop(there.port), HELLO)
        assert (await here.find("failed")).reason.startswith(reason)
        assert there.heard() == []


def serving(files: TlsFiles, clients: ssl.VerifyMode = ssl.CERT_NONE) -> TlsContexts:
    return TlsContexts(TlsSettings(files, clients=clients))


async def test_a_server_of_an_unknown_authority_gets_nothing(site: Site) -> None:
    stranger = issue(trustme.CA(), site.folder, POOL, as_="stranger")
    async with running(serving(stranger)) as there, running(site.contexts()) as here:
        here.send(hop(there.port), HELLO)
        assert (await here.find("failed")).reason.startswith(
            "certificate not trusted: no authority in ca vouches for it"
        )
        assert there.heard() == []


async def test_a_server_without_tls_is_told_from_one_that_refuses(site: Site) -> None:
    async with running(transport="TCP") as there, running(site.contexts(), limits=MUTE) as here:
        here.send(hop(there.port), HELLO)
        assert (await here.find("failed")).reason == f"no TLS handshake within 0.25 s; {PLAIN}"


async def test_a_server_that_answers_in_plain_text_does_not_speak_tls(site: Site) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SIP/2.0 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, running(site.contexts()) as here:
        here.send(hop(server.sockets[0].getsockname()[1]), HELLO)
        assert (await here.find("failed")).reason == f"the other side does not speak TLS; {PLAIN}"


async def test_a_server_that_closes_at_once_may_not_speak_tls(site: Site) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server, running(site.contexts()) as here:
        here.send(hop(server.sockets[0].getsockname()[1]), HELLO)
        assert (await here.find("failed")).reason == f"closed by the other side; {PLAIN}"


async def test_a_server_that_is_not_there_is_told_from_one_without_tls(site: Site) -> None:
    async with running(site.contexts()) as here:
        here.send(hop(free_port()), HELLO)
        assert (await here.find("failed")).reason == "Connection refused"


@pytest.mark.parametrize(
    ("shows", "reason"),
    [
        ("nothing", "certificate not trusted: the other side wants a certificate of ours"),
        ("a stranger's", "certificate not trusted: the other side does not know the authority of our certificate"),
        ("an expired one", "certificate not trusted: our certificate has expired, says the other side"),
    ],
)
async def test_a_server_that_wants_another_certificate_says_so(site: Site, shows: str, reason: str) -> None:
    """With TLS 1.3 it does when the handshake is over for us: what was sent meanwhile is lost with the connection."""
    ca = site.gateway.ca
    files = {
        "nothing": TlsFiles(ca=ca),
        "a stranger's": issue(trustme.CA(), site.folder, "gw", as_="stranger")._replace(ca=ca),
        "an expired one": site.issue("gw", days=-1.0),
    }[shows]
    with openssl_server(serving(site.issue(POOL), ssl.CERT_REQUIRED).server) as port:
        async with running(TlsContexts(TlsSettings(files)), "TCP") as here:
            here.send(hop(port), HELLO)
            assert (await here.find("lost")).reason.startswith(reason)


@contextmanager
def openssl_server(context: ssl.SSLContext) -> Iterator[int]:
    """A server for one connection that leaves the handshake to OpenSSL, which sends alerts; asyncio's does not.

    It reads what comes nevertheless: closing before that would reset the connection, and the alert might be lost.
    """

    def serve() -> None:
        connection, _ = listening.accept()
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secure:
            with suppress(ssl.SSLError):
                secure.do_handshake()
            while socket.socket.recv(secure, 4096):
                """Until the client has closed."""

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(WITHIN)


async def test_a_server_that_hangs_up_after_the_handshake_may_want_a_certificate(site: Site) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    secure = serving(site.issue(POOL)).server
    async with (
        await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=secure) as server,
        running(site.contexts()) as here,
    ):
        here.send(hop(server.sockets[0].getsockname()[1]), HELLO)
        reason = (await here.find("lost")).reason
        assert reason.startswith("certificate not trusted: closed by the ")
        assert "right after the TLS handshake; it may want a certificate of ours" in reason


# connections and identities


async def test_what_goes_to_one_server_goes_over_one_connection(site: Site) -> None:
    async with running(serving(site.issue(POOL))) as there, running(site.contexts()) as here:
        for _ in range(3):
            here.send(hop(there.port), HELLO)
        await here.next("connected")
        await there.next("connected")
        for _ in range(3):
            assert (await there.next("received")).what == HELLO
        assert here.probe.events.empty() and there.probe.events.empty()


async def test_two_pools_behind_one_address_share_no_connection(site: Site, tmp_path: Path) -> None:
    """Each sees the certificate that is meant for it, and each connection knows which pool is at its end."""
    us = site.issue("us.fabrikam.com")
    contexts = site.contexts(pcpool_contoso_com=site.gateway, pcpool_fabrikam_com=us)
    server = serving(site.issue(POOL, OTHER, as_="server"), ssl.CERT_REQUIRED)
    async with running(server) as there, running(contexts) as here:
        for name, proved in ((POOL, (GATEWAY,)), (OTHER, ("us.fabrikam.com",))):
            here.send(hop(there.port, name), HELLO)
            assert name in (await here.next("connected")).what.names
            assert (await there.next("connected")).what.names == proved
            await there.next("received")


async def test_another_identity_takes_another_connection(site: Site) -> None:
    """After a change of configuration: what is open goes on, and nothing new goes over it."""
    server = serving(site.issue(POOL), ssl.CERT_REQUIRED)
    async with running(server) as there, running(site.contexts()) as here:
        here.send(hop(there.port), HELLO)
        assert (await there.next("connected")).what.names == (GATEWAY,)
        await there.next("received")
        here.shell.use_tls(site.contexts(pcpool_contoso_com=site.issue("new.contoso.com")))
        here.send(hop(there.port), HELLO)
        assert (await there.next("connected")).what.names == ("new.contoso.com",)
        await there.next("received")
        here.shell.use_tls(site.contexts())
        here.send(hop(there.port), HELLO)
        await there.next("received")
        assert there.probe.events.empty(), "the first connection has waited for its identity"


async def test_a_certificate_that_was_read_again_is_for_new_connections(site: Site) -> None:
    contexts = serving(site.issue(POOL))
    async with running(contexts) as there, running(site.contexts()) as here:
        here.send(hop(there.port), HELLO)
        await here.next("connected")
        site.issue("renamed.contoso.com", as_=POOL)
        contexts.reload()
        here.send(hop(there.port), HELLO)
        here.send(hop(there.port, "renamed.contoso.com"), HELLO)
        assert (await here.next("connected")).what.names == ("renamed.contoso.com",)
        for _ in range(5):
            await there.probe.events.get()
        assert there.heard() == []


# bounds


@pytest.fixture
def mute() -> Iterator[int]:
    """A port where connections are taken by the kernel and by nobody else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_server_that_hangs_holds_nobody_else_up(site: Site, mute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "MAX_QUEUED", 2)
    async with running(serving(site.issue(POOL))) as there, running(site.contexts()) as here:
        for number in range(3):
            here.send(hop(mute), HELLO, f"slow {number}")
        here.send(hop(there.port), HELLO)
        await there.find("received")
        first = await here.next("failed")
        assert (first.what, first.reason) == ("slow 2", "too much waits for the connection")
        await here.next("connected")


async def test_all_that_waits_is_told_when_it_does_not_come_about(site: Site, mute: int) -> None:
    async with running(site.contexts(), limits=MUTE) as here:
        for number in range(3):
            here.send(hop(mute), HELLO, f"slow {number}")
        failed = [await here.next("failed") for _ in range(3)]
        assert [event.what for event in failed] == ["slow 0", "slow 1", "slow 2"]
        assert {event.reason for event in failed} == {f"no TLS handshake within 0.25 s; {PLAIN}"}


async def test_connections_being_opened_are_bounded(site: Site, mute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "MAX_OPENING", 2)
    async with running(site.contexts(), limits=MUTE) as here:
        for number in range(3):
            here.send(hop(mute, f"pool{number}.contoso.com"), HELLO, f"{number}")
        refused = await here.next("failed")
        assert (refused.what, refused.reason) == ("2", "too much is being connected to already")
        for _ in range(2):
            await here.next("failed")
        here.send(hop(mute), HELLO, "again")
        assert (await here.next("failed")).what == "again"


async def test_tls_that_is_not_configured_is_a_failure_like_any_other(mute: int) -> None:
    async with running(transport="TCP") as here:
        here.send(hop(mute), HELLO)
        assert (await here.next("failed")).reason == "TLS is not configured"
