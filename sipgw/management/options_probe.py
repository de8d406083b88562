"""OPTIONS to one server (§11), as the gateway asks its pools: whether SIP is answered there.

Written for a command that asks once: what else the server may say meanwhile is passed over.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from sipgw.message.build import new_request
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Response
from sipgw.message.parser import parse_message
from sipgw.message.values import host_port
from sipgw.transport.framing import PING, StreamFramer

RETRANSMIT = (0.5, 1.0, 2.0)  # seconds between copies of a datagram (§17.1.2.2, T1 doubled)
MAX_HEAD, MAX_BODY = 65_536, 262_144  # bytes
CLOSED = "it closed the connection without an answer to OPTIONS"
MAX_HEARD = 20  # messages that a server may send before it answers; after that it counts as silent


class Silent(OSError):
    """The server has closed the connection, or said something else than an answer."""


def options(transport: str, local: tuple[str, int], server: tuple[str, int], fqdn: str) -> tuple[bytes, str]:
    """The request, and the branch that an answer to it bears."""
    branch = f"z9hG4bK{secrets.token_hex(8)}"
    uri = f"sip:{host_port(*server)};transport={transport.lower()}"
    headers = [
        f"Via: SIP/2.0/{transport} {host_port(*local)};branch={branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:{fqdn}>;tag={secrets.token_hex(4)}",
        f"To: <{uri}>",
        f"Call-ID: {secrets.token_hex(8)}@{fqdn}",
        "CSeq: 1 OPTIONS",
        "Accept: application/sdp",
    ]
    return new_request("OPTIONS", uri, headers).encode(), branch


async def ask_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, transport: str, fqdn: str
) -> tuple[int, str]:
    """Status and reason of the answer over a connection. Raises Silent, or OSError; waits for as long as it is let."""
    local, server = writer.get_extra_info("sockname")[:2], writer.get_extra_info("peername")[:2]
    data, branch = options(transport, local, server, fqdn)
    writer.write(data)
    heard = 0
    async for message in _messages(reader):
        found = _answer(message, branch)
        if found is not None:
            return found
        heard += 1
        if heard > MAX_HEARD:
            break
    raise Silent("it says other things than an answer to OPTIONS" if heard > MAX_HEARD else CLOSED)


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    framer = StreamFramer(MAX_HEAD, MAX_BODY)
    try:
        while data := await reader.read(65_536):
            while frames := framer.feed(data):
                for frame in frames:
                    if frame != PING:
                        yield frame
                data = b""
    except MalformedMessage as error:
        raise Silent(f"it does not speak SIP: {error.reason}") from None


def _answer(data: bytes, branch: str) -> tuple[int, str] | None:
    """Of a final response to this request; None for anything else."""
    try:
        message = parse_message(data)
        if isinstance(message, Response) and message.status >= 200 and message.via.branch == branch:
            return message.status, message.reason
    except MalformedMessage:
        pass
    return None


class _Datagrams(asyncio.DatagramProtocol):
    """Takes the answer to one request; what an ICMP error says ends it too."""

    def __init__(self) -> None:
        self.branch = ""
        self.answer: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        found = _answer(data, self.branch)
        if found is not None and not self.answer.done():
            self.answer.set_result(found)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def ask_datagram(address: str, port: int, fqdn: str) -> tuple[int, str]:
    """The same by UDP. Raises OSError; waits for as long as it is let."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Datagrams, remote_addr=(address, port))
    try:
        local = transport.get_extra_info("sockname")[:2]
        data, protocol.branch = options("UDP", local, (address, port), fqdn)
        return await _until_answered(lambda: transport.sendto(data), protocol.answer)
    finally:
        transport.close()


async def _until_answered(send: Callable[[], None], answer: Awaitable[tuple[int, str]]) -> tuple[int, str]:
    waiting = asyncio.ensure_future(answer)
    for pause in RETRANSMIT:
        send()
        with suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(waiting), pause)
    return await waiting
