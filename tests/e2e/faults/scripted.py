"""Pool servers with one fault each, on real sockets in the test's own process. They write their SIP themselves."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST
_COPIED = ("via", "from", "to", "call-id", "cseq", "record-route")


class Exchange:
    """A request that has come, and the means to answer it well or badly."""

    def __init__(self, head: list[str], writer: asyncio.StreamWriter) -> None:
        self.head = head
        self.method = head[0].partition(" ")[0]
        self._writer = writer

    def response(self, status: int, *headers: str) -> bytes:
        copied = [line for line in self.head[1:] if line.partition(":")[0].lower() in _COPIED]
        lines = [line + ";tag=scripted" if _is_untagged_to(line) else line for line in copied]
        port = self._writer.get_extra_info("sockname")[1]
        contact = f"Contact: <sip:scripted@127.0.0.1:{port};transport=tcp>"
        return "\r\n".join(
            [f"SIP/2.0 {status} Scripted", *lines, contact, *headers, "Content-Length: 0", "", ""]
        ).encode()

    def answer(self, status: int, *headers: str) -> None:
        if self.method != "ACK":
            self.write(self.response(status, *headers))

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def reset(self) -> None:
        """Break the connection; what was written before arrives or not."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._writer.transport.abort()


Script = Callable[[Exchange], None]


def _is_untagged_to(line: str) -> bool:
    return line.partition(":")[0].lower() == "to" and ";tag=" not in line


class Scripted:
    """A server that does to every request what its script says. `deaf` makes it stop reading, connections stay open;
    `heard` are the methods of the requests that it has read. What comes over one of the `forgotten` connections, which
    its machine knows nothing of any more, is answered by a reset, or is lost as in a firewall if `lost`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.deaf = False
        self.heard: list[str] = []
        self.port = 0
        self.connections: set[asyncio.StreamWriter] = set()
        self.forgotten: set[asyncio.StreamWriter] = set()
        self.lost = False
        self.listening: asyncio.Server

    @property
    def address(self) -> str:
        return f"tcp:127.0.0.1:{self.port}"

    def forget(self, lost: bool) -> None:
        """All connections that there are; new ones are like any."""
        self.forgotten, self.lost = set(self.connections), lost

    def vanish(self) -> None:
        """Its machine is gone: nobody reads what comes over its connections, nobody listens at its port."""
        self.deaf = True
        self.listening.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lstrip("\r\n").split("\r\n")
                length = next(line for line in head if line.lower().startswith("content-length:"))
                await reader.readexactly(int(length.partition(":")[2]))
                exchange = Exchange(head, writer)
                if writer in self.forgotten and not self.lost:
                    exchange.reset()
                elif writer not in self.forgotten and not self.deaf:
                    self.heard.append(exchange.method)
                    self.script(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()


@asynccontextmanager
async def scripted(script: Script, port: int = 0) -> AsyncIterator[Scripted]:
    """Listen on a free port, or on this one."""
    made = Scripted(script)
    server = made.listening = await asyncio.start_server(made.serve, "127.0.0.1", port)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in list(made.connections):
            writer.transport.abort()
        await server.wait_closed()


# scripts


def takes_calls(exchange: Exchange) -> None:
    exchange.answer(200)


def is_silent(exchange: Exchange) -> None:
    """Read, and say nothing."""


def says(status: int, *headers: str) -> Script:
    def script(exchange: Exchange) -> None:
        exchange.answer(status, *headers)

    return script


def resets(exchange: Exchange) -> None:
    exchange.reset()


def resets_in_mid_answer(exchange: Exchange) -> None:
    """Half of a 200 arrives, then the connection breaks."""
    data = exchange.response(200)
    exchange.write(data[: len(data) // 2])
    asyncio.get_running_loop().call_later(0.05, exchange.reset)


# servers that do not get as far as a script

Opening = AbstractAsyncContextManager[str]  # the server's address


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """A port that is taken and on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"tcp:127.0.0.1:{sock.getsockname()[1]}"


@asynccontextmanager
async def unreachable(port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Connections are neither accepted nor refused, as with a host that is switched off: the queue is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock, socket.socket(family) as first, socket.socket(family) as second:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # its connections may still be there
        sock.bind((host, port))
        sock.listen(0)
        for filling in (first, second):
            filling.setblocking(False)
            filling.connect_ex(sock.getsockname())
        yield f"tcp:{host}:{sock.getsockname()[1]}"


@asynccontextmanager
async def silent_datagrams() -> AsyncIterator[str]:
    """Datagrams vanish."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"udp:127.0.0.1:{sock.getsockname()[1]}"


@asynccontextmanager
async def following(script: Script) -> AsyncIterator[str]:
    async with scripted(script) as server:
        yield server.address
