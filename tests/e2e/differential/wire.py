"""Raw SIP on blocking sockets: what the run sends and hears owes nothing to the code under test."""

import re
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

BUFFER = 1 << 16
_COMPACT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type",
    "s": "subject", "k": "supported", "o": "event", "e": "content-encoding", "u": "allow-events", "r": "refer-to",
}  # fmt: skip


class Channel(Protocol):
    """Where a message came from and its answer goes."""

    def send(self, data: bytes) -> None: ...


@dataclass
class Message:
    """A message as it was heard. `lines` are (name as spelt, all after the colon), folded lines kept."""

    start: str
    lines: list[tuple[str, str]]
    body: bytes
    channel: Channel

    @property
    def method(self) -> str:
        """Of a request; "" for a response."""
        return "" if self.start.startswith("SIP/2.0 ") else self.start.split()[0]

    @property
    def uri(self) -> str:
        return self.start.split()[1]

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    def all(self, name: str) -> list[str]:
        """Every value line of a header, by its long name in lower case."""
        return [value.strip() for spelt, value in self.lines if long_name(spelt) == name]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    @property
    def cseq_method(self) -> str:
        return self.first("cseq").rpartition(" ")[2]

    @property
    def tag(self) -> str:
        """Of To."""
        return self.first("to").partition(";tag=")[2].partition(";")[0]


def long_name(spelt: str) -> str:
    name = spelt.strip().lower()
    return _COMPACT.get(name, name)


def read(data: bytes, channel: Channel) -> Message:
    head, _, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = re.sub(r"\r\n(?=[ \t])", "\x00", head.decode("latin-1"))  # a fold stays with its line
    start, *lines = text.split("\r\n")
    pairs = [line.replace("\x00", "\r\n").partition(":")[::2] for line in lines]
    return Message(start, pairs, body, channel)


Hear = Callable[[Message], None]


class Net:
    """The sockets of one side; `poll` reads what has come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, ready)

    def forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()

    def poll(self, timeout: float) -> bool:
        """Whether anything was there."""
        events = self._selector.select(timeout)
        for key, _ in events:
            key.data()
        return bool(events)

    def close(self) -> None:
        self._selector.close()


@dataclass
class _To:
    sock: socket.socket
    address: tuple[str, int]

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self.address)


class DatagramPort:
    """A UDP socket that talks to whoever; `send` goes to the proxy."""

    transport = "UDP"
    closed = False

    def __init__(self, net: Net, hear: Hear, proxy: tuple[str, int], host: str) -> None:
        self._net = net
        self._hear = hear
        self._proxy = proxy
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._sock.bind((host, 0))
        self.address = "{}:{}".format(*self._sock.getsockname())
        net.watch(self._sock, self._ready)

    def _ready(self) -> None:
        data, source = self._sock.recvfrom(BUFFER)
        self._hear(read(data, _To(self._sock, source)))

    def send(self, data: bytes) -> None:
        self._sock.sendto(data, self._proxy)

    def finish(self) -> None:
        """A datagram socket has nothing to end."""

    def close(self) -> None:
        self._net.forget(self._sock)


class StreamPort:
    """One TCP connection. Its end is heard as a message `closed`, a keep-alive's answer as `pong`."""

    transport = "TCP"

    def __init__(self, net: Net, hear: Hear, sock: socket.socket) -> None:
        self._net = net
        self._hear = hear
        self._sock = sock
        self._buffer = b""
        self.closed = False
        self.address = "{}:{}".format(*sock.getsockname())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        net.watch(sock, self._ready)

    @classmethod
    def connect(cls, net: Net, hear: Hear, proxy: tuple[str, int], host: str) -> "StreamPort":
        return cls(net, hear, socket.create_connection(proxy, 5, (host, 0)))

    def _ready(self) -> None:
        try:
            data = self._sock.recv(BUFFER)
        except ConnectionError:
            data = b""
        if not data:
            self._end()
            return
        self._buffer += data
        while message := self._cut():
            self._hear(read(message, self))

    def _cut(self) -> bytes:
        """The next whole message, b"" while there is none."""
        if self._buffer.startswith(b"\r\n"):
            self._buffer = self._buffer[2:]
            return b"pong"
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return b""
        length = re.search(rb"\r\n(?:Content-Length|l)[ \t]*:[ \t]*(\d+)", self._buffer[:end], re.IGNORECASE)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < size:
            return b""
        message, self._buffer = self._buffer[:size], self._buffer[size:]
        return message

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            self._net.forget(self._sock)
            self._hear(read(b"closed", self))

    def send(self, data: bytes) -> None:
        if self.closed:
            return
        try:
            self._sock.sendall(data)
        except ConnectionError:
            self._end()

    def finish(self) -> None:
        """Send no more."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._net.forget(self._sock)


@dataclass
class StreamListener:
    """A TCP socket that the proxy connects to."""

    net: Net
    hear: Hear
    ports: list[StreamPort] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.3", 0))
        self.address = "{}:{}".format(*self._sock.getsockname())
        self.net.watch(self._sock, self._ready)

    def _ready(self) -> None:
        sock, _ = self._sock.accept()
        sock.settimeout(5)
        self.ports.append(StreamPort(self.net, self.hear, sock))

    def close(self) -> None:
        for port in self.ports:
            port.close()
        self.net.forget(self._sock)
