"""What an operator can do about a refusal, by the id of its ms-diagnostics, else by its status."""

from sipgw.core import failures
from sipgw.management.trace_advice import REMEDIES, remedy_of_detail
from sipgw.message.uri import SipUri

_ZONE = "correct the zone, or name the servers in pool.servers; sipgw check tries each of them"
_BY_ID = {
    failures.NO_USER.id: "make it an endpoint (sipgw endpoint new --sip-address {uri} --pool-fqdn POOL), "
    "or let its user sign in",
    failures.NOT_ENABLED.id: "write enabled = true into its [[endpoint]]",
    failures.NOT_SIGNED_IN.id: "the user is known, and has to sign in again",
    failures.FOREIGN_DOMAIN.id: "add {host} to gateway.domains, or the sender to gateway.trusted_peers",
    failures.NO_SRV.id: _ZONE,
    failures.NO_ADDRESS.id: _ZONE,
    **{one.id: REMEDIES[one.id] for one in (failures.SERVERS_DOWN, failures.NOT_TRUSTED, failures.POOL_BUSY)},
    failures.NOT_YOUR_URI.id: "sign in with another address, or remove the endpoint",
}
_BY_STATUS = {
    405: "the gateway itself answers REGISTER, OPTIONS, and what users SUBSCRIBE to or SERVICE of themselves",
    416: "write a sip: or sips: URI",
}
_SECURE = "sips wants TLS on the whole way: write sip:, or give it servers by TLS"


def advice(status: int, diagnostics: int, uri: SipUri | None, detail: str = "") -> str:
    """One line; "" where there is nothing to say. `uri` is where the request was going, None for what is not SIP;
    `detail` is what the gateway says besides the id."""
    special = remedy_of_detail(detail)
    if special:
        return special
    if diagnostics == failures.NOT_SIGNED_IN.id and uri is not None and uri.scheme == "sips":
        return _SECURE
    text = _BY_ID.get(diagnostics) or _BY_STATUS.get(status, "")
    if uri is None:
        return text if "{" not in text else ""
    return text.format(uri=f"sip:{uri.aor}", host=uri.host)
