"""A transaction layer of the tests' own, as small as can be, so that ours is not only tested against itself.

Written from RFC 3261 §17 and RFC 6026; nothing of sipgw is used, messages are read and written here. Timers are actions
on the network's heap that look whether they still matter.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.link.network import Connection, Network, Node

T1, T2, T4, LONG = 0.5, 4.0, 5.0, 32.0


@dataclass
class Text:
    """A message as text: first line, and pairs of name in lower case and value. Bodies are not needed."""

    first: str
    fields: list[tuple[str, str]]

    @classmethod
    def read(cls, data: bytes) -> "Text":
        head = data.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
        pairs = [line.partition(":") for line in head[1:]]
        return cls(head[0], [(name.strip().lower(), value.strip()) for name, _, value in pairs])

    def encode(self) -> bytes:
        lines = [self.first, *[f"{name}: {value}" for name, value in self.fields], "content-length: 0"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def get(self, name: str) -> str:
        return next((value for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        return [part.strip() for key, value in self.fields if key == name for part in value.split(",")]

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.first.split(" ")[1]) if self.first.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        return self.get("cseq").split()[1]

    @property
    def branch(self) -> str:
        return parameter(self.all("via")[0], "branch")

    def tag(self, side: str) -> str:
        return parameter(self.get(side).partition(">")[2], "tag")

    def uri(self, name: str) -> str:
        return self.get(name).partition("<")[2].partition(">")[0]

    def response(self, status: int, tag: str = "", *extra: tuple[str, str]) -> "Text":
        copied = [pair for pair in self.fields if pair[0] in ("via", "from", "to", "call-id", "cseq")]
        if tag and not self.tag("to"):
            copied = [(name, f"{value};tag={tag}" if name == "to" else value) for name, value in copied]
        return Text(f"SIP/2.0 {status} Text", [*copied, *extra])


def parameter(value: str, name: str) -> str:
    for item in value.split(";")[1:]:
        key, _, text = item.partition("=")
        if key.strip().lower() == name:
            return text.strip()
    return ""


@dataclass
class Way:
    """How messages get to the other side: a connection, or datagrams to an address."""

    host: str
    port: int
    connection: Connection | None = None


class TinyLayer:
    """Transactions of one tiny user agent. `clients` and `servers` are those alive."""

    def __init__(self, net: Network, node: Node) -> None:
        self.net = net
        self.node = node
        self.clients: dict[tuple[str, str], TinyClient] = {}
        self.servers: dict[tuple[str, str, str], TinyServer] = {}
        self.refusals = self.unacknowledged = 0  # final responses that ask for an ACK, and those that got none
        self.on_request: Callable[[TinyServer], None]
        self.on_ack: Callable[[Text], None]
        self.on_stray: Callable[[Text], None]

    def put(self, data: bytes, way: Way) -> None:
        if way.connection is None:
            self.net.datagram(self.node, way.host, way.port, data)
        else:
            self.net.stream(self.node, way.connection, data)

    def receive(self, data: bytes, way: Way) -> None:
        text = Text.read(data)
        if text.status:
            client = self.clients.get((text.branch, text.method))
            if client is not None:
                client.receive(text)
            else:
                self.on_stray(text)
            return
        method = text.first.split(" ")[0]
        sent_by = text.all("via")[0].split(";")[0].split()[-1]
        key = text.branch, sent_by, "INVITE" if method == "ACK" else method
        server = self.servers.get(key)
        if server is not None and not (method == "ACK" and server.state == "accepted"):
            server.receive(method)
        elif method == "ACK":
            self.on_ack(text)
        else:
            self.on_request(TinyServer(self, key, text, way))

    def lost(self, connection: Connection) -> None:
        for client in list(self.clients.values()):
            if client.way.connection is connection:
                client.broken()


class TinyClient:
    """§17.1, with RFC 6026's state for the 2xx. `tell` gets responses, and None when none will come."""

    def __init__(self, layer: TinyLayer, request: Text, way: Way, tell: Callable[[Text | None], None]) -> None:
        self.layer = layer
        self.request = request
        self.way = way
        self.tell = tell
        self.invite = request.method == "INVITE"
        self.state = "waiting"
        self.last = request.encode()
        self.key = request.branch, request.method
        layer.clients[self.key] = self
        layer.put(self.last, way)
        if way.connection is None:
            layer.net.after(T1, lambda: self.again(T1))
        layer.net.after(LONG, self.give_up)

    def again(self, interval: float) -> None:
        if self.state == "waiting" or (self.state == "proceeding" and not self.invite):
            self.layer.put(self.last, self.way)
            following = interval * 2 if self.invite else T2 if self.state == "proceeding" else min(T2, interval * 2)
            self.layer.net.after(following, lambda: self.again(following))

    def give_up(self, although_ringing: bool = False) -> None:
        if self.state == "waiting" or (self.state == "proceeding" and (not self.invite or although_ringing)):
            self.gone()
            self.tell(None)

    def broken(self) -> None:
        if self.state in ("waiting", "proceeding"):
            self.gone()
            self.tell(None)

    def receive(self, response: Text) -> None:
        if self.state in ("waiting", "proceeding"):
            if response.status < 200:
                self.state = "proceeding"
            else:
                self.finish(response)
            self.tell(response)
        elif self.state == "accepted" and response.status // 100 == 2:
            self.tell(response)
        elif self.state == "completed" and self.invite and response.status >= 300:
            self.layer.put(self.last, self.way)

    def finish(self, response: Text) -> None:
        if self.invite and response.status < 300:
            self.state, linger = "accepted", LONG
        else:
            self.state, linger = "completed", LONG if self.invite else T4
            if self.invite:
                self.acknowledge(response)
            if self.way.connection is not None:
                linger = 0.0
        self.layer.net.after(linger, self.gone)

    def acknowledge(self, response: Text) -> None:
        """§17.1.1.3."""
        uri = self.request.first.split(" ")[1]
        number = self.request.get("cseq").split()[0]
        kept = [pair for pair in self.request.fields if pair[0] in ("from", "call-id", "max-forwards", "route")]
        fields = [("via", self.request.get("via")), *kept, ("to", response.get("to")), ("cseq", f"{number} ACK")]
        self.last = Text(f"ACK {uri} SIP/2.0", fields).encode()
        self.layer.put(self.last, self.way)

    def gone(self) -> None:
        self.state = "gone"
        self.layer.clients.pop(self.key, None)


class TinyServer:
    """§17.2, with RFC 6026's state for the 2xx, which its user repeats by `repeat`."""

    def __init__(self, layer: TinyLayer, key: tuple[str, str, str], request: Text, way: Way) -> None:
        self.layer = layer
        self.key = key
        self.request = request
        self.way = way
        self.method = key[2]
        self.state = "waiting"
        self.last = b""
        layer.servers[key] = self

    def receive(self, method: str) -> None:
        if method == "ACK":
            if self.state == "completed":
                self.state = "confirmed"
                self.linger(T4)
        elif self.last and self.state in ("waiting", "completed"):
            self.layer.put(self.last, self.way)

    def respond(self, response: Text) -> None:
        if self.state != "waiting":
            return
        self.last = response.encode()
        self.layer.put(self.last, self.way)
        if response.status < 200:
            return
        if self.method != "INVITE":
            self.state = "completed"
            self.linger(LONG)
        elif response.status < 300:
            self.state = "accepted"
            self.layer.net.after(LONG, self.gone)
        else:
            self.state = "completed"
            if self.way.connection is None:
                self.layer.net.after(T1, lambda: self.again(T1))
            self.layer.refusals += 1
            self.layer.net.after(LONG, self.give_up)

    def again(self, interval: float) -> None:
        if self.state == "completed":
            self.layer.put(self.last, self.way)
            following = min(T2, interval * 2)
            self.layer.net.after(following, lambda: self.again(following))

    def give_up(self) -> None:
        if self.state == "completed":
            self.layer.unacknowledged += 1
            self.gone()

    def repeat(self) -> None:
        """The same 2xx once more."""
        self.layer.put(self.last, self.way)

    def linger(self, duration: float) -> None:
        self.layer.net.after(duration if self.way.connection is None else 0.0, self.gone)

    def gone(self) -> None:
        self.state = "gone"
        self.layer.servers.pop(self.key, None)
