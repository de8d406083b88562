"""Messages that we originate: responses (§8.2.6), ACK (§17.1.1.3), CANCEL (§9.1), requests (§8.1.1)."""

from collections.abc import Sequence
from typing import Final

from sipgw.message.message import Request, Response, names_of
from sipgw.message.values import split_list

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    202: "Accepted",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    423: "Interval Too Brief",
    430: "Flow Failed",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    489: "Bad Event",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
}
_COPIED: Final = ("via", "from", "to", "call-id", "cseq")  # §8.2.6.2


def response_to(
    request: Request,
    status: int,
    *,
    reason: str = "",
    to_tag: str = "",
    headers: Sequence[str] = (),
    body: bytes = b"",
    content_type: str = "",
) -> Response:
    """A response to `request` (§8.2.6). `headers` are whole lines; `to_tag` goes where To has none and status > 100."""
    lines: list[str] = []
    names: list[str] = []
    for line, name in zip(request.lines, request.names, strict=True):
        if name not in _COPIED and not (name == "timestamp" and status == 100):
            continue
        if name == "to" and to_tag and status > 100 and not request.to_tag:
            line = f"{line};tag={to_tag}"
        lines.append(line)
        names.append(name)
    if headers:
        lines.extend(headers)
        names.extend(names_of(headers))
    if content_type:
        lines.append(f"Content-Type: {content_type}")
        names.append("content-type")
    lines.append(f"Content-Length: {len(body)}")
    names.append("content-length")
    response = Response(status, reason or REASONS.get(status, "Unknown"), lines, names, body)
    response.reindex()
    return response


def new_request(method: str, uri: str, headers: Sequence[str], body: bytes = b"") -> Request:
    """A request of our own from whole header lines; Content-Length is added."""
    lines = [*headers, f"Content-Length: {len(body)}"]
    request = Request(method, uri, lines, names_of(lines), body)
    request.reindex()
    return request


def ack_for(request: Request, response: Response) -> Request:
    """The ACK to a non-2xx final response: the INVITE's top Via and Route, the response's To (§17.1.1.3)."""
    return _hop_by_hop(request, "ACK", response.first("to") or "")


def cancel_for(request: Request, reasons: Sequence[str] = ()) -> Request:
    """The CANCEL for a pending request: same Request-URI, Call-ID, To, From, CSeq number, top Via and Route (§9.1).

    `reasons` are whole Reason lines (RFC 3326).
    """
    return _hop_by_hop(request, "CANCEL", more=reasons)


def _hop_by_hop(request: Request, method: str, to: str = "", more: Sequence[str] = ()) -> Request:
    request.reindex()  # what was only made to be sent has no index yet
    top_via = split_list(request.first("via") or "")[0]
    routes = [line for line, name in zip(request.lines, request.names, strict=True) if name == "route"]
    headers = [
        f"Via: {top_via}",
        *routes,
        f"From: {request.first('from')}",
        f"To: {to or request.first('to')}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.cseq.number} {method}",
        "Max-Forwards: 70",
        *more,
    ]
    return new_request(method, request.uri, headers)
