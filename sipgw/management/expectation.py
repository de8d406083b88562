"""What a caller has to expect where nothing works that a request would be sent to, as far as is known.

It is sent on all the same: what is down may just have come back. Otherwise the answer is the one that
`sipgw.core.response_context` gives when the last one has failed, too.
"""

from collections.abc import Sequence
from dataclasses import replace

from sipgw.core.failures import NOT_SIGNED_IN, NOT_TRUSTED, POOL_BUSY, SERVERS_DOWN, Failure
from sipgw.events import UNTRUSTED
from sipgw.management.advice import advice
from sipgw.management.explanation import Decision, Destination
from sipgw.message.build import REASONS
from sipgw.message.uri import SipUri

GONE = "the connection that it signed in over is gone"
_GONE_THEN = f"then it is {NOT_SIGNED_IN.status}, ms-diagnostics {NOT_SIGNED_IN.id}"
_NOBODY = "nobody takes a connection at the address of the contact, as the one that it signed in over is gone"
_UNANSWERED = "BENOTIFY"  # it gets no response, whatever happens to it ([MS-SIP] §3.6)


def expected(decision: Decision, method: str, destinations: Sequence[Destination], uri: SipUri | None) -> Decision:
    """The decision to send a request on, or what that will come to."""
    servers = [server for destination in destinations for server in destination.servers]
    if decision.kind != "forwarded" or method == _UNANSWERED or not servers:
        return decision
    if all(server.role == "connection" and not server.health for server in servers):
        return replace(decision, unless=f"that connection is gone, which the gateway alone knows: {_GONE_THEN}")
    if any(server.health != "down" for server in servers):
        return replace(decision, unless=f"{_NOBODY}: {_GONE_THEN}") if _all_dialled(destinations) else decision
    failure = _failure(servers[-1].reason) if destinations[0].label.startswith("pool ") else NOT_SIGNED_IN
    detail = f"{destinations[0].label}: " + ", ".join(f"{one.server} {one.reason}" for one in servers)
    todo = advice(failure.status, failure.id, uri)
    return Decision("expected", failure.status, REASONS[failure.status], failure.id, failure.reason, detail, todo)


def _all_dialled(destinations: Sequence[Destination]) -> bool:
    """Whether there is nothing left but to dial clients whose connections are gone, which most do not listen for."""
    return all(
        server.role == "user" and not server.server.startswith("udp:") and not one.path
        for one in destinations
        for server in one.servers
    )


def _failure(reason: str) -> Failure:
    """Of a pool whose last server has failed for this reason."""
    if reason.startswith("503"):
        return POOL_BUSY
    return NOT_TRUSTED if UNTRUSTED in reason else SERVERS_DOWN
