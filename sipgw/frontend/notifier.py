"""The NOTIFY that follows a SUBSCRIBE of a client that does not take it with the 200 (RFC 6665 §4.2.2).

One, as nothing changes afterwards, and no state: the subscription is told by the To tag, and the NOTIFY takes its
sequence number from the SUBSCRIBE, which is higher with every one of a dialog.
"""

from typing import TYPE_CHECKING

from sipgw.core.dialog import Dialog
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy

MAX_UNANSWERED = 1000  # NOTIFYs under way; beyond it subscribers are left with their 200
PIGGYBACK = "ms-piggyback-first-notify"
_MARK = "-notify"  # ends the To tag of those subscriptions


class Notifier:
    """`notify` sends; as the user of the NOTIFY's transaction it only keeps count."""

    def __init__(self, proxy: "Proxy") -> None:
        self._proxy = proxy
        self._unanswered = 0

    @staticmethod
    def is_owed(request: Request) -> bool:
        """Whether the subscriber expects a NOTIFY."""
        if request.to_tag:
            return request.to_tag.endswith(_MARK)
        return PIGGYBACK not in request.tokens("supported")

    def new_tag(self) -> str:
        return self._proxy.layer.new_tag() + _MARK

    def notify(
        self,
        transaction: ServerTransaction,
        request: Request,
        response: Response,
        headers: list[str],
        body: str,
        now: float,
    ) -> None:
        """Send the notification of a subscription that `response` has granted, the way that the SUBSCRIBE came."""
        layer, flow = self._proxy.layer, transaction.flow
        if self._unanswered >= MAX_UNANSWERED:
            layer.counters["notifications_unsent"] += 1
            return
        sent_by, branch = self._proxy.sent_by(flow), layer.new_branch()
        local, remote = response.first("to") or "", request.first("from") or ""
        try:
            target = parse_name_addr((request.values("contact") or [remote])[0]).uri
            parse_uri(target)
            dialog = Dialog(request.call_id, local, remote, target, request.values("record-route"), flow)
            via, number = f"SIP/2.0/{flow.transport} {sent_by};branch={branch}", request.cseq.number
            notice = dialog.request("NOTIFY", via, headers, body.encode(), cseq=number)
        except MalformedMessage:
            return  # there is no way to tell
        self._unanswered += 1
        layer.send_request(self, notice, branch, flow, now, sent_by=sent_by)

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 200:
            self._unanswered -= 1

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        self._unanswered -= 1
