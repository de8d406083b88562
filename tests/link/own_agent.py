"""The project's user agent on the network: as a pool that answers at once, and as a caller that does not cancel."""

from collections.abc import Callable
from random import Random

from sipgw.core.dialog import Dialog, DialogId
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Listener
from sipgw.message.message import Request, Response
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.timers import TimerValues
from tests.harness import DOMAIN, GATEWAY
from tests.link import plays
from tests.link.network import Network
from tests.link.record import NONE, Heard, Record
from tests.link.stacks import StackNode
from tests.link.tiny_agent import Step


class AgentNode(StackNode):
    """One user at one address."""

    def __init__(self, net: Network, name: str, user: str, host: str, port: int, transport: str, seed: int) -> None:
        listener = Listener(transport, host, port, f"{host}:{port}")
        self.agent = UserAgent([listener], Random(seed), TimerValues())
        self.agent.application = self
        super().__init__(net, name, host, port, transport, self.agent)
        self.user = user
        self.record = Record()
        self._serial = 0

    @property
    def contact(self) -> str:
        tail = "" if self.transport == "UDP" else ";transport=tcp"
        return f"Contact: <sip:{self.user}@{self.host}:{self.port}{tail}>"

    @property
    def dialogs(self) -> dict[DialogId, Dialog]:
        return self.agent.dialogs

    @property
    def transactions(self) -> tuple[int, int]:
        """How many are alive of clients, of servers; a 2xx that is being repeated counts for one of a server."""
        servers, clients = self.agent.layer.size
        return clients, servers + len(self.agent._unacknowledged)

    # as the called party

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        request = transaction.request
        sequence = request.first("cseq") or ""
        what = transaction.method, request.call_id, sequence, request.from_tag, request.to_tag
        self.record.heard.append(Heard(what, request.via.branch, now))
        status = plays.read(request.first(plays.HEADER) or "", self.name).status or 480
        if dialog is not None:
            if transaction.method == "BYE":
                self.agent.forget(dialog)
            self.agent.answer(transaction, 200, now)
        elif transaction.method == "INVITE" and status == 200:
            self.agent.accept(transaction, [self.contact], b"", "", now)
        else:
            self.agent.answer(transaction, status, now)

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        """Its BYE is on the way."""

    # as the calling party

    def way(self) -> Flow | Hop:
        if self.transport == "UDP":
            return Flow("UDP", GATEWAY, 5060, self.listener)
        return Hop("TCP", GATEWAY, 5060)

    def do(self, step: Step) -> None:
        """A call, or a request outside any dialog."""
        method = "INVITE" if step.kind == "call" else step.kind
        self._serial += 1
        call_id = f"{self.name}-{method}-{self._serial}"
        label = f"{call_id} 1 {method}"
        sender = f"From: <sip:{self.user}@{DOMAIN}>;tag={self.name}{self._serial}"
        headers = [sender, f"To: <{step.callee}>", f"Call-ID: {call_id}", f"CSeq: 1 {method}", self.contact]
        made: list[Request] = []

        def done(response: Response | None, reason: str, now: float) -> None:
            self.record.ends(label, response.status if response else NONE, now)
            if method == "INVITE" and response is not None and response.status < 300:
                self._answered(made[0], response, step, now)

        play = f"{plays.HEADER}: {step.play[1]}"
        request = self.agent.send_outside(method, step.callee, self.way(), [*headers, play], self.net.now, done)
        made.append(request)
        self.record.asks(label, request.via.branch, method)
        self.perform(self.agent.outputs())

    def _answered(self, request: Request, response: Response, step: Step, now: float) -> None:
        dialog = self.agent.establish(request, response, self.way(), now)
        self.perform(self.agent.outputs())
        self._talk(dialog, step, step.infos)

    def _talk(self, dialog: Dialog, step: Step, infos: int) -> None:
        if infos:
            self._ask(dialog, "INFO", lambda: self._talk(dialog, step, infos - 1))
        else:
            self.net.after(step.talk, lambda: self._hang_up(dialog))

    def _ask(self, dialog: Dialog, method: str, then: Callable[[], None]) -> None:
        label = f"{dialog.call_id} {dialog.local_seq + 1} {method}"

        def done(response: Response | None, reason: str, now: float) -> None:
            self.record.ends(label, response.status if response else NONE, now)
            self.net.after(0.0, then)

        self.record.asks(label)
        if method == "BYE":
            self.agent.bye(dialog, self.net.now, done)
        else:
            self.agent.send(dialog, method, self.net.now, done, [])
        self.perform(self.agent.outputs())

    def _hang_up(self, dialog: Dialog) -> None:
        if dialog.id in self.agent.dialogs:
            self._ask(dialog, "BYE", lambda: None)
