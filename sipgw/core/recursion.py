"""What a proxy does with a 3xx when it recurses (RFC 3261 §16.5, §16.7 item 4)."""

from itertools import chain, groupby

from sipgw.core.contact import qvalue, request_uri
from sipgw.core.route import Target
from sipgw.core.routing import Router
from sipgw.core.validation import Refused
from sipgw.events import Flow
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request, Response
from sipgw.message.uri import SipUri, equivalent, parse_uri
from sipgw.message.values import parse_name_addr

MAX_TARGETS = 32  # in the target set of one request; contacts beyond it are left to the caller


def follow(
    router: Router, request: Request, response: Response, flow: Flow, seen: list[SipUri], now: float
) -> tuple[list[list[Target]], list[str]]:
    """Targets that a 3xx adds, in groups of falling q (a contact's, then a binding's), and the Contact values that were
    left in the response.

    A contact is followed when the request, sent to it by the same sender, would be routed. `seen` holds the URIs
    already in the target set, which are never added again (§16.5: by URI equality); what is added is put there.
    """
    found: list[tuple[tuple[float, int], Target]] = []
    rest: list[str] = []
    for value in response.values("contact"):
        try:
            contact = parse_name_addr(value)
            uri, rank = request_uri(contact.uri), -qvalue(contact.params)
        except (MalformedMessage, Refused):
            uri = None
        if uri is None:
            rest.append(value)
            continue
        known = any(equivalent(uri, other) for other in seen)
        groups = [] if known or len(seen) >= MAX_TARGETS else _groups(router, request, uri, flow, now)
        if groups:
            seen.append(uri)
            found += [((rank, depth), target) for depth, group in enumerate(groups) for target in group]
        elif not known:
            rest.append(value)
    _set_contacts(response, rest)
    found.sort(key=lambda item: item[0])
    return [[target for _, target in group] for _, group in groupby(found, key=lambda item: item[0])], rest


def _groups(router: Router, request: Request, uri: SipUri, flow: Flow, now: float) -> list[list[Target]]:
    """Where a contact leads. One of a sips request that is not sips itself leads nowhere (§16.5, RFC 5630 §5.3)."""
    if parse_uri(request.uri).scheme == "sips" and uri.scheme != "sips":
        return []
    groups = router.route_uri(request, uri, flow, now).groups
    for target in chain.from_iterable(groups):
        if target.uri is None:
            target.uri = uri.text
    return groups


def _set_contacts(response: Response, values: list[str]) -> None:
    kept = [(line, name) for line, name in zip(response.lines, response.names, strict=True) if name != "contact"]
    kept += [(f"Contact: {value}", "contact") for value in values]
    response.lines = [line for line, _ in kept]
    response.names = [name for _, name in kept]
    response.reindex()
