"""Two user agents of ours and a wire between them that loses what a test says."""

from collections.abc import Callable
from random import Random
from typing import Any

from sipgw.core.dialog import Dialog
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Listener, Output, Send
from sipgw.message import Message, Request, Response, parse_message
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.timers import TimerValues

CALLER, CALLED = "198.51.100.7", "198.51.100.8"


def name_of(message: Message) -> str:
    """`INVITE`, or `200 INVITE`."""
    if isinstance(message, Request):
        return message.method
    assert isinstance(message, Response)
    return f"{message.status} {message.cseq.method}"


class End:
    """One agent with an application that accepts every INVITE and answers all else 200."""

    def __init__(self, wire: "Wire", host: str, transport: str, seed: int) -> None:
        self.wire = wire
        self.host = host
        self.transport = transport
        self.listener = Listener(transport, host, 5060, f"{host}:5060")
        self.agent = UserAgent([self.listener], Random(seed), TimerValues())
        self.agent.application = self
        self.contact = f"Contact: <sip:agent@{host}:5060>"
        self.waiting: list[ServerTransaction] = []
        self.dialog: Any = None
        self.heard: list[str] = []
        self.lost: list[str] = []
        self.answers: list[tuple[int, str]] = []
        self.auto = True

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        self.heard.append(transaction.method)
        if not self.auto:
            self.waiting.append(transaction)
        elif transaction.method == "INVITE" and dialog is None:
            self.dialog = self.agent.accept(transaction, [self.contact], b"", "", now)
        elif transaction.method == "BYE" and dialog is not None:
            self.agent.forget(dialog)
            self.agent.answer(transaction, 200, now)
        else:
            self.agent.answer(transaction, 200, now, [self.contact])

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        self.lost.append(reason)

    # what it does

    def invite(self, uri: str = f"sip:agent@{CALLED}") -> None:
        """Call the other end; every 2xx that the agent reports opens a dialog."""
        layer, now = self.agent.layer, self.wire.now
        headers = [f"From: <sip:caller@{CALLER}>;tag={layer.new_tag()}", f"To: <{uri}>", f"Call-ID: {layer.new_tag()}"]
        request: Request

        def done(response: Response | None, reason: str, at: float) -> None:
            self.answers.append((response.status if response else 0, reason))
            if response is not None and response.status < 300:
                self.dialog = self.agent.establish(request, response, self.towards(), at)

        request = self.agent.send_outside(
            "INVITE", uri, self.towards(), [*headers, "CSeq: 1 INVITE", self.contact], now, done
        )
        self.wire.carry(self, self.agent.outputs())

    def ask(self, method: str, *headers: str) -> None:
        """A request inside the dialog."""

        def done(response: Response | None, reason: str, at: float) -> None:
            self.answers.append((response.status if response else 0, reason))

        self.agent.send(self.dialog, method, self.wire.now, done, list(headers))
        self.wire.carry(self, self.agent.outputs())

    def hang_up(self) -> None:
        def done(response: Response | None, reason: str, at: float) -> None:
            self.answers.append((response.status if response else 0, reason))

        self.agent.bye(self.dialog, self.wire.now, done)
        self.wire.carry(self, self.agent.outputs())

    def towards(self) -> Flow | Hop:
        return self.wire.way(self)


class Wire:
    """Carries at once, in order. `loses` is asked about each message with its number among those of its name."""

    def __init__(self, transport: str = "UDP") -> None:
        self.now = 100.0
        self.caller = End(self, CALLER, transport, 1)
        self.called = End(self, CALLED, transport, 2)
        self.loses: Callable[[str, int], bool] = lambda name, number: False
        self.log: list[str] = []
        self.seen: list[Message] = []
        self._numbers: dict[str, int] = {}
        for end in (self.caller, self.called):
            if transport != "UDP":
                end.agent.connected(self._flow(end))

    def _flow(self, end: End) -> Flow:
        """How an end sees the other."""
        other = CALLED if end.host == CALLER else CALLER
        return Flow(end.transport, other, 5060, end.listener, 0 if end.transport == "UDP" else 7)

    def way(self, end: End) -> Flow:
        return self._flow(end)

    def carry(self, source: End, outputs: list[Output]) -> None:
        other = self.called if source is self.caller else self.caller
        for output in outputs:
            if not isinstance(output, Send):
                continue
            message = parse_message(output.data)
            self.seen.append(message)
            name = name_of(message)
            number = self._numbers[name] = self._numbers.get(name, 0) + 1
            self.log.append(name)
            if not self.loses(name, number):
                self.carry(other, other.agent.receive(output.data, self._flow(other), self.now))

    def put(self, to: End, message: Message | bytes) -> list[Message]:
        """A message of a third party's making; returns what is answered, which goes nowhere else."""
        data = message if isinstance(message, bytes) else message.encode()
        outputs = to.agent.receive(data, self._flow(to), self.now)
        return [parse_message(output.data) for output in outputs if isinstance(output, Send)]

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = [(at, end_) for end_ in (self.caller, self.called) if (at := end_.agent.next_deadline()) is not None]
            if not due or min(due, key=lambda item: item[0])[0] > end:
                break
            at, first = min(due, key=lambda item: item[0])
            self.now = max(self.now, at)
            self.carry(first, first.agent.handle_timers(self.now))
        self.now = end

    def take(self) -> list[str]:
        """What was on the wire since the last time."""
        log, self.log = self.log, []
        return log
