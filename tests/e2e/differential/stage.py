"""One case on one side: who takes part, what they send, what they heard.

`Stage.settle` plays until nothing is left to happen. It sends pings (OPTIONS that the proxy answers itself) behind
whatever was sent before: when they are answered, the messages before them have been dealt with, because either proxy
reads a socket in order. A round of pings in which nobody heard anything new is the proof that nothing more comes.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.e2e.differential.servers import Behind
from tests.e2e.differential.wire import DatagramPort, Message, Net, StreamListener, StreamPort, long_name

CHAT, TCP_CHAT, TWO_CHAT, SPARE_CHAT = (
    f"sip:{name}@contoso.com" for name in ("ocschat", "tcpchat", "twochat", "sparechat")
)
HOSTS = {"UDP": "127.0.0.1", "TCP": "127.0.0.4"}  # of clients: so no port number ever stands for two of them
POOL_HOST = "127.0.0.3"
ANSWER = 5.0  # seconds that a ping or an awaited message may take: far more than ever needed
ROUNDS = 40
_DIALOG = ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE")


@dataclass(frozen=True)
class Answer:
    """A response to give: header lines beside the ordinary ones; `tag` other than the party's own."""

    status: int
    headers: tuple[str, ...] = ()
    body: bytes = b""
    tag: str = ""
    reason: str = ""


Play = int | Answer
Change = Mapping[str, str | None]


class Party:
    """A user agent that plays what it is told to: `plays` gives the answers to a method, "" those to any other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port: DatagramPort | StreamPort
        self.address = ""
        self.heard: list[Message] = []
        self.plays: dict[str, list[Play]] = {"": [200], "ACK": []}
        self.pongs: set[str] = set()

    def hear(self, message: Message) -> None:
        call_id = message.first("call-id")
        if call_id.startswith("ping-"):
            if message.method:
                message.channel.send(self.response(message, 200))
            else:
                self.pongs.add(call_id)
            return
        self.heard.append(message)
        if message.method not in ("", "closed", "pong"):
            for play in self.plays.get(message.method, self.plays[""]):
                self.answer(message, play)

    def answer(self, request: Message, play: Play) -> None:
        request.channel.send(self.response(request, play))

    def response(self, request: Message, play: Play) -> bytes:
        answer = Answer(play) if isinstance(play, int) else play
        lines = [f"SIP/2.0 {answer.status} {answer.reason or 'Said'}"]
        for name, value in request.lines:
            kind = long_name(name)
            if kind in ("via", "from", "call-id", "cseq") or (kind == "record-route" and answer.status < 300):
                lines.append(f"{name}:{value}")
            elif kind == "to":
                tag = f";tag={answer.tag or f'tag-{self.name}'}" if answer.status > 100 and ";tag=" not in value else ""
                lines.append(f"{name}:{value}{tag}")
        if answer.status // 100 in (1, 2) and request.method in _DIALOG:
            transport = ";transport=tcp" if isinstance(request.channel, StreamPort) else ""
            lines.append(f"Contact: <sip:{self.name}@{self.address}{transport}>")
        lines += [f"X-Said: {self.name}", *answer.headers, f"Content-Length: {len(answer.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + answer.body

    def requests(self, method: str) -> list[Message]:
        return [message for message in self.heard if message.method == method]

    def responses(self, status: int) -> list[Message]:
        return [message for message in self.heard if message.status == status]

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self.port.send(message)


@dataclass
class Side:
    """One proxy with the pools behind it."""

    name: str
    net: Net
    pools: dict[str, Party]
    listeners: list[DatagramPort | StreamListener]
    proxy: tuple[str, int] = ("127.0.0.1", 0)

    @property
    def behind(self) -> Behind:
        return Behind(*(self.pools[name].address for name in ("pool", "spare", "tcppool")))

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
        self.net.close()


def open_side(name: str) -> Side:
    """A side whose proxy is still to be started."""
    net = Net()
    pools = {pool: Party(pool) for pool in ("pool", "spare", "tcppool")}
    nowhere = ("127.0.0.1", 9)
    listeners: list[DatagramPort | StreamListener] = [
        DatagramPort(net, pools["pool"].hear, nowhere, POOL_HOST),
        DatagramPort(net, pools["spare"].hear, nowhere, POOL_HOST),
        StreamListener(net, pools["tcppool"].hear),
    ]
    for pool, listener in zip(pools.values(), listeners, strict=True):
        pool.address = listener.address
    return Side(name, net, pools, listeners)


@dataclass
class Stage:
    """One case on one side. `case` stands in every Call-ID and branch."""

    side: Side
    case: str
    transport: str = "UDP"
    parties: list[Party] = field(default_factory=list)
    uses_tcp_pool: bool = False
    alone: bool = True  # whether no other case is played at the same time; what the pools play is theirs then

    def __post_init__(self) -> None:
        self._serial, self._pings = itertools.count(1), itertools.count(1)
        self._pinger = self._join("pinger", "UDP", HOSTS["UDP"])
        self.user = f"user-{self.case}"
        for party in self.side.pools.values() if self.alone else ():
            party.heard, party.plays = [], {"": [200], "ACK": []}
        self.pool, self.spare, self.tcp_pool = self.side.pools.values()
        self.caller = self.client("caller", self.transport)

    # who takes part

    def client(self, name: str, transport: str = "UDP", host: str = "") -> Party:
        """A user agent with a socket, or a connection, of its own."""
        party = self._join(name, transport, host or HOSTS[transport])
        self.parties.append(party)
        return party

    def trunk(self) -> Party:
        """A client that both proxies trust to relay anywhere."""
        return self.client("trunk", "UDP", "127.0.0.2")

    def _join(self, name: str, transport: str, host: str) -> Party:
        party = Party(name)
        kind = DatagramPort if transport == "UDP" else StreamPort.connect
        party.port = kind(self.side.net, party.hear, self.side.proxy, host)
        party.address = party.port.address
        return party

    def phone(self, name: str, q: str = "", transport: str = "UDP", extra: Iterable[str] = ()) -> Party:
        """A client that is registered for `self.user`; its REGISTER is not part of the case."""
        party = self.client(name, transport)
        contact = f"Contact: {self.contact(party)}" + (f";q={q}" if q else "")
        self.register(party, contact, *extra, call=f"setup-{name}")
        final = [message.status for message in party.heard if message.status >= 200]  # 100 comes first from a slow disk
        assert final == [200], [message.start for message in party.heard]
        party.heard.clear()
        return party

    def contact(self, party: Party, transport: str = "") -> str:
        """The Contact of a party, with brackets."""
        kind = transport or party.port.transport
        return f"<sip:{party.name}@{party.address}{';transport=tcp' if kind == 'TCP' else ''}>"

    def register(
        self, party: Party, *lines: str, call: str = "reg", seq: int = 1, change: Change | None = None
    ) -> None:
        """A REGISTER, and its final response awaited: sipgw gives it when the store has committed."""
        change = {"To": f"To: <sip:{self.user}@contoso.com>", **(change or {})}
        branch = f"{call}-{seq}-{next(self._serial)}"
        message = self.request(
            "REGISTER", "sip:contoso.com", change, lines, sender=party, call=call, seq=seq, branch=branch
        )
        party.send(message)
        self.wait_for(
            lambda: any(branch in m.first("via") and m.status >= 200 for m in party.heard),
            f"an answer to REGISTER {seq}",
        )

    # what they send

    def request(
        self, method: str = "OPTIONS", uri: str = CHAT, change: Change | None = None, extra: Iterable[str] = (),
        body: bytes = b"", *, sender: Party | None = None, seq: int = 1, branch: str = "", call: str = "1",
    ) -> bytes:  # fmt: skip
        """A request; `change` gives whole other lines by header name, None drops one; key "start" is the start line.

        {caller}, {proxy} and the like stand for addresses.
        """
        sender = sender or self.caller
        lines: dict[str, str | None] = {
            "start": f"{method} {uri} SIP/2.0",
            "Via": f"Via: SIP/2.0/{sender.port.transport} {sender.address};branch={self.branch(branch)}",
            "Max-Forwards": "Max-Forwards: 70",
            "From": f"From: <sip:{sender.name}@contoso.com>;tag=tag-{sender.name}",
            "To": f"To: <{uri}>",
            "Call-ID": f"Call-ID: {self.case}.{call}",
            "CSeq": f"CSeq: {seq} {method}",
        }
        if method in _DIALOG:
            lines["Contact"] = f"Contact: {self.contact(sender)}"
        lines["more"] = "\r\n".join(extra) or None
        lines["Content-Length"] = f"Content-Length: {len(body)}"
        lines |= change or {}
        head = "\r\n".join([line for line in lines.values() if line is not None])
        return f"{self.fill(head)}\r\n\r\n".encode("latin-1") + body

    def branch(self, name: str = "") -> str:
        return f"z9hG4bK-{self.case}.{name or next(self._serial)}"

    def fill(self, text: str) -> str:
        for name, address in self.addresses().items():
            text = text.replace("{" + name + "}", address)
        return text.replace("{user}", self.user).replace("{case}", self.case)

    def addresses(self) -> dict[str, str]:
        """By name, host:port."""
        people = {party.name: party.address for party in (*self.side.pools.values(), *self.parties)}
        return {"proxy": "{}:{}".format(*self.side.proxy), **people}

    def inside(self, method: str, seq: int = 2, change: Change | None = None, **more: object) -> bytes:
        """A request of the caller in the dialog of its first 2xx to an INVITE or SUBSCRIBE."""
        answer = next(m for m in self.caller.heard if 180 <= m.status < 300 and m.tag and m.first("contact"))
        routes = [f"Route: {value}" for value in reversed(_values(answer, "record-route"))]
        lines = {"Via": None, "To": f"To: {answer.first('to')}", **(change or {})}
        own = {"Via": self._via(self.caller, str(more.pop("branch", ""))) + "".join(f"\r\n{line}" for line in routes)}
        merged = {**lines, **own} if lines["Via"] is None else lines
        return self.request(method, _uri(answer.first("contact")), merged, seq=seq, **more)  # type: ignore[arg-type]

    def back(self, callee: Party, method: str, seq: int = 1, change: Change | None = None, body: bytes = b"") -> None:
        """Send a request of the callee in the dialog that the first request to it opened."""
        invite = next(m for m in callee.heard if m.method and not m.tag)
        routes = [f"\r\nRoute: {value}" for value in _values(invite, "record-route")]
        lines = {
            "Via": f"Via: SIP/2.0/{'TCP' if callee is self.tcp_pool else 'UDP'} {callee.address};"
            f"branch={self.branch()}" + "".join(routes),
            "From": f"From: {invite.first('to')};tag=tag-{callee.name}",
            "To": f"To: {invite.first('from')}",
            "Call-ID": f"Call-ID: {invite.first('call-id')}",
            **(change or {}),
        }
        invite.channel.send(self.request(method, _uri(invite.first("contact")), lines, body=body, seq=seq))

    def _via(self, sender: Party, branch: str = "") -> str:
        return f"Via: SIP/2.0/{sender.port.transport} {sender.address};branch={self.branch(branch)}"

    # until nothing more happens

    def settle(self) -> None:
        for _ in range(ROUNDS):
            before = self._count()
            self._ping(self._pinger)
            for party in self.parties:
                if not party.port.closed:
                    self._ping(party)
            if self.uses_tcp_pool:
                self._ping(self._pinger, TCP_CHAT)
            while self.side.net.poll(0):
                pass
            if self._count() == before:
                return
        raise AssertionError("it never ends")

    def settle_answered(self, party: Party) -> None:
        """For where the proxy has to do what no ping waits for, such as connecting: the final response first."""
        self.wait_for(lambda: any(message.status >= 200 for message in party.heard), "the final response")
        self.settle()

    def heard_by(self, party: Party) -> list[Message]:
        """What a party heard of this case; of a case played beside others each message once."""
        mine = f"{self.case}."
        if party in self.side.pools.values():
            heard = [message for message in party.heard if any(mine in value for _, value in message.lines)]
        else:
            heard = party.heard
        if self.alone:
            return heard
        first: dict[object, Message] = {}
        for message in heard:
            first.setdefault((message.start, *message.lines), message)
        return [*first.values()]

    def _count(self) -> int:
        return sum(len(self.heard_by(party)) for party in (*self.side.pools.values(), *self.parties))

    def _ping(self, party: Party, uri: str = "") -> None:
        call_id = f"ping-{self.case}.{next(self._pings)}"
        change = {"Call-ID": f"Call-ID: {call_id}"}
        ping = self.request(uri=uri or "sip:{proxy}", change=change, sender=party, branch=call_id)
        party.send(ping)
        self.wait_for(lambda: call_id in party.pongs or party.port.closed, "the answer to a ping")

    def wait_for(self, happened: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + ANSWER
        while not happened():
            assert time.monotonic() < end, f"{self.side.name}: {what} does not come"
            self.side.net.poll(0.2)

    def tidy(self) -> None:
        """Answer what was left open, so that the proxy has nothing to wait for, and show that the servers work."""
        for party in (*self.side.pools.values(), *self.parties):
            for request in self.heard_by(party):
                if request.method == "INVITE":
                    party.answer(request, 486)
        self.settle()
        for uri in (CHAT, SPARE_CHAT):
            self._ping(self._pinger, uri)

    def close(self) -> None:
        for party in (self._pinger, *self.parties):
            party.port.close()


def _values(message: Message, name: str) -> list[str]:
    return [value.strip() for line in message.all(name) for value in line.split(",")]


def _uri(contact: str) -> str:
    return contact.partition("<")[2].partition(">")[0]


def reply_later(party: Party, *methods: str) -> None:
    """The party answers these methods only when told to."""
    for method in methods:
        party.plays[method] = []
