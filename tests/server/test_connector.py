"""Connections that we open: watched for the other side's vanishing, replaced when they are dead, given up in time."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from sipgw.events import SLOW, Close, Flow, GiveWay, Hop, Redial, Resolve
from sipgw.locating import Answer, Question
from sipgw.locating.records import SERVER_FAILURE
from sipgw.server.connector import KEEP_ALIVE, KEEP_ALIVE_AGAIN, UNACKNOWLEDGED
from sipgw.server.limits import ShellLimits
from sipgw.server.tls import TlsContexts, TlsSettings
from tests.e2e.faults.scripted import unreachable
from tests.server.certificates import issue
from tests.server.probe import WITHIN, Running, running

OPTIONS = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def hop_of(server: Running) -> Hop:
    return Hop("TCP", "127.0.0.1", server.port)


def silent_since(here: Running, server: Running, since: float) -> None:
    """What the engine wants done when what was sent then has not been answered."""
    here.shell.perform([Redial(hop_of(server), since)])


async def sends(here: Running, server: Running) -> Flow:
    """The server has heard it. Returns the connection of the server's side."""
    here.send(hop_of(server), OPTIONS)
    await server.find("received")
    return server.shell._connections[max(server.probe.open)].flow


def soon() -> float:
    return asyncio.get_running_loop().time() + 1.0


# one that is silent


async def test_a_connection_on_which_nothing_comes_is_replaced_and_stays_open() -> None:
    async with running(transport="TCP") as server, running(transport="TCP") as here:
        await sends(here, server)
        first = (await here.next("connected")).what
        silent_since(here, server, soon())
        assert (await here.next("superseded")).what is first
        await sends(here, server)
        second = (await here.next("connected")).what
        assert here.probe.open == {first.cid, second.cid}
        assert here.shell.counters["connections_superseded"] == 1


async def test_one_on_which_something_has_come_is_kept() -> None:
    async with running(transport="TCP") as server, running(transport="TCP") as here:
        sent = asyncio.get_running_loop().time()
        flow = await sends(here, server)
        server.shell.write(flow.cid, OPTIONS)
        server.shell.batch_done()
        await here.find("received")
        silent_since(here, server, sent)
        await sends(here, server)
        assert len(here.probe.open) == 1


async def test_of_those_that_were_replaced_one_stays() -> None:
    """A server that hangs for hours must not gather connections."""
    async with running(transport="TCP") as server, running(transport="TCP") as here:
        flows = []
        for _ in range(3):
            await sends(here, server)
            flows.append((await here.find("connected")).what)
            silent_since(here, server, soon())
        lost = await here.find("lost")
        assert (lost.what, lost.reason) == (flows[1], "silent, and so is its successor")
        assert here.probe.open == {flows[2].cid}
        assert here.shell._connector.replaced == 1


async def test_the_loss_of_one_that_was_replaced_is_not_taken_for_the_new_ones() -> None:
    async with running(transport="TCP") as server, running(transport="TCP") as here:
        old = await sends(here, server)
        silent_since(here, server, soon())
        await sends(here, server)
        server.shell.perform([Close(old.cid, "enough")])
        await here.find("lost")
        assert here.probe.hops == [None]
        assert here.shell._connector.replaced == 0
        await sends(here, server)
        assert len(here.probe.open) == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has all of it")
async def test_the_kernel_watches_for_a_server_that_vanishes() -> None:
    async with running(transport="TCP") as server, running(transport="TCP") as here:
        await sends(here, server)
        flow = (await here.next("connected")).what
        sock = here.shell._connections[flow.cid]._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        wanted = {"TCP_USER_TIMEOUT": UNACKNOWLEDGED * 1000, "TCP_KEEPIDLE": KEEP_ALIVE}
        wanted["TCP_KEEPINTVL"] = KEEP_ALIVE_AGAIN
        assert {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in wanted} == wanted


# one that does not come about


async def test_what_waits_for_tcp_to_connect_can_be_taken_back() -> None:
    """The rest waits on, and connecting does."""
    async with running(transport="TCP") as here, unreachable() as address:
        hop = Hop("TCP", "127.0.0.1", int(address.rpartition(":")[2]))
        for key in ("first", "second"):
            here.send(hop, OPTIONS, key)
        for _ in range(2):
            here.shell.perform([GiveWay(hop, "first")])
        assert await here.next("failed") == ("failed", "first", SLOW)
        assert [key for _, key in here.shell._connector._opening[hop].queue] == ["second"]


async def test_what_has_been_sent_cannot() -> None:
    async with running(transport="TCP") as server, running(transport="TCP") as here:
        await sends(here, server)
        here.shell.perform([GiveWay(hop_of(server), "key")])
        await sends(here, server)
        await here.next("connected")
        assert here.probe.events.empty()


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "a..b", ".x"])
async def test_a_name_that_no_certificate_can_have_is_told(tmp_path: Path, name: str) -> None:
    tls = TlsContexts(TlsSettings(issue(trustme.CA(), tmp_path, "sipgw.test")))
    with listening() as port:
        async with running(tls, transport="TCP") as here:
            for key in ("first", "second"):
                here.send(Hop("TLS", "127.0.0.1", port, name), OPTIONS, key)
                failed = await here.next("failed")
                assert failed.what == key
                assert failed.reason.startswith("cannot be dialled: ")


async def test_another_time_to_connect_counts_from_the_next_connection_on() -> None:
    """As after a reload."""
    async with running(transport="TCP", limits=ShellLimits(connect_timeout=60.0)) as here, unreachable() as address:
        here.shell.limits = replace(here.shell.limits, connect_timeout=0.1)
        here.send(Hop("TCP", "127.0.0.1", int(address.rpartition(":")[2])), OPTIONS)
        assert (await here.next("failed")).reason == "no connection within 0.1 s"


async def test_and_so_does_a_clients_for_its_handshake(tmp_path: Path) -> None:
    tls = TlsContexts(TlsSettings(issue(trustme.CA(), tmp_path, "sipgw.test"), clients=ssl.CERT_NONE))
    async with running(tls, limits=ShellLimits(connect_timeout=60.0)) as here:
        here.shell.limits = replace(here.shell.limits, connect_timeout=0.025)
        _, writer = await asyncio.open_connection("127.0.0.1", here.port)
        async with asyncio.timeout(WITHIN):
            assert "no handshake within 0.1 s" in await here.log.lines.get()
        writer.transport.abort()


# no address to send from


@pytest.mark.parametrize(("listens", "host", "family"), [("TCP", "127.0.0.1", 4), ("UDP", "::1", 6)])
async def test_a_datagram_that_cannot_leave_is_told(listens: str, host: str, family: int) -> None:
    async with running(transport=listens) as here:
        here.send(Hop("UDP", host, 5999), OPTIONS)
        failed = await here.next("failed")
        assert failed == ("failed", "key", f"no UDP address of IPv{family} to send from in gateway.listen")
        assert here.shell.counters["datagrams_dropped"] == 1


# a name


class Broken:
    """A resolver with a mistake in it."""

    async def ask(self, question: Question) -> Answer:
        raise KeyError(question.name)


async def test_a_question_gets_an_answer_whatever_happens() -> None:
    async with running(transport="TCP") as here:
        here.shell._resolver = Broken()  # type: ignore[assignment]
        question = Question("pcpool.contoso.com", "SRV")
        here.shell.perform([Resolve(question)])
        answer = (await here.next("resolved")).what
        assert (answer.question, answer.failure) == (question, SERVER_FAILURE)
        assert "KeyError" in answer.detail
