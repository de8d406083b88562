"""How a registration came here, and so how requests reach its client: Path (RFC 3327) and flows (RFC 5626)."""

from sipgw.core.validation import Refused
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.uri import SipUri, parse_uri
from sipgw.message.values import parse_name_addr, split_list

MAX_PATH, MAX_PATH_LENGTH = 10, 2048  # values, and characters of them all: they become the Route of every request


def registered_path(request: Request, trusted: bool) -> str:
    """The Path of a REGISTER, its values joined by commas, "" without one. Raises Refused.

    It says where requests for the user are sent, so only a trusted peer may name one: from anybody else it would be a
    way to aim our traffic at others. That a client does not support Path itself is no reason to refuse it (RFC 3327
    §5.3 leaves that to us): the trusted peer answers for it, and the clients that the gateway is for know no Path.
    """
    if "path" not in request.index:
        return ""
    if not trusted:
        raise Refused(403, "Path is heeded from the servers in gateway.trusted_peers only, and this one is not there")
    values = request.values("path")
    if len(values) > MAX_PATH or sum(map(len, values)) > MAX_PATH_LENGTH:
        raise Refused(400, f"Path has more than {MAX_PATH} values or {MAX_PATH_LENGTH} characters")
    for value in values:
        _check_hop(value)
    return ", ".join(values)


def _check_hop(value: str) -> None:
    """A Path value is the URI of a loose router (RFC 3327)."""
    try:
        uri = parse_uri(parse_name_addr(value).uri)
    except MalformedMessage as error:
        raise Refused(400, f"Path: {error.reason}") from None
    if "lr" not in uri.params or "<" not in value:
        raise Refused(400, f"Path value {value[:60]} is not a loose router: <sip:...;lr>")


def path_uri(path: str, at: int) -> SipUri:
    """One URI of a stored Path: 0 is the next hop from here, -1 the one next to the client."""
    return parse_uri(parse_name_addr(split_list(path)[at]).uri)


def check_first_hop(request: Request, path: str) -> None:
    """Whether the first hop of a client that asks for outbound keeps its flows (RFC 5626 §6). Raises Refused (439).

    Where there is nobody between, we are the first hop. A Path value of the first hop stands last.
    """
    if path:
        if "ob" not in path_uri(path, -1).params:
            raise Refused(439, "the Path value of the first hop has no ob parameter")
    elif len(request.values("via")) > 1:
        raise Refused(439, "the REGISTER came through a proxy that added no Path")
