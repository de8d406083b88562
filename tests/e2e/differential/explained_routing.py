"""What differs of Via, Request-URIs, Route and extensions, and why."""

from tests.e2e.differential.difference import Difference

_URI_TEL = (
    "§16.3 item 2: a scheme that the proxy does not speak is 416. Kamailio parses tel and urn and its domain "
    "check says 403; others are 400 to it."
)
_INVITE_TO_THE_PROXY_ITSELF = "§21.4.6, §8.2.1: a 405 has to carry Allow. Kamailio's script makes it by hand, without."

ROUTING: tuple[Difference, ...] = (
    Difference(
        ("via_received_claimed",),
        {
            "caller 200 to 1 OPTIONS.via": (
                "SIP/2.0/UDP {caller};branch=z9hG4bK-via_received_claimed.1",
                "SIP/2.0/UDP {caller};branch=z9hG4bK-via_received_claimed.1;received=127.0.0.1",
            ),
            "pool OPTIONS.via": (
                "SIP/2.0/UDP {proxy};branch={branch} | SIP/2.0/UDP {caller};branch=z9hG4bK-via_received_claimed.1",
                "SIP/2.0/UDP {proxy};branch={branch} | "
                "SIP/2.0/UDP {caller};branch=z9hG4bK-via_received_claimed.1;received=127.0.0.1",
            ),
        },
        "§18.2.1: `received` is the receiver's to say, and where the source is what sent-by says there is none. "
        "Kamailio overwrites the claim.",
    ),
    Difference(
        ("via_of_an_unknown_transport",),
        {
            "caller": ("200 to 1 OPTIONS", "nothing"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§25.1: transport is any token (other-transport). Kamailio knows a list.",
    ),
    Difference(
        ("via_version_3",),
        {
            "caller": ("400 to 1 OPTIONS", "nothing"),
        },
        "§16.3 item 1, §21.4.1: the request has a Via that can be answered and not be read, so it is malformed. "
        "Kamailio drops it.",
    ),
    Difference(
        ("uri_headers",),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§19.1.1: no headers in a Request-URI; RFC 4475 §3.1.2.11 leaves it open whether that is refused or passed on.",
    ),
    Difference(
        ("require_to_the_proxy",),
        {
            "caller": ("420 to 1 OPTIONS", "200 to 1 OPTIONS"),
        },
        "§8.2.2.3: an option tag in Require that the server does not know is 420. Kamailio's siputils does not "
        "look at Require.",
    ),
    Difference(
        ("via_bad_port",),
        {
            "caller": ("nothing", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§18.2.2: with a Via that cannot be read there is nowhere to answer. Kamailio sees rport and passes the "
        "port on.",
    ),
    Difference(
        ("via_hidden_comma",),
        {
            "caller": ("200 to 1 OPTIONS", "nothing"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§7.3.1, §25.1: a comma in a quoted string separates nothing. Kamailio's Via parser has no quoted "
        "values there.",
    ),
    Difference(
        (
            "uri_tel",
            "uri_urn",
        ),
        {
            "caller": ("416 to 1 OPTIONS", "403 to 1 OPTIONS"),
        },
        _URI_TEL,
    ),
    Difference(
        (
            "uri_http",
            "uri_unknown",
        ),
        {
            "caller": ("416 to 1 OPTIONS", "400 to 1 OPTIONS"),
        },
        _URI_TEL,
    ),
    Difference(
        ("uri_port_0",),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§19.1.1: port 0 can be no host's. Kamailio takes it for the default. Allowed either way.",
    ),
    Difference(
        ("uri_escaped_user",),
        {
            "caller": ("200 to 1 OPTIONS", "404 to 1 OPTIONS"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§19.1.4: %6f is an o. Kamailio's table compares text.",
    ),
    Difference(
        ("uri_bad_escape",),
        {
            "caller": ("400 to 1 OPTIONS", "404 to 1 OPTIONS"),
        },
        "§25.1: % has to be followed by two hex digits, so the Request-URI is malformed. Kamailio looks for a "
        "user of that name.",
    ),
    Difference(
        ("uri_maddr",),
        {
            "pool OPTIONS.uri": ("sip:ocschat@contoso.com", "sip:ocschat@contoso.com;maddr=127.0.0.1"),
        },
        "§16.4: an maddr that is ours is stripped from the Request-URI. Kamailio passes it on.",
    ),
    Difference(
        ("uri_sips",),
        {
            "caller": ("480 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§26.2.2, RFC 5630: sips needs TLS on every hop, and this pool is reached by UDP. Kamailio's script "
        "sends it there all the same.",
    ),
    Difference(
        ("uri_very_long",),
        {
            "caller": ("414 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§21.4.12: 414 beyond what the gateway looks at (4096 characters). Kamailio has no such limit.",
    ),
    Difference(
        ("uri_pool_address",),
        {
            "caller": ("200 to 1 OPTIONS", "403 to 1 OPTIONS"),
            "pool": ("OPTIONS", "nothing"),
        },
        "Design: a pool's server may be named by address, as requests without Route do in a dialog. Kamailio's "
        "script has no such rule.",
    ),
    Difference(
        (
            "uri_domain_alone",
            "uri_proxy_alone",
            "uri_proxy_alone-tcp",
        ),
        {
            "caller 200 to 1 OPTIONS.accept": (" application/sdp", " */*"),
            "caller 200 to 1 OPTIONS.accept-encoding": (" identity", " "),
            "caller 200 to 1 OPTIONS.allow": (" REGISTER, SUBSCRIBE, SERVICE, OPTIONS", "absent"),
            "caller 200 to 1 OPTIONS.supported": (" gruu, gruu-10, outbound, path", " "),
        },
        "§11.2: what a server says of itself is its own; Kamailio leaves the lists empty and names no methods.",
    ),
    Difference(
        ("invite_to_the_proxy_itself",),
        {
            "caller 405 to 1 INVITE.allow": (" REGISTER, SUBSCRIBE, SERVICE, OPTIONS", "absent"),
        },
        _INVITE_TO_THE_PROXY_ITSELF,
    ),
    Difference(
        ("message_to_the_domain",),
        {
            "caller 405 to 1 MESSAGE.allow": (" REGISTER, SUBSCRIBE, SERVICE, OPTIONS", "absent"),
        },
        _INVITE_TO_THE_PROXY_ITSELF,
    ),
    Difference(
        ("unknown_method_to_the_domain",),
        {
            "caller 405 to 1 CHEESE.allow": (" REGISTER, SUBSCRIBE, SERVICE, OPTIONS", "absent"),
        },
        _INVITE_TO_THE_PROXY_ITSELF,
    ),
    Difference(
        ("route_own_twice",),
        {
            "caller": ("200 to 1 OPTIONS", "403 to 1 OPTIONS"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§16.4: removing the first Route that is ours leaves one that is ours too; sipgw removes it as well "
        "instead of sending the request to itself. To Kamailio's script it leads elsewhere.",
    ),
    Difference(
        (
            "route_broken",
            "route_empty",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§21.4.1: sipgw has to read Route (§16.4) and cannot. Kamailio passes over it.",
    ),
    Difference(
        ("route_own_with_a_user",),
        {
            "caller": ("481 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "Design: the user part of our Route is a flow token; one that is not ours is 481 (Route set is no "
        "longer valid). Kamailio keeps nothing there.",
    ),
    Difference(
        ("proxy_require_two",),
        {
            "caller 420 to 1 OPTIONS.unsupported": (" nothing-we-know, nor-this, that-neither", " nothing-we-know"),
        },
        "§20.40: Unsupported lists all that is not supported. Kamailio names the first.",
    ),
    Difference(
        ("proxy_require_empty",),
        {
            "caller": ("200 to 1 OPTIONS", "400 to 1 OPTIONS"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§16.3 item 5: no option tag, nothing that is not understood. Kamailio's sanity check calls it "
        "malformed. Allowed either way.",
    ),
    Difference(
        ("max_breadth_0",),
        {
            "caller": ("440 to 1 INVITE", "100 to 1 INVITE, 200 to 1 INVITE"),
            "pool": ("nothing", "INVITE"),
        },
        "RFC 5393 §5.3.3: with a breadth of 0 nothing may be forwarded, 440. Kamailio does not know it.",
    ),
    Difference(
        ("timestamp",),
        {
            "caller 100 to 1 INVITE.timestamp": (" 54.21", "absent"),
        },
        "§8.2.6.1: Timestamp is copied into the 100. Kamailio leaves it out.",
    ),
    Difference(
        ("method_benotify",),
        {
            "caller": ("nothing", "200 to 1 BENOTIFY"),
            "pool BENOTIFY.record-route": ("<sip:{proxy};lr>", "absent"),
        },
        "[MS-SIP] BENOTIFY is NOTIFY without an answer: none is waited for or passed on, and it keeps the path like a "
        "NOTIFY; Kamailio takes it for any other method. Any request may carry Record-Route (§16.6 item 4).",
    ),
    Difference(
        ("loop",),
        {
            "pool": ("OPTIONS, 482 to 1 OPTIONS", "OPTIONS, OPTIONS, 200 to 1 OPTIONS"),
        },
        "RFC 5393 §4.2: a proxy has to find loops, 482. Kamailio leaves it to Max-Forwards.",
    ),
    Difference(
        ("merged_register",),
        {
            "phone": ("200 to 1 REGISTER, 482 to 1 REGISTER", "200 to 1 REGISTER, 200 to 1 REGISTER"),
        },
        "§8.2.2.2: the same request by another way is 482 from whoever answers it. Kamailio's registrar does not look.",
    ),
)
