"""What a request must be before it is proxied (RFC 3261 §16.3)."""

from typing import Final

from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.values import MAGIC_COOKIE, parse_via

# Option tags that real clients put into Proxy-Require and that need nothing of a proxy but to pass them on.
SUPPORTED: Final = frozenset({"ms-benotify", "gruu-10", "ms-sender", "path", "gruu", "outbound"})


_HOPS: Final = {str(hops): hops for hops in range(256)}

DEFAULT_BREADTH: Final = 60  # parallel branches that a request may have in all (RFC 5393 §5.3.3)


class Refused(Exception):
    """A request that is answered with an error by ourselves: `status` and whole header lines for the answer."""

    def __init__(self, status: int, reason: str, headers: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


def hops_left(request: Request) -> int | None:
    """Max-Forwards, None when absent (§16.3 item 3). Raises MalformedMessage."""
    text = request.first("max-forwards")
    if text is None:
        return None
    hops = _HOPS.get(text)
    if hops is not None:
        return hops
    if not text.isdecimal() or not text.isascii() or len(text) > 10 or int(text) > 255:
        raise MalformedMessage(f"Max-Forwards is not a number up to 255: {text[:20]!r}", 400, request)
    return int(text)


def breadth_left(request: Request) -> int:
    """Max-Breadth, the recommended 60 when absent (RFC 5393 §5.3.3). Raises MalformedMessage."""
    if "max-breadth" not in request.index:
        return DEFAULT_BREADTH
    text = request.first("max-breadth") or ""
    if not text.isdecimal() or not text.isascii() or len(text) > 10:
        raise MalformedMessage(f"Max-Breadth is not a number: {text[:20]!r}", 400, request)
    return min(int(text), DEFAULT_BREADTH)


def check_proxy_require(request: Request) -> None:
    """§16.3 item 5. Raises Refused (420) naming what we do not know."""
    if "proxy-require" not in request.index:
        return
    unknown = [tag for tag in request.values("proxy-require") if tag.lower() not in SUPPORTED]
    if unknown:
        raise Refused(420, f"Proxy-Require {', '.join(unknown)}", (f"Unsupported: {', '.join(unknown)}",))


def check_require(request: Request, known: frozenset[str]) -> None:
    """§8.2.2.3, for a UAS that knows the option tags in `known` (lower case). Raises Refused (420)."""
    if "require" not in request.index:
        return
    unknown = [tag for tag in request.values("require") if tag.lower() not in known]
    if unknown:
        raise Refused(420, f"Require {', '.join(unknown)}", (f"Unsupported: {', '.join(unknown)}",))


def check_loop(request: Request, sent_by: frozenset[str], fingerprint: str) -> None:
    """§16.3 item 4, RFC 5393 §4.2: a request of the same fingerprint passed here before. Raises Refused (482).

    One that came by with another fingerprint is a spiral, and legal.
    """
    if request.shape.vias == 1 and "," not in request.lines[request.index["via"]]:
        return  # nobody before us
    for value in request.values("via"):
        via = parse_via(value)
        if via.sent_by.lower() in sent_by and via.branch.startswith(MAGIC_COOKIE) and via.branch.endswith(fingerprint):
            raise Refused(482, "the request came back unchanged")
