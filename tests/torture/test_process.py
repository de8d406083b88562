"""Every message of RFC 4475 and RFC 5118 through a running gateway, by real sockets, over UDP and over TCP."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from sipgw.message import MalformedMessage, Message, Request, Response, parse_message
from sipgw.message.build import response_to
from sipgw.message.parser import salvage
from sipgw.transaction.layer import server_key
from tests.e2e.programs import sipgw
from tests.torture.expectations import CALLEES, CLOSED, DOMAINS, DROPPED, EXPECTED, FORWARDED, FQDN, GOES_ON, SWALLOWED
from tests.torture.messages import MESSAGES

PATIENCE = 10.0  # seconds for what has to come
_OWN = f"127.{os.getpid() % 199 + 1}.{os.getpid() // 199 % 250}"  # a loopback network that other tests do not use
SENDER, CALLEE = f"{_OWN}.7", f"{_OWN}.60"
SENT_BY_PORTS = (5060, 5050, 5070, 6050, 19823)  # where the messages' Vias want the answers


class Ear(asyncio.DatagramProtocol):
    """A UDP socket that hands on what it hears."""

    def __init__(self, heard: Callable[[bytes, "Ear"], None]) -> None:
        self._heard = heard
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard(data, self)


class Stage:
    """The sender of the messages and the callee that answers 486. `seen` is what has come, newest last."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self.seen: list[Message] = []
        self._more = asyncio.Event()
        self._probes = 0
        self._ears: list[Ear] = []
        self._sender: Ear

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        _, self._callee = await loop.create_datagram_endpoint(lambda: Ear(self._called), (CALLEE, 5060))
        self._ears.append(self._callee)
        for port in reversed(SENT_BY_PORTS):
            _, self._sender = await loop.create_datagram_endpoint(lambda: Ear(self._answered), (SENDER, port))
            self._ears.append(self._sender)

    def close(self) -> None:
        for ear in self._ears:
            ear.transport.close()

    def _answered(self, data: bytes, ear: Ear) -> None:
        self.take(parse_message(data))

    def _called(self, data: bytes, ear: Ear) -> None:
        message = parse_message(data)
        if isinstance(message, Request) and message.method != "ACK":
            ear.transport.sendto(response_to(message, 486, to_tag="callee").encode(), self.gateway)
        self.take(message)

    def take(self, message: Message) -> None:
        self.seen.append(message)
        self._more.set()

    @property
    def gateway(self) -> tuple[str, int]:
        return "127.0.0.1", self.ports["udp"]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait for something to be seen, as long as PATIENCE lasts; the caller compares."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not enough():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            return

    def send(self, data: bytes) -> None:
        self._sender.transport.sendto(data, self.gateway)

    async def sign_in(self) -> None:
        for number, callee in enumerate(CALLEES):
            data = (
                f"REGISTER sip:{callee.rpartition('@')[2]} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLEE};branch=z9hG4bK{number}"
                f"\r\nFrom: <{callee}>;tag=1\r\nTo: <{callee}>\r\nCall-ID: in-{number}\r\nCSeq: 1 REGISTER\r\n"
                f"Contact: <sip:callee@{CALLEE}>\r\nContent-Length: 0\r\n\r\n"
            )
            self._callee.transport.sendto(data.encode(), self.gateway)
            await self.until(lambda wanted=f"in-{number}": self.status_of(wanted) == 200)  # type: ignore[misc]
            assert self.status_of(f"in-{number}") == 200, callee

    def status_of(self, call_id: str) -> int:
        found = [one.status for one in self.seen if isinstance(one, Response) and one.call_id == call_id]
        return found[-1] if found else 0

    def probe(self, transport: str) -> tuple[str, bytes]:
        """The Call-ID of a harmless request, and the request."""
        self._probes += 1
        call_id = f"probe-{self._probes}"
        data = (
            f"OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/{transport} {SENDER};branch=z9hG4bK{call_id}\r\n"
            f"From: <sip:x@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        return call_id, data.encode()

    async def caught_up(self) -> None:
        """The gateway has worked off all datagrams that were sent to it."""
        call_id, data = self.probe("UDP")
        self.send(data)
        await self.until(lambda: self.status_of(call_id) == 200)
        assert self.status_of(call_id) == 200

    def outcome(self, data: bytes) -> str:
        """What a message has come to so far, in the words of the expectations, in no order: a store takes its time."""
        words: dict[str, None] = {}
        for one in self.seen:
            if one.call_id.startswith(("probe-", "in-")) or one.call_id.encode("latin-1") not in data:
                continue
            if isinstance(one, Request):
                words[FORWARDED] = None
            elif isinstance(one, Response) and one.status not in (100, 486):
                words[str(one.status)] = None
        return " ".join(sorted(words)) or DROPPED


def expected(name: str, transport: str) -> str:
    """The sender is nobody whom this gateway would relay for."""
    owed = EXPECTED[name]
    return " ".join(sorted((owed.stranger or owed.by(transport)).split()))


def config(folder: Path) -> Path:
    domains = ", ".join(f'"{domain}"' for domain in DOMAINS)
    path = folder / "sipgw.toml"
    path.write_text(
        f'[gateway]\nfqdn = "{FQDN}"\ndomains = [{domains}]\nlisten = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]\n'
        "[limits]\nmax_requests_per_user = 0\nmax_delay = 5.0\n"
        '[store]\nurl = "sqlite:gateway.db"\n[[pool]]\nfqdn = "pcpool.example.com"\nservers = ["udp:127.0.0.1:9"]\n'
    )
    return path


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Stage]:
    async with sipgw("serve", "--config", config(folder)) as gateway:
        stage = Stage(await gateway.ports())
        try:
            await stage.open()
            await stage.sign_in()
            yield stage
        finally:
            stage.close()


def batches() -> Iterator[list[str]]:
    """All messages, in groups of which no two are one transaction: several share a branch and all else."""
    left = dict.fromkeys(EXPECTED)
    while left:
        taken = {transaction(name): name for name in reversed(left)}
        yield [name for name in left if name in taken.values()]
        for name in taken.values():
            del left[name]


def transaction(name: str) -> object:
    try:
        request = salvage(MESSAGES[name])
        return server_key(request) if request is not None else name
    except MalformedMessage:
        return name


BATCHES = list(batches())


@pytest.mark.parametrize("names", BATCHES, ids=range(len(BATCHES)))
async def test_over_udp(tmp_path: Path, names: list[str]) -> None:
    found: dict[str, str] = {}
    async with running(tmp_path) as stage:
        for name in names:
            data = MESSAGES[name]
            stage.seen = []
            stage.send(data)
            await stage.caught_up()
            if expected(name, "UDP") != DROPPED:
                await stage.until(lambda data=data: stage.outcome(data) != DROPPED)  # type: ignore[misc]
            found[name] = stage.outcome(data)
    assert found == {name: expected(name, "UDP") for name in names}


@pytest.mark.parametrize("names", BATCHES, ids=range(len(BATCHES)))
async def test_over_tcp(tmp_path: Path, names: list[str]) -> None:
    found: dict[str, tuple[str, str]] = {}
    async with running(tmp_path) as stage:
        for name in names:
            found[name] = await over_tcp(stage, name)
    assert found == {name: (expected(name, "TCP"), EXPECTED[name].then) for name in names}


async def over_tcp(stage: Stage, name: str) -> tuple[str, str]:
    """A connection of its own for the message and a request after it. Returns outcome and fate of the connection."""
    owed, data = EXPECTED[name], MESSAGES[name]
    stage.seen = []
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.ports["tcp"], local_addr=(SENDER, 0))
    reading = asyncio.create_task(read_all(reader, stage))
    call_id, after = stage.probe("TCP")
    writer.write(data + after)
    await writer.drain()
    if owed.then == GOES_ON:
        await stage.until(lambda: stage.status_of(call_id) == 200)
    elif owed.then == CLOSED:
        await asyncio.wait([reading], timeout=PATIENCE)
    await stage.until(lambda: stage.outcome(data) == expected(name, "TCP"))
    await stage.caught_up()
    await stage.caught_up()
    then = CLOSED if reading.done() else GOES_ON if stage.status_of(call_id) == 200 else SWALLOWED
    reading.cancel()
    writer.close()
    await asyncio.gather(reading, writer.wait_closed(), return_exceptions=True)
    return stage.outcome(data), then


async def read_all(reader: asyncio.StreamReader, stage: Stage) -> None:
    """Take every message until the gateway closes the connection."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        stage.take(parse_message(head + await reader.readexactly(int(lengths[0].partition(b":")[2]))))
