"""The copy of a request that goes to one target (RFC 3261 §16.6 items 1-9)."""

from typing import Final
from zlib import crc32

from sipgw.message.message import Request
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr

DIALOG_FORMING: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "BENOTIFY"})
NOTIFYING: Final = frozenset({"NOTIFY", "BENOTIFY"})
_VIA, _RECORD_ROUTE = ["via"], "record-route"


class Limits:
    """How far a request may still go: hops (None when it does not say) and parallel branches (RFC 5393 §5.3)."""

    __slots__ = ("breadth", "hops")

    def __init__(self, hops: int | None, breadth: int) -> None:
        self.hops = hops
        self.breadth = breadth


def fingerprint(request: Request) -> str:
    """The part of our branch by which a loop is told from a spiral (§16.6 item 8, RFC 5393 §4.2): what routing sees."""
    lines, index = request.lines, request.index
    seen = [request.uri, lines[index["from"]], lines[index["to"]], lines[index["call-id"]], lines[index["cseq"]]]
    at = index.get("route")
    if at is not None:
        if request.names.count("route") == 1:
            seen.append(lines[at])
        else:
            seen += [line for line, name in zip(lines, request.names, strict=True) if name == "route"]
    return "." + crc32("".join(seen).encode("latin-1")).to_bytes(4).hex()


def forwarded_copy(
    request: Request, uri: str | None, via: str, record_routes: list[str], limits: Limits, stream: bool
) -> Request:
    """The request with our `via` line and our Record-Route lines before all others, and one hop fewer to go (item 3).

    `stream` asks for a Content-Length where there is none (item 9). Everything else stays as it came: order, spelling,
    unknown headers, body.
    """
    lines = [via, *record_routes, *request.lines]
    names = _VIA + [_RECORD_ROUTE] * len(record_routes) + request.names
    hops, index, above = limits.hops, request.index, 1 + len(record_routes)
    if hops is None:
        append(lines, names, "Max-Forwards: 70", "max-forwards")
    else:
        lines[index["max-forwards"] + above] = f"Max-Forwards: {hops - 1}"
    if "max-breadth" in index:
        lines[index["max-breadth"] + above] = f"Max-Breadth: {limits.breadth}"
    else:
        append(lines, names, f"Max-Breadth: {limits.breadth}", "max-breadth")
    if stream and "content-length" not in index:
        append(lines, names, f"Content-Length: {len(request.body)}", "content-length")
    return Request(request.method, request.uri if uri is None else uri, lines, names, request.body)


def append(lines: list[str], names: list[str], line: str, name: str) -> None:
    """Add a header line at the end."""
    lines.append(line)
    names.append(name)


def push_route(copy: Request, path: str) -> None:
    """Send a copy along a Path that a registration came by (RFC 3327 §5.4): `path` is its values, joined by commas."""
    at = copy.names.index("route") if "route" in copy.names else 1
    copy.lines.insert(at, f"Route: {path}")
    copy.names.insert(at, "route")


def suit_strict_router(copy: Request) -> None:
    """§16.6 item 6: a next hop whose Route has no lr takes its own URI for the Request-URI and the real one last."""
    copy.reindex()
    routes = copy.values("route")
    first = parse_name_addr(routes[0]).uri
    if "lr" in parse_uri(first).params:
        return
    at = copy.index["route"]
    kept = [(line, name) for line, name in zip(copy.lines, copy.names, strict=True) if name != "route"]
    kept[at:at] = [(f"Route: {value}", "route") for value in [*routes[1:], f"<{copy.uri}>"]]
    copy.set_lines(first, kept)


def via_line(transport: str, sent_by: str, branch: str) -> str:
    return f"Via: SIP/2.0/{transport} {sent_by};branch={branch}"
