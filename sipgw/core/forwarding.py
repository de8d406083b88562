"""The copy of a request that goes to one target (RFC 3261 §16.6 items 1-8)."""

from binascii import crc32

from sipgw.message.message import Request

DIALOG_FORMING = frozenset({"INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "BENOTIFY"})


def fingerprint(request: Request) -> str:
    """The part of our branch by which a loop is told from a spiral (§16.6 item 8, RFC 5393 §4.2): what routing sees."""
    lines, index = request.lines, request.index
    seen = [request.uri, lines[index["from"]], lines[index["to"]], lines[index["call-id"]], lines[index["cseq"]]]
    if "route" in index:
        seen += request.values("route")
    return f".{crc32(''.join(seen).encode('latin-1')):08x}"


def forwarded_copy(request: Request, uri: str | None, top: list[str], hops_left: int | None) -> Request:
    """The request with `top` lines (our Via, then Record-Route) before all others, and one hop fewer to go (item 3).

    Everything else stays as it came: order, spelling, unknown headers, body.
    """
    lines = [*top, *request.lines]
    names = [_TOP_NAMES[line[0]] for line in top]
    names += request.names
    if hops_left is None:
        lines.append("Max-Forwards: 70")
        names.append("max-forwards")
    else:
        lines[names.index("max-forwards")] = f"Max-Forwards: {hops_left - 1}"
    return Request(request.method, request.uri if uri is None else uri, lines, names, request.body)


_TOP_NAMES = {"V": "via", "R": "record-route"}  # the only lines that we put on top, told apart by their first letter


def via_line(transport: str, sent_by: str, branch: str) -> str:
    return f"Via: SIP/2.0/{transport} {sent_by};branch={branch}"
