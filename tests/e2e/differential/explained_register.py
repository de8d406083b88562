"""What differs of the registrar, and why."""

from tests.e2e.differential.difference import Difference

_REGISTER_WILDCARD_WITH_ANOTHER = "§10.3 step 6, §25.1: * stands alone and bare, else 400. Kamailio sees what it likes."
_REGISTER_EXPIRES_NOT_A_NUMBER = (
    "§10.2, §20.10: malformed values should be taken for 3600, which here becomes the longest allowed. Kamailio "
    "takes its default, reads what is in quotes, and refuses the header."
)
_REGISTER_Q_EMPTY = "§25.1: qvalue is 0 or 1 with at most three digits after the point; else 400. Kamailio repairs it."
_REGISTER_EQUAL_HOST_CASE = (
    "§10.3 step 7, §19.1.4: contacts are compared as URIs: scheme, host and parameter names without regard to "
    "case, escapes undone, order and one-sided unknown parameters aside. Kamailio compares text."
)
_REGISTER_CONTACT_NO_SCHEME = "§25.1: no URI, 400. Kamailio stores it."

REGISTER: tuple[Difference, ...] = (
    Difference(
        (
            "register_wildcard_with_another",
            "register_wildcard_with_parameter",
        ),
        {
            "caller": (
                "200 to 1 REGISTER, 400 to 2 REGISTER, 200 to 90 REGISTER",
                "200 to 1 REGISTER, 200 to 2 REGISTER, 200 to 90 REGISTER",
            ),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=600", "absent"),
        },
        _REGISTER_WILDCARD_WITH_ANOTHER,
    ),
    Difference(
        ("register_wildcard_in_brackets",),
        {
            "caller": (
                "200 to 1 REGISTER, 400 to 2 REGISTER, 200 to 90 REGISTER",
                "200 to 1 REGISTER, 200 to 2 REGISTER, 200 to 90 REGISTER",
            ),
        },
        _REGISTER_WILDCARD_WITH_ANOTHER,
    ),
    Difference(
        (
            "register_expires_huge",
            "register_expires_beyond_huge",
        ),
        {
            "caller 200 to 1 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "<sip:a@127.0.1.1>;expires=600"),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "<sip:a@127.0.1.1>;expires=600"),
        },
        "§10.2: more than 2**32-1 may be taken for 2**32-1, which here becomes the longest allowed. Kamailio "
        "takes its default.",
    ),
    Difference(
        (
            "register_expires_not_a_number",
            "register_expires_negative",
            "register_expires_empty",
        ),
        {
            "caller 200 to 1 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "<sip:a@127.0.1.1>;expires=600"),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "<sip:a@127.0.1.1>;expires=600"),
        },
        _REGISTER_EXPIRES_NOT_A_NUMBER,
    ),
    Difference(
        ("register_expires_header_not_a_number",),
        {
            "caller": ("200 to 1 REGISTER, 200 to 90 REGISTER", "400 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "absent"),
        },
        _REGISTER_EXPIRES_NOT_A_NUMBER,
    ),
    Difference(
        ("register_expires_quoted",),
        {
            "caller 200 to 1 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "<sip:a@127.0.1.1>;expires=400"),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=900", "<sip:a@127.0.1.1>;expires=400"),
        },
        _REGISTER_EXPIRES_NOT_A_NUMBER,
    ),
    Difference(
        (
            "register_q_1",
            "register_q_1.0",
        ),
        {
            "caller 200 to 1 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=600", "<sip:a@127.0.1.1>;expires=600;q=1"),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=600", "<sip:a@127.0.1.1>;expires=600;q=1"),
        },
        "§20.10: q=1.0 and none are the same preference to sipgw, so it says nothing of it.",
    ),
    Difference(
        ("register_q_empty",),
        {
            "caller": ("400 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<sip:a@127.0.1.1>;expires=600"),
        },
        _REGISTER_Q_EMPTY,
    ),
    Difference(
        ("register_q_0.1234",),
        {
            "caller": ("400 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<sip:a@127.0.1.1>;expires=600;q=0.123"),
        },
        _REGISTER_Q_EMPTY,
    ),
    Difference(
        ("register_q_.5",),
        {
            "caller": ("400 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<sip:a@127.0.1.1>;expires=600;q=0.5"),
        },
        _REGISTER_Q_EMPTY,
    ),
    Difference(
        (
            "register_cseq_lower",
            "register_cseq_lower_for_one_of_two",
        ),
        {
            "caller": (
                "200 to 5 REGISTER, 500 to 4 REGISTER, 200 to 90 REGISTER",
                "200 to 5 REGISTER, 400 to 4 REGISTER, 200 to 90 REGISTER",
            ),
        },
        "§10.3 step 7: the request fails; with which status is left open. 500 is what §12.2.2 has for a CSeq "
        "that is too low.",
    ),
    Difference(
        ("register_cseq_same",),
        {
            "caller": (
                "200 to 5 REGISTER, 482 to 5 REGISTER, 200 to 90 REGISTER",
                "200 to 5 REGISTER, 200 to 5 REGISTER, 200 to 90 REGISTER",
            ),
        },
        "§8.2.2.2: the same From tag, Call-ID and CSeq with another branch is a merged request, 482. Kamailio "
        "takes it for a retransmission (§10.3 step 7 would have it fail).",
    ),
    Difference(
        ("register_cseq_lower_to_remove",),
        {
            "caller": (
                "200 to 5 REGISTER, 500 to 4 REGISTER, 200 to 90 REGISTER",
                "200 to 5 REGISTER, 200 to 4 REGISTER, 200 to 90 REGISTER",
            ),
            "caller 200 to 90 REGISTER.contact": ("<sip:a@127.0.1.1>;expires=600", "absent"),
        },
        "§10.3 step 6: for each binding of the same Call-ID the CSeq has to be higher, else nothing is removed. "
        "Kamailio removes all.",
    ),
    Difference(
        (
            "register_to_unknown_domain",
            "register_to_no_user",
        ),
        {
            "caller": ("404 to 1 REGISTER, 404 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
        },
        "§10.3 step 5: an address-of-record that is not valid for the domain is 404. Kamailio takes any.",
    ),
    Difference(
        ("register_to_tel",),
        {
            "caller": ("400 to 1 REGISTER, 400 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
        },
        "RFC 4475 §3.3.4: To of a REGISTER has to be a sip or sips URI, else 400. Kamailio takes any.",
    ),
    Difference(
        ("register_to_an_endpoint",),
        {
            "caller": ("403 to 1 REGISTER, 403 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
        },
        "Design: a contact object is no user, and nobody may sign in as one: 403. Kamailio's script does not know.",
    ),
    Difference(
        ("register_require_unknown",),
        {
            "caller": ("420 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<sip:a@127.0.1.1>;expires=600"),
        },
        "§10.3 step 2, §8.2.2.3: 420. Kamailio's registrar does not look at Require.",
    ),
    Difference(
        (
            "register_require_path",
            "register_path",
            "register_path_unsupported",
            "register_two_paths",
        ),
        {
            "caller": ("403 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<sip:a@127.0.1.1>;expires=600"),
        },
        "Design, RFC 3327 §6: a Path leads calls to whoever it names, so only trusted peers may set one. "
        "Kamailio takes it from anybody; path_is_followed shows both with a trusted one.",
    ),
    Difference(
        ("register_equal_host_case",),
        {
            "caller 200 to 2 REGISTER.contact": (
                "<sip:a@HOST.example>;expires=500",
                "<sip:a@HOST.example>;expires=500 | <sip:a@host.example>;expires=400",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<sip:a@HOST.example>;expires=500",
                "<sip:a@HOST.example>;expires=500 | <sip:a@host.example>;expires=400",
            ),
        },
        _REGISTER_EQUAL_HOST_CASE,
    ),
    Difference(
        ("register_equal_escape",),
        {
            "caller 200 to 2 REGISTER.contact": (
                "<sip:%61@127.0.1.1>;expires=500",
                "<sip:%61@127.0.1.1>;expires=500 | <sip:a@127.0.1.1>;expires=400",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<sip:%61@127.0.1.1>;expires=500",
                "<sip:%61@127.0.1.1>;expires=500 | <sip:a@127.0.1.1>;expires=400",
            ),
        },
        _REGISTER_EQUAL_HOST_CASE,
    ),
    Difference(
        ("register_equal_parameter",),
        {
            "caller 200 to 2 REGISTER.contact": (
                "<sip:a@127.0.1.1;x=y>;expires=500",
                "<sip:a@127.0.1.1;x=y>;expires=500 | <sip:a@127.0.1.1>;expires=400",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<sip:a@127.0.1.1;x=y>;expires=500",
                "<sip:a@127.0.1.1;x=y>;expires=500 | <sip:a@127.0.1.1>;expires=400",
            ),
        },
        _REGISTER_EQUAL_HOST_CASE,
    ),
    Difference(
        ("register_equal_parameter_order",),
        {
            "caller 200 to 2 REGISTER.contact": (
                "<sip:a@127.0.1.1;y=2;x=1>;expires=500",
                "<sip:a@127.0.1.1;x=1;y=2>;expires=400 | <sip:a@127.0.1.1;y=2;x=1>;expires=500",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<sip:a@127.0.1.1;y=2;x=1>;expires=500",
                "<sip:a@127.0.1.1;x=1;y=2>;expires=400 | <sip:a@127.0.1.1;y=2;x=1>;expires=500",
            ),
        },
        _REGISTER_EQUAL_HOST_CASE,
    ),
    Difference(
        ("register_equal_scheme_case",),
        {
            "caller 200 to 2 REGISTER.contact": (
                "<SIP:a@127.0.1.1>;expires=500",
                "<SIP:a@127.0.1.1>;expires=500 | <sip:a@127.0.1.1>;expires=400",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<SIP:a@127.0.1.1>;expires=500",
                "<SIP:a@127.0.1.1>;expires=500 | <sip:a@127.0.1.1>;expires=400",
            ),
        },
        _REGISTER_EQUAL_HOST_CASE,
    ),
    Difference(
        ("register_equal_parameter_case",),
        {
            "caller 200 to 2 REGISTER.contact": (
                "<sip:a@127.0.1.1;X=y>;expires=500",
                "<sip:a@127.0.1.1;X=y>;expires=500 | <sip:a@127.0.1.1;x=Y>;expires=400",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<sip:a@127.0.1.1;X=y>;expires=500",
                "<sip:a@127.0.1.1;X=y>;expires=500 | <sip:a@127.0.1.1;x=Y>;expires=400",
            ),
        },
        _REGISTER_EQUAL_HOST_CASE,
    ),
    Difference(
        ("register_contact_no_scheme",),
        {
            "caller": ("400 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<a@127.0.1.1>;expires=600"),
        },
        _REGISTER_CONTACT_NO_SCHEME,
    ),
    Difference(
        ("register_contact_bad_port",),
        {
            "caller": ("400 to 1 REGISTER, 200 to 90 REGISTER", "200 to 1 REGISTER, 200 to 90 REGISTER"),
            "caller 200 to 90 REGISTER.contact": ("absent", "<sip:a@127.0.1.1:99999>;expires=600"),
        },
        _REGISTER_CONTACT_NO_SCHEME,
    ),
    Difference(
        ("register_instance_moves",),
        {
            "caller 200 to 2 REGISTER.contact": (
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600 | '
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600',
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600',
            ),
            "caller 200 to 90 REGISTER.contact": (
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600 | '
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600',
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600',
            ),
        },
        "RFC 5626 §6: without reg-id an instance is not part of the key, and RFC 3261's rules apply. Kamailio "
        "takes the instance alone.",
    ),
    Difference(
        ("register_instance_with_reg_id",),
        {
            "caller 200 to 1 REGISTER.contact": (
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600',
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600;reg-id=1',
            ),
            "caller 200 to 2 REGISTER.contact": (
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600 | '
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600',
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600;reg-id=1 | '
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600;reg-id=2',
            ),
            "caller 200 to 90 REGISTER.contact": (
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600 | '
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600',
                '<sip:a@127.0.1.1>;+sip.instance="<urn:uuid:1>";expires=600;reg-id=1 | '
                '<sip:b@127.0.1.2:5080>;+sip.instance="<urn:uuid:1>";expires=600;reg-id=2',
            ),
        },
        "RFC 5626 §6: reg-id counts only where the client supports outbound; here it does not say so. Kamailio "
        "stores it always.",
    ),
    Difference(
        ("register_nine_contacts",),
        {
            "caller": (
                "200 to 1 REGISTER, 200 to 2 REGISTER, 200 to 3 REGISTER, 200 to 4 REGISTER, "
                "200 to 5 REGISTER, 200 to 6 REGISTER, 200 to 7 REGISTER, 200 to 8 REGISTER, "
                "200 to 9 REGISTER, 200 to 90 REGISTER",
                "200 to 1 REGISTER, 200 to 2 REGISTER, 200 to 3 REGISTER, 200 to 4 REGISTER, "
                "200 to 5 REGISTER, 200 to 6 REGISTER, 200 to 7 REGISTER, 200 to 8 REGISTER, "
                "503 to 9 REGISTER, 200 to 90 REGISTER",
            ),
            "caller 200 to 90 REGISTER.contact": (
                "<sip:1@127.0.1.1>;expires=600 | <sip:2@127.0.1.1>;expires=600 | "
                "<sip:3@127.0.1.1>;expires=600 | <sip:4@127.0.1.1>;expires=600 | "
                "<sip:5@127.0.1.1>;expires=600 | <sip:6@127.0.1.1>;expires=600 | "
                "<sip:7@127.0.1.1>;expires=600 | <sip:8@127.0.1.1>;expires=600",
                "<sip:0@127.0.1.1>;expires=600 | <sip:1@127.0.1.1>;expires=600 | "
                "<sip:2@127.0.1.1>;expires=600 | <sip:3@127.0.1.1>;expires=600 | "
                "<sip:4@127.0.1.1>;expires=600 | <sip:5@127.0.1.1>;expires=600 | "
                "<sip:6@127.0.1.1>;expires=600 | <sip:7@127.0.1.1>;expires=600",
            ),
        },
        "Design, [MS-SIPREGE]: of too many endpoints the one that signed in first gives way "
        "(MaxEndpointsPerUser). Kamailio refuses the ninth.",
    ),
    Difference(
        ("register_seventeen_at_once",),
        {
            "caller": ("400 to 1 REGISTER, 200 to 90 REGISTER", "503 to 1 REGISTER, 200 to 90 REGISTER"),
        },
        "§21.4.1: more contacts in one request than the gateway looks at; another time does not help, so not "
        "503 as Kamailio has it.",
    ),
    Difference(
        ("signed_out_user",),
        {
            "caller": (
                "200 to 1 REGISTER, 200 to 2 REGISTER, 480 to 1 INVITE",
                "200 to 1 REGISTER, 200 to 2 REGISTER, 404 to 1 INVITE",
            ),
        },
        "§21.4.18: the user exists and is not there now: 480. Kamailio forgets users without contacts.",
    ),
)
