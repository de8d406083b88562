"""Via and where answers go, Request-URIs, Route, extensions that are asked for."""

from tests.e2e.differential.book import BOTH, UDP, add, case, one
from tests.e2e.differential.stage import CHAT, Stage

# Via (RFC 3261 §18.2, §20.42, RFC 3581)

VIAS = {
    "rport": "SIP/2.0/UDP {caller};rport;branch={branch}",
    "rport_with_a_wrong_value": "SIP/2.0/UDP {caller};rport=9;branch={branch}",
    "rport_and_another_host": "SIP/2.0/UDP 127.0.1.9;rport;branch={branch}",
    "rport_and_a_name": "SIP/2.0/UDP pc33.contoso.com:5066;rport;branch={branch}",
    "rport_and_ipv6": "SIP/2.0/UDP [2001:db8::9]:5066;rport;branch={branch}",
    "received_claimed": "SIP/2.0/UDP {caller};received=127.0.1.9;branch={branch}",
    "received_claimed_with_rport": "SIP/2.0/UDP {caller};received=127.0.1.9;rport=7;branch={branch}",
    "other_parameters": "SIP/2.0/UDP {caller};ttl=16;x-own=\"a;b\";y;branch={branch}",
    "without_branch": "SIP/2.0/UDP {caller}",
    "branch_without_cookie": "SIP/2.0/UDP {caller};branch={case}.1",
    "branch_is_the_cookie": "SIP/2.0/UDP {caller};branch=z9hG4bK",
    "branch_upper_case": "SIP/2.0/UDP {caller};BRANCH=Z9HG4BK-{case}.1",
    "of_tcp": "SIP/2.0/TCP {caller};branch={branch}",
    "of_an_unknown_transport": "SIP/2.0/PIGEON {caller};branch={branch}",
    "version_3": "SIP/3.0/UDP {caller};branch={branch}",
    "spaced": "SIP / 2.0 / UDP  {caller} ; branch = {branch}",
    "lower_case": "sip/2.0/udp {caller};branch={branch}",
    "bad_port": "SIP/2.0/UDP 127.0.0.1:99999;rport;branch={branch}",
    "garbage": "all that",
    "two": "SIP/2.0/UDP {caller};branch={branch}\r\nV: SIP/2.0/TCP 127.0.1.8;branch=z9hG4bK-{case};received=127.0.0.8",
    "two_in_one_line": "SIP/2.0/UDP {caller};branch={branch}, SIP/2.0/TCP 127.0.1.8;branch=z9hG4bK-{case}.b",
    "hidden_comma": 'SIP/2.0/UDP {caller};x="a, b";branch={branch}',
}  # fmt: skip
for label, via in VIAS.items():
    one(f"via_{label}", change={"Via": "Via: " + via.replace("{branch}", "z9hG4bK-{case}.1")}, transports=UDP)
one("via_with_another_host_tcp", change={"Via": "Via: SIP/2.0/TCP 127.0.1.9:5066;branch=z9hG4bK-{case}.1"},
    transports=("TCP",))  # fmt: skip
one("via_rport_on_a_connection", change={"Via": "Via: SIP/2.0/TCP 127.0.1.9;rport;branch=z9hG4bK-{case}.1"},
    transports=("TCP",))  # fmt: skip

# Request-URIs (§19.1, §16.3 item 2, §16.5)

URIS = {
    "tel": "tel:+1-201-555-0123", "urn": "urn:service:sos", "http": "http://contoso.com/",
    "unknown": "nobodyKnows:this",
    "without_host": "sip:", "empty_user": "sip:@contoso.com", "bad_port": "sip:ocschat@contoso.com:99999",
    "port_0": "sip:ocschat@contoso.com:0", "port_5060": "sip:ocschat@contoso.com:5060",
    "escaped_user": "sip:%6fcschat@contoso.com", "bad_escape": "sip:ocs%zzchat@contoso.com",
    "upper_case_domain": "sip:ocschat@CONTOSO.com", "upper_case_user": "sip:OCSChat@contoso.com",
    "upper_case_scheme": "SIP:ocschat@contoso.com", "headers": "sip:ocschat@contoso.com?Subject=x&Priority=y",
    "parameters": "sip:ocschat@contoso.com;user=phone;x=y;lr", "password": "sip:ocschat:secret@contoso.com",
    "method_parameter": "sip:ocschat@contoso.com;method=BYE", "transport_tcp": "sip:ocschat@contoso.com;transport=tcp",
    "maddr": "sip:ocschat@contoso.com;maddr=127.0.0.1", "user_with_semicolon": "sip:ocschat;x=1@contoso.com",
    "sips": "sips:ocschat@contoso.com", "trailing_dot": "sip:ocschat@contoso.com.", "no_scheme": "ocschat@contoso.com",
    "long": "sip:ocschat@contoso.com;x=" + "y" * 900, "very_long": "sip:ocschat@contoso.com;x=" + "y" * 5000,
    "ipv6_foreign": "sip:ocschat@[2001:db8::1]", "ipv6_broken": "sip:ocschat@[2001:db8::1",
    "foreign_domain": "sip:someone@elsewhere.example", "subdomain": "sip:ocschat@eu.contoso.com",
    "nobody": "sip:nobody@contoso.com", "proxy_address_with_user": "sip:ocschat@{proxy}",
    "two_ats": "sip:a@b@contoso.com",
    "pool_address": "sip:ocschat@{pool}",
}  # fmt: skip
for label, uri in URIS.items():
    one(f"uri_{label}", uri=uri, change={"To": f"To: <{CHAT}>"}, transports=UDP, slow=label.endswith("long"))
one("uri_domain_alone", uri="sip:contoso.com", change={"To": "To: <sip:contoso.com>"}, transports=UDP)
one("uri_proxy_alone", uri="sip:{proxy}", change={"To": "To: <sip:{proxy}>"})
one("invite_to_the_proxy_itself", "INVITE", uri="sip:{proxy}", transports=UDP)
one("message_to_the_domain", "MESSAGE", uri="sip:contoso.com", transports=UDP)
one("unknown_method_to_the_domain", "CHEESE", uri="sip:contoso.com", transports=UDP)
one("relay_for_a_trusted_peer", uri="sip:someone@{pool}", trunk=True)
one("relay_with_a_transport", uri="sip:someone@{tcppool};transport=tcp", trunk=True, slow=True)

# Route outside a dialog (§16.4, §16.6 items 6 and 7, §16.12)

for label, route in {
    "own": "<sip:{proxy};lr>", "own_by_domain": "<sip:contoso.com;lr>",
    "own_twice": "<sip:{proxy};lr>, <sip:{proxy};lr>",
    "own_with_a_name": '"Our Proxy" <sip:{proxy};lr>;x=y', "own_strict": "<sip:{proxy}>", "broken": "what is this",
    "own_and_foreign": "<sip:{proxy};lr>, <sip:127.0.1.9;lr>", "foreign": "<sip:127.0.1.9;lr>",
    "own_by_tcp": "<sip:{proxy};transport=tcp;lr>", "own_with_a_user": "<sip:someone@{proxy};lr>", "empty": "",
}.items():  # fmt: skip
    one(f"route_{label}", extra=[f"Route: {route}"], transports=UDP)
for label, route in {
    "loose": "<sip:{pool};lr>", "strict": "<sip:{pool}>", "own_then_loose": "<sip:{proxy};lr>, <sip:{pool};lr>",
    "own_then_strict": "<sip:{proxy};lr>, <sip:{pool}>", "loose_then_more": "<sip:{pool};lr>, <sip:127.0.1.9;lr>",
    "strict_then_more": "<sip:someone@{pool};x=y>, <sip:127.0.1.9;lr>, <sip:127.0.1.10>",
    "two_lines": "<sip:{proxy};lr>\r\nRoute: <sip:{pool};lr>\r\nRoute: <sip:127.0.1.9;lr>",
    "lr_with_value": "<sip:{pool};lr=on>", "lr_outside_brackets": "<sip:{pool}>;lr",
}.items():  # fmt: skip
    one(f"trusted_route_{label}", uri="sip:someone@elsewhere.example", extra=[f"Route: {route}"], trunk=True)
one("trusted_route_with_invite", "INVITE", uri="sip:someone@elsewhere.example", extra=["Route: <sip:{pool};lr>"],
    trunk=True)  # fmt: skip

# Require, Proxy-Require, and what passes through (§16.3 item 5, §8.2.2.3)

one("proxy_require_unknown", extra=["Proxy-Require: nothing-we-know"])
one(
    "proxy_require_two",
    extra=["Proxy-Require: nothing-we-know, nor-this", "Proxy-Require: that-neither"],
    transports=UDP,
)
one("proxy_require_empty", extra=["Proxy-Require:"], transports=UDP)
one("proxy_require_to_the_proxy", uri="sip:{proxy}", extra=["Proxy-Require: nothing-we-know"], transports=UDP)
one("proxy_require_in_invite", "INVITE", extra=["Proxy-Require: nothing-we-know"], transports=UDP)
one("require_unknown", extra=["Require: nothing-we-know"], transports=UDP)
one("require_to_the_proxy", uri="sip:{proxy}", extra=["Require: nothing-we-know"], transports=UDP)
one("max_breadth", "INVITE", extra=["Max-Breadth: 5"], transports=UDP)
one("max_breadth_0", "INVITE", extra=["Max-Breadth: 0"], transports=UDP)
one("timestamp", "INVITE", extra=["Timestamp: 54.21"], plays=(100, 180, 200), transports=UDP)
one("everything_else", "INVITE", extra=[
    "Supported: 100rel, timer, replaces", "Allow: INVITE, ACK", "Session-Expires: 1800;refresher=uac", "Min-SE: 90",
    "Accept-Language: de, en;q=0.5", "P-Asserted-Identity: <sip:a@b>", "Privacy: id",
    "Proxy-Authorization: Digest x=\"y\"",
    "Authorization: Digest x=\"z\"", "Reason: SIP;cause=200", "Record-Route: <sip:127.0.1.7;lr>",
    "Record-Route: <sip:127.0.1.8;lr>", "History-Info: <sip:a@b>;index=1", "Path: <sip:127.0.1.6;lr>",
], body=b"v=0\r\n")  # fmt: skip
for method in ("SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE", "PUBLISH", "INFO", "UPDATE", "PRACK", "SERVICE", "BENOTIFY"):
    one(f"method_{method.lower()}", method, extra=["Event: presence"], transports=UDP)


# loops and spirals (§16.3 item 4, RFC 5393 §4)


@case()
def loop(s: Stage) -> None:
    """The pool sends the request back as it came."""
    reply_with_the_request(s, "sip:ocschat@contoso.com")


@case()
def spiral(s: Stage) -> None:
    """The pool sends the request back for somebody else: legal."""
    reply_with_the_request(s, "sip:tcpchat@contoso.com")


def reply_with_the_request(s: Stage, uri: str) -> None:
    s.uses_tcp_pool = True
    s.pool.plays["OPTIONS"] = []
    s.caller.send(s.request())
    s.settle()
    came = s.pool.heard[0]
    lines = [f"{name}:{value}" for name, value in came.lines]
    via = f"Via: SIP/2.0/UDP {s.pool.address};branch={s.branch('back')}"
    s.pool.plays["OPTIONS"] = [200]
    came.channel.send("\r\n".join([f"OPTIONS {uri} SIP/2.0", via, *lines, "", ""]).encode())
    s.settle()


@case()
def merged(s: Stage) -> None:
    """The same request by two ways (§8.2.2.2): for a user agent to refuse, not for a proxy."""
    s.caller.send(s.request(), s.request())
    s.settle()


@case()
def merged_register(s: Stage) -> None:
    phone = s.client("phone")
    s.register(phone, "Contact: <sip:a@127.0.1.1>")
    s.register(phone, "Contact: <sip:a@127.0.1.1>")


def _reply_to_sent_by(s: Stage) -> None:
    """Without rport the answer goes to the port of sent-by, which here is another party's."""
    other = s.client("other")
    s.caller.send(s.request(change={"Via": f"Via: SIP/2.0/UDP {other.address};branch={s.branch()}"}))
    s.settle()


def _reply_to_maddr(s: Stage) -> None:
    via = f"Via: SIP/2.0/UDP {s.caller.address};maddr=127.0.0.1;branch={s.branch()}"
    s.caller.send(s.request(change={"Via": via}))
    s.settle()


add("via_port_of_another", _reply_to_sent_by)
add("via_maddr", _reply_to_maddr)
one("empty_lists", extra=["Supported:", "Allow:", "Accept:"], transports=BOTH)
