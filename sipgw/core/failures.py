"""Failures that an operator can act on: a SIP status with a Microsoft diagnostics id and text ([MS-OCER])."""

from dataclasses import dataclass

from sipgw.message.values import quote


@dataclass(frozen=True, slots=True)
class Failure:
    """`status` for the wire, `id` and `reason` for ms-diagnostics."""

    status: int
    id: int
    reason: str


NO_USER = Failure(404, 1003, "User does not exist")
NOT_ENABLED = Failure(404, 4005, "Destination URI either not enabled for SIP or does not exist")
NOT_SIGNED_IN = Failure(480, 1007, "Temporarily cannot route")
FOREIGN_DOMAIN = Failure(403, 1005, "Cannot route to destination domain")
STALE_ROUTE = Failure(481, 1004, "Route set is no longer valid")
NO_SRV = Failure(504, 1008, "Unable to resolve DNS SRV record")
NO_ADDRESS = Failure(504, 1014, "Unable to resolve DNS A record")
SERVERS_DOWN = Failure(504, 1011, "ms-diagnostics header not provided by previous hop")
NOT_TRUSTED = Failure(504, 1010, "Certificate trust with next-hop server could not be established")
CHAT_FULL = Failure(503, 20009, "Rejected session (no more endpoints allowed)")
POOL_BUSY = Failure(503, 20000, "Chat service busy")
OVERLOADED = Failure(503, 13011, "Failed to dispatch request")
NOT_YOUR_URI = Failure(403, 4004, "Credentials provided are not authorized to act as specified from URI")
NOT_SIGNED = Failure(401, 1000, "Final handshake failed")
CLOCKS = Failure(403, 1013, "Significant time skew detected during authentication")
NO_ENDPOINT_ID = Failure(400, 4010, "Endpoint identity is missing from the REGISTER request")
WRONG_EVENT = Failure(489, 4055, "The Event header of the REGISTER request is not registration")
NO_GRUU = Failure(421, 2057, "msrtc-event-categories requires gruu-10")

BUSY_RETRY_AFTER = 30  # seconds: long enough for a queue to drain, short enough for a person to wait


def diagnostics(failure: Failure, source: str, **details: str) -> str:
    """The ms-diagnostics header line; `source` is the gateway's fqdn, details become further quoted parameters."""
    extra = "".join(f";{key}={quote(value)}" for key, value in details.items())
    return f'ms-diagnostics: {failure.id};source="{source}";reason={quote(failure.reason)}{extra}'
