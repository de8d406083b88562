"""Tells a Lync client that its registration has ended ([MS-SIPREGE] §3.2): MaxEndpointsPerUser was exceeded.

The client's own REGISTER carried `Event: registration`, which is the subscription that this notification ends. It goes
down the client's connection, once, and nobody waits for what the client says to it.
"""

from typing import TYPE_CHECKING

from sipgw.core.gruu import aor_uri
from sipgw.core.location import Binding, Subscription
from sipgw.events import Flow, Log
from sipgw.message.build import new_request
from sipgw.message.message import Request, Response
from sipgw.transaction.client import ClientTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy

MAX_UNANSWERED = 1000  # NOTIFYs under way; beyond it clients find out by being left alone
_BODY = b"deregistered;event=unregistered"
_REASON = '4140;reason="Signed in at more endpoints than are allowed; the oldest was signed out"'


class Deregistration:
    """`tell` sends; as the user of the NOTIFY's transaction it only keeps count."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy
        self._unanswered = 0

    def tell(self, binding: Binding, now: float) -> None:
        """Notify the endpoint of a binding that was removed, where it is a Lync client and connected."""
        subscription, flow = binding.subscription, binding.flow
        layer = self._proxy.layer
        fields = {"user": binding.aor, "contact": binding.contact, "source": binding.received}
        layer.out.append(Log("info", "signed out by a further endpoint", fields))
        if subscription is None or flow is None:
            return
        listener = self._proxy.router.own.towards(flow)
        sent_by = listener.sent_by if listener is not None else "invalid"
        branch = layer.new_branch()
        request = _notification(binding, subscription, flow, sent_by, branch)
        if subscription.best_effort:
            layer.send(request, flow)
        elif self._unanswered < MAX_UNANSWERED:
            self._unanswered += 1
            layer.send_request(self, request, branch, flow, now, sent_by=sent_by)
        else:
            layer.counters["deregistrations_untold"] += 1

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 200:
            self._unanswered -= 1

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self._unanswered -= 1


def _notification(binding: Binding, subscription: Subscription, flow: Flow, sent_by: str, branch: str) -> Request:
    method = "BENOTIFY" if subscription.best_effort else "NOTIFY"
    user = aor_uri(binding.aor)
    epid = f";epid={binding.epid}" if binding.epid else ""
    transport = flow.transport.lower()
    lines = [
        f"Via: SIP/2.0/{flow.transport} {sent_by};branch={branch}",
        "Max-Forwards: 70",
        f"From: <{user}>;tag={subscription.local_tag}",
        f"To: <{user}>;tag={subscription.remote_tag}{epid}",
        f"Call-ID: {binding.call_id}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:{sent_by};transport={transport}>",
        "Event: registration-notify",
        "subscription-state: terminated;expires=0",
        f"ms-diagnostics-public: {_REASON}",
        "Content-Type: text/registration-event",
    ]
    return new_request(method, binding.contact, lines, _BODY)
