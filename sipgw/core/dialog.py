"""Dialogs as a user agent holds them (RFC 3261 §12)."""

from sipgw.events import Flow, Hop
from sipgw.message.build import new_request
from sipgw.message.message import Request, Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr

DialogId = tuple[str, str, str]  # Call-ID, local tag, remote tag


class Dialog:
    """One side of a dialog. `to` is where its requests are sent: the connection or address that it was set up over."""

    __slots__ = (
        "call_id",
        "local",
        "local_seq",
        "local_tag",
        "remote",
        "remote_seq",
        "remote_tag",
        "routes",
        "target",
        "to",
    )

    def __init__(self, call_id: str, local: str, remote: str, target: str, routes: list[str], to: Flow | Hop) -> None:
        self.call_id = call_id
        self.local = local  # From value of our requests, tag included
        self.remote = remote
        self.local_tag = parse_name_addr(local).tag
        self.remote_tag = parse_name_addr(remote).tag
        self.target = target
        self.routes = routes
        self.local_seq = 0
        self.remote_seq = 0
        self.to = to

    @classmethod
    def from_request(cls, request: Request, local_tag: str, to: Flow | Hop) -> "Dialog":
        """The UAS side (§12.1.1). Raises MalformedMessage when the Contact cannot be read."""
        target = parse_name_addr((request.values("contact") or [request.first("from") or ""])[0]).uri
        parse_uri(target)
        local = f"{request.first('to')};tag={local_tag}"
        remote = request.first("from") or ""
        dialog = cls(request.call_id, local, remote, target, request.values("record-route"), to)
        dialog.remote_seq = request.cseq.number
        return dialog

    @classmethod
    def from_response(cls, request: Request, response: Response, to: Flow | Hop) -> "Dialog":
        """The UAC side (§12.1.2): the route set is the Record-Route reversed. Raises MalformedMessage."""
        contacts = response.values("contact")
        target = parse_name_addr(contacts[0]).uri if contacts else request.uri
        routes = response.values("record-route")[::-1]
        dialog = cls(request.call_id, request.first("from") or "", response.first("to") or "", target, routes, to)
        dialog.local_seq = request.cseq.number
        return dialog

    @property
    def id(self) -> DialogId:
        return self.call_id, self.local_tag, self.remote_tag

    def request(self, method: str, via: str, headers: list[str], body: bytes = b"", cseq: int | None = None) -> Request:
        """A request inside the dialog (§12.2.1.1); `cseq` is given for an ACK, which has the number of its INVITE."""
        if cseq is None:
            self.local_seq += 1
            cseq = self.local_seq
        uri, routes = self._way()
        lines = [
            f"Via: {via}",
            *[f"Route: {route}" for route in routes],
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            *headers,
        ]
        return new_request(method, uri, lines, body)

    def _way(self) -> tuple[str, list[str]]:
        """Request-URI and Route of a request: a strict router first in the route set takes the former (§12.2.1.1)."""
        if self.routes:
            first = parse_name_addr(self.routes[0]).uri
            if "lr" not in parse_uri(first).params:
                return first, [*self.routes[1:], f"<{self.target}>"]
        return self.target, self.routes

    def in_order(self, request: Request) -> bool:
        """Note the CSeq of a request from the peer; False when it is not higher than the last (§12.2.2)."""
        number = request.cseq.number
        if number <= self.remote_seq:
            return False
        self.remote_seq = number
        return True


def dialog_id(request: Request) -> DialogId:
    """The dialog that a received request names, from our side."""
    return request.call_id, request.to_tag, request.from_tag
