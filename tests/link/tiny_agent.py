"""A user agent of the tests' own above the tiny transactions: it calls, asks and answers, and writes down the end."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.harness import CONTACT_OBJECT, DOMAIN, GATEWAY
from tests.link import plays
from tests.link.network import Connection, Network, Node
from tests.link.record import NONE, Heard, Record
from tests.link.tiny_transactions import LONG, T1, T2, Text, TinyClient, TinyLayer, TinyServer, Way

RING_AFTER = 0.05  # seconds until a party that does not answer at once rings
RING_LIMIT = 400.0  # longer than anybody waits; a CANCEL may never reach it
Done = Callable[["Text | None"], None]


@dataclass(frozen=True)
class Step:
    """Something that a caller does `at` a moment: calls, asks, or registers.

    `parts` say what the called do. A call has `infos` INFOs and is ended `talk` seconds after its answer; it is
    cancelled after `patience` seconds.
    """

    kind: str  # "call", or a method
    at: float
    callee: str = CONTACT_OBJECT
    parts: tuple[tuple[str, plays.Part], ...] = ()
    infos: int = 0
    talk: float = 1.0
    patience: float = 90.0

    @property
    def play(self) -> tuple[str, str]:
        return plays.HEADER, plays.write(dict(self.parts))


@dataclass
class TinyDialog:
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    cseq: int = 1
    over: bool = False


class TinyAgent:
    """One user at one address; every request goes to the gateway."""

    def __init__(self, net: Network, name: str, user: str, host: str, port: int, transport: str) -> None:
        self.net = net
        self.name = name
        self.user = user
        self.host = host
        self.port = port
        self.transport = transport
        self.layer = TinyLayer(net, self)
        self.layer.on_request, self.layer.on_ack, self.layer.on_stray = self.on_request, self.on_ack, self.on_stray
        self.record = Record()
        self.dialogs: dict[tuple[str, str, str], TinyDialog] = {}
        self.unacknowledged: set[tuple[str, str]] = set()
        self.calls: dict[str, TinyCall] = {}
        self._connection: Connection | None = None
        self._serial = 0
        self._registrations = 0
        net.add(self)

    @property
    def transactions(self) -> tuple[int, int]:
        """How many are alive of clients, of servers; a 2xx that is being repeated counts for one of a server."""
        return len(self.layer.clients), len(self.layer.servers) + len(self.unacknowledged)

    # what the network calls

    def receive(self, data: bytes, source: Node, connection: Connection | None) -> None:
        self.layer.receive(data, Way(source.host, source.port, connection))

    def connected(self, connection: Connection) -> None:
        self._connection = connection

    def lost(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None
        self.layer.lost(connection)

    # asking

    def way(self) -> Way:
        if self.transport == "UDP":
            return Way(GATEWAY, 5060)
        if self._connection is None:
            self._connection = self.net.dial(self, GATEWAY, 5060)
        return Way(GATEWAY, 5060, self._connection)

    @property
    def contact(self) -> str:
        tail = "" if self.transport == "UDP" else ";transport=tcp"
        return f"<sip:{self.user}@{self.host}:{self.port}{tail}>"

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def via(self) -> tuple[str, str]:
        return "via", f"SIP/2.0/{self.transport} {self.host}:{self.port};branch=z9hG4bK{self.name}x{self.serial()}"

    def outside(self, method: str, uri: str, to: str, call_id: str, cseq: int, *extra: tuple[str, str]) -> Text:
        sender = f"<sip:{self.user}@{DOMAIN}>;tag={self.name}{self.serial()}"
        fields = [self.via(), ("max-forwards", "70"), ("from", sender), ("to", f"<{to}>"), ("call-id", call_id)]
        return Text(f"{method} {uri} SIP/2.0", [*fields, ("cseq", f"{cseq} {method}"), *extra])

    def inside(self, dialog: TinyDialog, method: str, cseq: int, *extra: tuple[str, str]) -> Text:
        fields = [self.via(), *[("route", route) for route in dialog.routes], ("max-forwards", "70")]
        fields += [("from", dialog.local), ("to", dialog.remote), ("call-id", dialog.call_id)]
        return Text(f"{method} {dialog.target} SIP/2.0", [*fields, ("cseq", f"{cseq} {method}"), *extra])

    def ask(self, request: Text, done: Done) -> TinyClient:
        """Send; note what it came to, then tell `done`."""
        label = f"{request.get('call-id')} {request.get('cseq')} {request.branch}"
        self.record.asks(label, request.branch, request.method)

        def tell(response: Text | None) -> None:
            if response is None or response.status >= 200:
                if response is None or not (request.method == "INVITE" and response.status < 300):
                    self.record.ends(label, response.status if response else NONE, self.net.now)
                done(response)

        return TinyClient(self.layer, request, self.way(), tell)

    def in_dialog(self, dialog: TinyDialog, method: str, done: Done, *extra: tuple[str, str]) -> None:
        dialog.cseq += 1
        self.ask(self.inside(dialog, method, dialog.cseq, *extra), done)

    # steps

    def do(self, step: Step) -> None:
        if step.kind == "call":
            call = TinyCall(self, step)
            self.calls[call.request.get("call-id")] = call
        elif step.kind == "REGISTER":
            self.register()
        else:
            extra = [step.play, ("contact", self.contact), ("event", "test"), ("expires", "60")]
            wanted = extra if step.kind == "SUBSCRIBE" else extra[:1]
            call_id = f"{self.name}-{step.kind}-{self.serial()}"
            self.ask(self.outside(step.kind, step.callee, step.callee, call_id, 1, *wanted), nothing)

    def register(self) -> None:
        self._registrations += 1
        aor, extra = f"sip:{self.user}@{DOMAIN}", [("contact", self.contact), ("expires", "600")]
        self.ask(
            self.outside("REGISTER", f"sip:{DOMAIN}", aor, f"{self.name}-registration", self._registrations, *extra),
            nothing,
        )

    # answering

    def on_request(self, server: TinyServer) -> None:
        request = server.request
        tags = request.tag("from"), request.tag("to")
        what = (server.method, request.get("call-id"), request.get("cseq"), *tags)
        self.record.heard.append(Heard(what, request.branch, self.net.now))
        if server.method == "CANCEL":
            self.cancelled(server)
        elif tags[1]:
            self.asked_inside(server)
        else:
            self.play(server)

    def cancelled(self, cancel: TinyServer) -> None:
        invite = self.layer.servers.get((cancel.key[0], cancel.key[1], "INVITE"))
        cancel.respond(cancel.request.response(200 if invite is not None else 481, self.new_tag()))
        if invite is not None:
            invite.respond(invite.request.response(487, self.new_tag()))

    def asked_inside(self, server: TinyServer) -> None:
        request = server.request
        key = request.get("call-id"), request.tag("to"), request.tag("from")
        dialog = self.dialogs.get(key)
        if server.method == "NOTIFY" and request.get("call-id").startswith(self.name):
            server.respond(request.response(200))
        elif dialog is None:
            server.respond(request.response(481))
        else:
            if server.method == "BYE":
                self.end(dialog, key)
            server.respond(request.response(200))

    def end(self, dialog: TinyDialog, key: tuple[str, str, str]) -> None:
        dialog.over = True
        self.dialogs.pop(key, None)
        self.unacknowledged.discard((key[0], key[1]))

    def play(self, server: TinyServer) -> None:
        part = plays.read(server.request.get(plays.HEADER), self.name)
        tag = self.new_tag()
        if server.method == "INVITE" and (part.after or not part.status):
            self.net.after(RING_AFTER, lambda: server.respond(server.request.response(180, tag)))
        if part.status:
            self.net.after(part.after, lambda: self.answer(server, part.status, tag))
        elif server.method == "INVITE":
            self.net.after(RING_LIMIT, lambda: self.answer(server, 480, tag))
        elif server.method != "INVITE":
            self.net.after(LONG * 2, server.gone)  # copies come for 64*T1, and are late

    def answer(self, server: TinyServer, status: int, tag: str) -> None:
        if server.state != "waiting":
            return  # cancelled
        request = server.request
        if status >= 300 or server.method not in ("INVITE", "SUBSCRIBE"):
            server.respond(request.response(status, tag))
            return
        routes = request.all("record-route")
        extra = [("contact", self.contact), *[("record-route", route) for route in routes]]
        server.respond(request.response(status, tag, *extra))
        local = f"{request.get('to')};tag={tag}"
        dialog = TinyDialog(request.get("call-id"), local, request.get("from"), request.uri("contact"), routes, 0)
        key = dialog.call_id, tag, request.tag("from")
        self.dialogs[key] = dialog
        if server.method == "SUBSCRIBE":
            self.end(dialog, key)
            extra = [("event", "test"), ("subscription-state", "terminated"), ("contact", self.contact)]
            self.in_dialog(dialog, "NOTIFY", nothing, *extra)
        else:
            self.repeat_until_ack(server, dialog, key)

    def repeat_until_ack(self, server: TinyServer, dialog: TinyDialog, key: tuple[str, str, str]) -> None:
        """§13.3.1.4."""
        mark = key[0], key[1]
        self.unacknowledged.add(mark)

        def again(interval: float, end: float) -> None:
            if mark not in self.unacknowledged:
                return
            if self.net.now >= end:
                self.end(dialog, key)
                self.in_dialog(dialog, "BYE", nothing)
            else:
                server.repeat()
                following = min(T2, interval * 2)
                self.net.after(following, lambda: again(following, end))

        end = self.net.now + LONG
        self.net.after(T1, lambda: again(T1, end))

    def on_ack(self, ack: Text) -> None:
        self.unacknowledged.discard((ack.get("call-id"), ack.tag("to")))

    def on_stray(self, response: Text) -> None:
        call = self.calls.get(response.get("call-id"))
        if call is not None and response.method == "INVITE" and response.status // 100 == 2:
            call.answered(response)

    def new_tag(self) -> str:
        return f"{self.name}t{self.serial()}"


class TinyCall:
    """The caller's side of one call (§13.2, §9.1). `answers` has an entry for each To tag of a 2xx."""

    def __init__(self, agent: TinyAgent, step: Step) -> None:
        self.agent = agent
        self.step = step
        self.acks: dict[str, bytes] = {}
        self.hang_up = self.decided = False
        call_id = f"{agent.name}-call-{agent.serial()}"
        extra = (step.play, ("contact", agent.contact))
        self.request = agent.outside("INVITE", step.callee, step.callee, call_id, 1, *extra)
        self.client = agent.ask(self.request, self.told)
        self.label = f"{call_id} 1 INVITE {self.request.branch}"
        agent.net.after(step.patience, self.cancel)

    def told(self, response: Text | None) -> None:
        if response is not None and response.status < 300:
            self.answered(response)
        else:
            self.decided = True

    def cancel(self) -> None:
        """Once the other side has shown a sign of life (§9.1)."""
        if self.decided or self.hang_up:
            return
        if self.client.state == "waiting":
            self.agent.net.after(0.1, self.cancel)
            return
        self.hang_up = True
        number = self.request.get("cseq").split()[0]
        kept = [pair for pair in self.request.fields if pair[0] in ("via", "max-forwards", "from", "to", "call-id")]
        request = Text(self.request.first.replace("INVITE", "CANCEL", 1), [*kept, ("cseq", f"{number} CANCEL")])
        self.agent.ask(request, nothing)
        self.agent.net.after(LONG, lambda: self.client.give_up(although_ringing=True))

    def answered(self, ok: Text) -> None:
        """A 2xx: acknowledged as often as it comes; the first one is the call, what another branch answers is ended."""
        agent, tag = self.agent, ok.tag("to")
        if tag not in self.acks:
            routes = ok.all("record-route")[::-1]
            dialog = TinyDialog(
                ok.get("call-id"), self.request.get("from"), ok.get("to"), ok.uri("contact"), routes, cseq=1
            )
            agent.dialogs[dialog.call_id, ok.tag("from"), tag] = dialog
            self.acks[tag] = agent.inside(dialog, "ACK", 1).encode()
            agent.layer.put(self.acks[tag], agent.way())
            if self.decided or self.hang_up:
                self.bye(dialog)
            else:
                self.talk(dialog, self.step.infos)
            if not self.decided:
                agent.record.ends(self.label, ok.status, agent.net.now)
            self.decided = True
        else:
            agent.layer.put(self.acks[tag], agent.way())

    def talk(self, dialog: TinyDialog, infos: int) -> None:
        if dialog.over:
            return
        if infos:
            self.agent.in_dialog(dialog, "INFO", lambda response: self.talk(dialog, infos - 1))
        else:
            self.agent.net.after(self.step.talk, lambda: self.bye(dialog))

    def bye(self, dialog: TinyDialog) -> None:
        if not dialog.over:
            agent = self.agent
            agent.end(dialog, (dialog.call_id, Text("", [("from", dialog.local)]).tag("from"), _tag(dialog.remote)))
            agent.in_dialog(dialog, "BYE", nothing)


def _tag(side: str) -> str:
    return Text("", [("to", side)]).tag("to")


def nothing(response: Text | None) -> None:
    """Whoever asked only wanted it written down."""
