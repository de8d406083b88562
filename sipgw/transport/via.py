"""What the transport layer does with the topmost Via of a request, and where a response goes (RFC 3261 §18.2)."""

from typing import Final

from sipgw.events import Flow
from sipgw.message.message import Request
from sipgw.message.values import Via

_OURS: Final = ("received", "ms-received-port", "ms-received-cid")  # only the receiver may say these


def stamp(request: Request, flow: Flow) -> None:
    """Note in the top Via where the request really came from.

    `received` when the sent-by host is not the source address (§18.2.1), `rport` where it was asked for (RFC 3581),
    and on connections `ms-received-port` and `ms-received-cid` as a Front End does. What a sender claims of these
    itself is dropped. Raises MalformedMessage when there is no readable Via.
    """
    via = stamped(request.via, flow)
    if via is not None:
        request.set_via(via)


def stamped(via: Via, flow: Flow) -> Via | None:
    """A request's top Via with what `stamp` notes in it; None when there is nothing to note."""
    if len(via.params) == 1 and via.params[0][0] == "branch" and not flow.cid and via.host == flow.host:
        return None  # the common datagram
    keys = [key.lower() for key, _ in via.params]
    asked = "rport" in keys
    claimed = any(key in _OURS for key in keys)
    if not asked and not claimed and not flow.cid and via.host == flow.host:
        return None
    params = [item for item in via.params if item[0].lower() != "rport" and item[0].lower() not in _OURS]
    if asked:
        params.append(("rport", str(flow.port)))
    if asked or via.host != flow.host:  # RFC 3581 §4: rport always comes with received
        params.append(("received", flow.host))
    if flow.cid:
        params.append(("ms-received-port", str(flow.port)))
        params.append(("ms-received-cid", f"{flow.cid:X}"))
    return Via(via.transport, via.sent_by, via.host, via.port, params)


def reply_flow(via: Via, flow: Flow) -> Flow:
    """Where responses to a request go (§18.2.2, RFC 3581 §4): its connection, or the source address.

    The port is the one that sent-by names unless rport was asked for. A maddr is not followed: a response then goes
    to where the request came from, so that nobody can aim our answers at a third party.
    """
    if flow.cid or via.param("rport") is not None:
        return flow
    port = via.port or 5060
    return flow if port == flow.port else Flow("UDP", flow.host, port, flow.listener)
