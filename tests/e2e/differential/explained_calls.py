"""What differs of dialogs, retransmissions, CANCEL, odd answers and silence, and why."""

from tests.e2e.differential.difference import Difference

_CANCEL_BEFORE_ANY_ANSWER = (
    "§16.7 item 5: provisional responses are forwarded until a final one is; a CANCEL does not change that "
    "(§9.2). Kamailio keeps them back (and answers a further one with a further CANCEL)."
)
_CANCEL_WITHOUT_INVITE = (
    "Design: the gateway holds state for every INVITE that it forwards, so a CANCEL without one can belong to "
    "nothing further on: 481 (§9.2). §16.10 has it forwarded for the sake of stateless forwarding, as Kamailio "
    "does."
)
_ANSWER_199 = "RFC 4320 §4.1: no provisional but 100 to anything but INVITE. Kamailio passes on what comes."
_ANSWER_700 = (
    "§7.2, RFC 4475 §3.1.2.19: no such class; a response that cannot be read is discarded. Kamailio passes it on."
)
_ANSWER_OTHER_BRANCH = (
    "§18.1.2, RFC 6026 §8: a response to nothing, or with another's Via on top, is not forwarded. Kamailio "
    "forwards by the next Via."
)

_RECORDED_NOTIFY = (
    "RFC 6665 §4.3, §4.4.1: a NOTIFY may be the first that a subscriber hears of a dialog, and its Record-Route is the "
    "route set then; so every one is recorded, and its answer copies that. Kamailio's script records only what has no "
    "To tag."
)

CALLS: tuple[Difference, ...] = (
    Difference(
        ("subscription",),
        {
            "caller NOTIFY.record-route": ("<sip:{proxy};lr>", "absent"),
            "pool 200 to 1 NOTIFY.record-route": ("<sip:{proxy};lr>", "absent"),
        },
        _RECORDED_NOTIFY,
    ),
    Difference(
        ("tcp_pool_calls_back",),
        {
            "caller NOTIFY.record-route": ("<sip:{proxy};lr> | <sip:{proxy};lr;transport=tcp>", "absent"),
            "tcppool 200 to 7 NOTIFY.record-route": ("<sip:{proxy};lr> | <sip:{proxy};lr;transport=tcp>", "absent"),
        },
        _RECORDED_NOTIFY,
    ),
    Difference(
        ("inside_without_route",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE, 200 to 2 INFO",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE, 403 to 2 INFO",
            ),
            "pool": ("INVITE, ACK, INFO", "INVITE, ACK"),
        },
        "Design: the Request-URI names a pool's server by address, which is let through; with Kamailio's script "
        "it is a foreign address.",
    ),
    Difference(
        (
            "inside_with_another_call_id",
            "inside_from_a_third_party",
        ),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE, 481 to 2 INFO",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE, 200 to 2 INFO",
            ),
            "pool": ("INVITE, ACK", "INVITE, ACK, INFO"),
        },
        "Design: the flow token in Route serves its own dialog only (Call-ID and tags), so nobody can borrow "
        "it. Kamailio's Route leads anybody anywhere.",
    ),
    Difference(
        ("inside_to_a_foreign_target",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE, 200 to 2 INFO",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE",
            ),
            "pool": ("INVITE, ACK, INFO", "INVITE, ACK"),
        },
        "Design: within a dialog the flow token says where the other side is, not the Request-URI, so a client "
        "behind NAT is reached. Kamailio sends to the Request-URI (§16.6 item 7), where nobody is.",
    ),
    Difference(
        ("invite_again_after_200",),
        {
            "caller": ("100 to 1 INVITE, 200 to 1 INVITE", "100 to 1 INVITE, 200 to 1 INVITE, 200 to 1 INVITE"),
        },
        "RFC 6026 §7.1: after a 2xx the server transaction absorbs INVITEs, the callee repeats its 2xx. "
        "Kamailio repeats it itself, as RFC 3261 had it.",
    ),
    Difference(
        ("same_branch_other_sent_by",),
        {
            "other": ("200 to 1 OPTIONS", "nothing"),
            "pool": ("OPTIONS, OPTIONS", "OPTIONS"),
        },
        "§17.2.3: sent-by is part of the match, as clients may choose the same branch. To Kamailio it is a "
        "retransmission, with the answer for somebody else.",
    ),
    Difference(
        ("success_after_failure",),
        {
            "caller": ("100 to 1 INVITE, 486 to 1 INVITE", "100 to 1 INVITE, 486 to 1 INVITE, 200 to 1 INVITE"),
        },
        "§17.1.1.2: in Completed a 2xx is not expected and the transaction user hears nothing. Kamailio passes "
        "it on after the 486, and the caller has two final answers.",
    ),
    Difference(
        ("failure_after_success",),
        {
            "pool": ("INVITE", "INVITE, ACK"),
        },
        "RFC 6026 §7.2: in Accepted only 2xx counts. Kamailio acknowledges a 486 that comes after the 200 of "
        "the same branch.",
    ),
    Difference(
        ("cancel_before_any_answer",),
        {
            "caller": (
                "100 to 1 INVITE, 200 to 1 CANCEL, 180 to 1 INVITE, 487 to 1 INVITE",
                "100 to 1 INVITE, 200 to 1 CANCEL, 487 to 1 INVITE",
            ),
        },
        _CANCEL_BEFORE_ANY_ANSWER,
    ),
    Difference(
        ("cancel_then_provisional",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL, 183 to 1 INVITE",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL",
            ),
            "pool": ("INVITE, CANCEL", "INVITE, CANCEL, CANCEL"),
        },
        _CANCEL_BEFORE_ANY_ANSWER,
    ),
    Difference(
        ("cancel_of_a_fork_with_a_silent_branch",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL, 180 to 1 INVITE",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL",
            ),
        },
        _CANCEL_BEFORE_ANY_ANSWER,
    ),
    Difference(
        ("cancel_without_invite",),
        {
            "caller": ("481 to 1 CANCEL", "200 to 1 CANCEL"),
            "pool": ("nothing", "CANCEL"),
        },
        _CANCEL_WITHOUT_INVITE,
    ),
    Difference(
        ("cancel_without_invite_to_nobody",),
        {
            "caller": ("481 to 1 CANCEL", "404 to 1 CANCEL"),
        },
        _CANCEL_WITHOUT_INVITE,
    ),
    Difference(
        ("cancel_with_another_branch",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 481 to 1 CANCEL",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL",
            ),
            "pool": ("INVITE", "INVITE, CANCEL"),
        },
        _CANCEL_WITHOUT_INVITE,
    ),
    Difference(
        ("cancel_with_another_call_id",),
        {
            "caller 200 to 1 CANCEL.content-length": ("absent", " 0"),
            "caller 200 to 1 CANCEL.order": ("absent", "From, To, Call-ID, CSeq, X-Said"),
            "caller 200 to 1 CANCEL.reason": ("absent", "Said"),
            "caller 200 to 1 CANCEL.to": (
                " <sip:ocschat@contoso.com>;tag={tag}",
                " <sip:ocschat@contoso.com>;tag=tag-pool",
            ),
            "caller 200 to 1 CANCEL.x-said": ("absent", " pool"),
            "pool CANCEL.call-id": (" cancel_with_another_call_id.1", " cancel_with_another_call_id.other"),
            "pool CANCEL.content-length": ("absent", " 0"),
            "pool CANCEL.max-forwards": ("absent", "69"),
            "pool CANCEL.order": ("absent", "From, To, Call-ID, CSeq"),
            "pool CANCEL.via": (
                "SIP/2.0/UDP {proxy};branch={branch}",
                "SIP/2.0/UDP {proxy};branch={branch} | "
                "SIP/2.0/UDP {caller};branch=z9hG4bK-cancel_with_another_call_id.invite",
            ),
        },
        "§9.2, §17.2.3: branch, sent-by and method make the match, so it cancels. Kamailio compares Call-ID too "
        "and forwards it.",
    ),
    Difference(
        ("cancel_with_proxy_require",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL",
                "100 to 1 INVITE, 180 to 1 INVITE, 420 to 1 CANCEL",
            ),
            "pool": ("INVITE, CANCEL", "INVITE"),
        },
        "§8.2.2.3: Proxy-Require in a CANCEL is to be ignored. Kamailio's sanity check refuses it.",
    ),
    Difference(
        ("cancel_with_max_forwards_0",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL",
                "100 to 1 INVITE, 180 to 1 INVITE, 483 to 1 CANCEL",
            ),
            "pool": ("INVITE, CANCEL", "INVITE"),
        },
        "§16.3 item 3 is for what is forwarded; a CANCEL is answered here (§16.10). Kamailio's script looks at "
        "Max-Forwards first.",
    ),
    Difference(
        ("answer_199",),
        {
            "caller": ("nothing", "199 to 1 OPTIONS"),
        },
        _ANSWER_199,
    ),
    Difference(
        ("fork_options_1xx",),
        {
            "caller": ("200 to 1 OPTIONS", "180 to 1 OPTIONS, 200 to 1 OPTIONS"),
        },
        _ANSWER_199,
    ),
    Difference(
        ("answer_700",),
        {
            "caller": ("nothing", "700 to 1 OPTIONS"),
        },
        _ANSWER_700,
    ),
    Difference(
        ("answer_status_999",),
        {
            "caller": ("nothing", "999 to 1 OPTIONS"),
        },
        _ANSWER_700,
    ),
    Difference(
        ("answer_other_cseq_method",),
        {
            "caller": ("nothing", "200 to 1 INVITE"),
        },
        "§17.1.3: the method in CSeq is part of the match. Kamailio passes on what it cannot match.",
    ),
    Difference(
        ("answer_only_our_via",),
        {
            "caller": ("502 to 1 OPTIONS", "200 to 1 OPTIONS"),
        },
        "§16.7 item 3: a response with no Via below ours was meant for us and is not forwarded; the caller gets "
        "502 for a server that does not answer properly. Kamailio answers from what it remembers.",
    ),
    Difference(
        (
            "answer_other_branch",
            "answer_extra_via",
        ),
        {
            "caller": ("nothing", "200 to 1 OPTIONS"),
        },
        _ANSWER_OTHER_BRANCH,
    ),
    Difference(
        ("answer_to_nothing",),
        {
            "third": ("nothing", "200 to 1 INVITE"),
        },
        _ANSWER_OTHER_BRANCH,
    ),
    Difference(
        (
            "answer_too_long",
            "answer_line_without_colon",
            "answer_two_to",
        ),
        {
            "caller": ("nothing", "200 to 1 OPTIONS"),
        },
        "§18.3 (a datagram shorter than Content-Length), §7.3.1: a response that is malformed is discarded, as "
        "there is nobody to tell. Kamailio passes it on.",
    ),
    Difference(
        ("fork_of_one_message_408",),
        {
            "caller": ("nothing", "408 to 1 MESSAGE"),
        },
        "RFC 4320 §4.2: no 408 to anything but INVITE, it comes too late by nature. Kamailio passes it on.",
    ),
    Difference(
        ("silent_phone_and_message",),
        {
            "caller": (
                "100 to 1 INVITE, 100 to 1 MESSAGE, 408 to 1 INVITE",
                "100 to 1 INVITE, 408 to 1 MESSAGE, 408 to 1 INVITE",
            ),
        },
        "RFC 4320 §4.1, §4.2: 100 once Timer E has come to T2, and no 408 to anything but INVITE. Kamailio does "
        "as RFC 3261 did.",
    ),
    Difference(
        ("silent_phone_answers_too_late",),
        {
            "caller": ("100 to 1 INVITE, 408 to 1 INVITE", "100 to 1 INVITE, 408 to 1 INVITE, 200 to 1 INVITE"),
        },
        "§17.1.1.2: Timer B ended the transaction, so the 200 belongs to nothing. Kamailio passes on a 200 "
        "after its 408, and the caller has two final answers.",
    ),
    Difference(
        ("silent_phone_of_two",),
        {
            "caller": ("100 to 1 INVITE, 486 to 1 INVITE", "100 to 1 INVITE, 408 to 1 INVITE"),
        },
        "§16.7 item 6: any response of the lowest class; sipgw takes one that was received before one of its "
        "own making, because it says more.",
    ),
    Difference(
        ("cancelled_phone_stays_silent",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL, 487 to 1 INVITE",
                "100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 CANCEL",
            ),
        },
        "§9.1: 64*T1 after the CANCEL the transaction counts as cancelled, and the caller gets its 487. "
        "Kamailio waits for as long as a phone may ring.",
    ),
    Difference(
        ("silent_server",),
        {
            "caller": ("100 to 1 INVITE, 504 to 1 INVITE", "100 to 1 INVITE, 408 to 1 INVITE"),
        },
        "Design: a pool whose servers are all silent is 504 with ms-diagnostics 1011 that names them. §16.8 has "
        "408, as Kamailio does.",
    ),
)
