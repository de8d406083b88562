"""The door: while nothing new is taken, a new request is turned down before it is read.

Under twice the load that can be carried most of what comes is turned down, so what that costs is taken from the calls
that go on. Nothing here decides otherwise than the long way would: it answers the same bytes.
"""

from sipgw.core.admission import EXEMPT, Admission
from sipgw.events import Flow, Send
from sipgw.message.glance import Glance, glance
from sipgw.message.values import MAGIC_COOKIE
from sipgw.transaction.layer import TransactionLayer
from sipgw.transport.via import reply_flow, stamped

_STATUS = "SIP/2.0 503 Service Unavailable"


class Door:
    """Turns down by `layer`, which sends and counts, what `admission` would not admit. `max_headers` and `max_body` (in
    bytes) are what the parser has for bounds."""

    def __init__(self, layer: TransactionLayer, admission: Admission, max_headers: int, max_body: int) -> None:
        self._layer = layer
        self._admission = admission
        self._max_headers = max_headers
        self._max_body = max_body

    def deals_with(self, data: bytes, flow: Flow) -> bool:
        """Whether there is nothing more to be done about a message. Only to be asked while nothing new is taken."""
        request = glance(data, self._max_headers, self._max_body)
        if request is None or not _has_cookie(request.via.branch):
            return False
        via = stamped(request.via, flow)
        if via is not None:
            request.via, request.lines[request.via_at] = via, f"Via: {via.encode()}"
        if request.method == "ACK":
            return self._drops(request)
        if request.method in EXEMPT or "tag=" in request.to or self._layer.knows(request.via, request.method):
            return False
        self._turn_down(request, flow)
        return True

    def _drops(self, ack: Glance) -> bool:
        """An ACK to a response of ours that left no state is of no use to anybody (§8.2.7)."""
        if ack.to.partition(";tag=")[2].partition(";")[0] != self._tag(ack):
            return False
        self._layer.counters["ack_dropped"] += 1
        return True

    def _turn_down(self, request: Glance, flow: Flow) -> None:
        layer = self._layer
        self._admission.note_shut()
        layer.note_refusal()
        request.lines[request.to_at] += f";tag={self._tag(request)}"
        lines = [_STATUS, *request.lines, *layer.overload_headers, "Content-Length: 0\r\n\r\n"]
        layer.out.append(Send("\r\n".join(lines).encode("latin-1"), reply_flow(request.via, flow)))

    def _tag(self, request: Glance) -> str:
        via = request.lines[request.via_at].partition(":")[2].strip(" \t")
        return self._layer.tag_of(via, request.call_id, request.sender, request.number)


def _has_cookie(branch: str) -> bool:
    return branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE)
