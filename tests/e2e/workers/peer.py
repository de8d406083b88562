"""A SIP peer by datagram, as small as can be: sends what it is given, keeps what comes."""

import asyncio
import re
from collections.abc import Callable
from typing import cast


class Peer(asyncio.DatagramProtocol):
    """`answer` makes the answers to requests; what it gives None for is left to the test."""

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self._answer = answer
        self._come: asyncio.Queue[tuple[str, tuple[str, int]]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, answer: Callable[[str], str | None], host: str = "127.0.0.1") -> "Peer":
        loop = asyncio.get_running_loop()
        return (await loop.create_datagram_endpoint(lambda: cls(answer), (host, 0)))[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        text = data.decode()
        answer = None if text.startswith("SIP/2.0") else self._answer(text)
        if answer is not None:
            self.send(answer, to_via(text))
        self._come.put_nowait((text, addr))

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, text: str, port: int) -> None:
        self.transport.sendto(text.encode(), ("127.0.0.1", port))

    async def next(self, start: str) -> str:
        """The next message that starts so; others are passed over."""
        async with asyncio.timeout(15):
            while True:
                text, _ = await self._come.get()
                if text.startswith(start):
                    return text

    def close(self) -> None:
        self.transport.close()


def to_via(request: str) -> int:
    """The port that a response goes to (RFC 3261 §18.2.2): every address is 127.0.0.1."""
    found = re.search(r"(?m)^Via: SIP/2.0/UDP 127.0.0.1:(\d+)", request)
    assert found is not None
    return int(found[1])


def header_lines(message: str, *names: str) -> list[str]:
    """The header lines with these names, in the order of the message."""
    head = message.partition("\r\n\r\n")[0].split("\r\n")[1:]
    return [line for line in head if line.partition(":")[0].lower() in names]


def response(request: str, status: str, tag: str, *more: str) -> str:
    """A response; a To without a tag gets this one."""
    copied = header_lines(request, "via", "from", "call-id", "cseq", "record-route")
    to = header_lines(request, "to")[0]
    to = to if ";tag=" in to else f"{to};tag={tag}"
    return "\r\n".join([f"SIP/2.0 {status}", *copied, to, *more, "Content-Length: 0", "", ""])


def worker_in(request: str) -> int:
    """Which worker has forwarded a request, by the branch of its Via."""
    found = re.search(r"(?m)^Via: .*;branch=z9hG4bKw([0-9a-f]{2})", request)
    assert found is not None
    return int(found[1], 16)
