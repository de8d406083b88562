"""What differs of forks, and why."""

from tests.e2e.differential.difference import Difference

_FORK_BOTH_BUSY = (
    "§16.7 item 6: any response of the lowest class (or any 6xx). sipgw takes the first, Kamailio the lowest "
    "code, and the last that it forked to among equals."
)
_FORK_401_AND_407 = (
    "§16.7 item 7: the chosen response is forwarded with the challenges of all others added, in any order. "
    "Kamailio makes a response of its own."
)

FORKS: tuple[Difference, ...] = (
    Difference(
        ("fork_both_busy",),
        {
            "caller 486 to 1 INVITE.to": (
                " <sip:user-fork_both_busy@contoso.com>;tag=tag-a",
                " <sip:user-fork_both_busy@contoso.com>;tag=tag-b",
            ),
            "caller 486 to 1 INVITE.x-said": (" a", " b"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("fork_486_and_404",),
        {
            "caller": ("100 to 1 INVITE, 486 to 1 INVITE", "100 to 1 INVITE, 404 to 1 INVITE"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("fork_302_and_302",),
        {
            "caller": ("100 to 1 INVITE, 302 to 1 INVITE", "100 to 1 INVITE, 301 to 1 INVITE"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("fork_600_and_604",),
        {
            "caller": ("100 to 1 INVITE, 604 to 1 INVITE", "100 to 1 INVITE, 600 to 1 INVITE"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("fork_three_fail",),
        {
            "caller": ("100 to 1 INVITE, 404 to 1 INVITE", "100 to 1 INVITE, 403 to 1 INVITE"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("serial_both_fail",),
        {
            "caller": ("100 to 1 INVITE, 404 to 1 INVITE", "100 to 1 INVITE, 486 to 1 INVITE"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("cancel_of_a_fork",),
        {
            "caller 487 to 1 INVITE.to": (
                " <sip:user-cancel_of_a_fork@contoso.com>;tag=tag-a",
                " <sip:user-cancel_of_a_fork@contoso.com>;tag=tag-b",
            ),
            "caller 487 to 1 INVITE.x-said": (" a", " b"),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("provisional_after_a_failure_of_the_other",),
        {
            "caller": (
                "100 to 1 INVITE, 180 to 1 INVITE, 183 to 1 INVITE, 486 to 1 INVITE",
                "100 to 1 INVITE, 180 to 1 INVITE, 183 to 1 INVITE, 404 to 1 INVITE",
            ),
        },
        _FORK_BOTH_BUSY,
    ),
    Difference(
        ("serial_401_first",),
        {
            "caller": ("100 to 1 INVITE, 401 to 1 INVITE", "100 to 1 INVITE, 486 to 1 INVITE"),
        },
        "§16.7 item 6: within 4xx those that let the caller do better should win, 401 among them. Kamailio "
        "returns what failed last.",
    ),
    Difference(
        ("fork_603_and_200",),
        {
            "caller": ("100 to 1 INVITE, 180 to 1 INVITE, 200 to 1 INVITE", "100 to 1 INVITE, 200 to 1 INVITE"),
        },
        "§16.7 item 5: provisional responses are forwarded until a final one is. Kamailio keeps back those that "
        "come after a 6xx.",
    ),
    Difference(
        ("fork_401_and_407",),
        {
            "caller 401 to 1 INVITE.content-length": (" 0", "absent"),
            "caller 401 to 1 INVITE.order": (
                "From, To, Call-ID, CSeq, X-Said, WWW-Authenticate, Proxy-Authenticate",
                "absent",
            ),
            "caller 401 to 1 INVITE.reason": ("Said", "absent"),
            "caller 401 to 1 INVITE.to": (
                " <sip:user-fork_401_and_407@contoso.com>;tag=tag-a",
                " <sip:user-fork_401_and_407@contoso.com>;tag={tag}",
            ),
            "caller 401 to 1 INVITE.x-said": (" a", "absent"),
        },
        _FORK_401_AND_407,
    ),
    Difference(
        ("fork_407_and_407",),
        {
            "caller 407 to 1 INVITE.content-length": (" 0", "absent"),
            "caller 407 to 1 INVITE.order": (
                "From, To, Call-ID, CSeq, X-Said, Proxy-Authenticate, Proxy-Authenticate",
                "absent",
            ),
            "caller 407 to 1 INVITE.proxy-authenticate": (
                ' Digest realm="a", nonce="1" |  Digest realm="b", nonce="1"',
                ' Digest realm="b", nonce="1" |  Digest realm="a", nonce="1"',
            ),
            "caller 407 to 1 INVITE.reason": ("Said", "absent"),
            "caller 407 to 1 INVITE.to": (
                " <sip:user-fork_407_and_407@contoso.com>;tag=tag-a",
                " <sip:user-fork_407_and_407@contoso.com>;tag={tag}",
            ),
            "caller 407 to 1 INVITE.x-said": (" a", "absent"),
        },
        _FORK_401_AND_407,
    ),
    Difference(
        ("fork_401_and_401",),
        {
            "caller 401 to 1 INVITE.content-length": (" 0", "absent"),
            "caller 401 to 1 INVITE.order": (
                "From, To, Call-ID, CSeq, X-Said, WWW-Authenticate, WWW-Authenticate",
                "absent",
            ),
            "caller 401 to 1 INVITE.reason": ("Said", "absent"),
            "caller 401 to 1 INVITE.to": (
                " <sip:user-fork_401_and_401@contoso.com>;tag=tag-a",
                " <sip:user-fork_401_and_401@contoso.com>;tag={tag}",
            ),
            "caller 401 to 1 INVITE.www-authenticate": (
                ' Digest realm="a", nonce="1" |  Digest realm="b", nonce="1"',
                ' Digest realm="b", nonce="1" |  Digest realm="a", nonce="1"',
            ),
            "caller 401 to 1 INVITE.x-said": (" a", "absent"),
        },
        _FORK_401_AND_407,
    ),
    Difference(
        ("q_absent_counts_as_one",),
        {
            "a": ("nothing", "INVITE"),
            "b": ("INVITE", "nothing"),
        },
        "§20.10 leaves open what a Contact without q means: to sipgw the highest preference, to Kamailio the lowest.",
    ),
    Difference(
        ("contact_with_parameters",),
        {
            "a 200 to 1 REGISTER.contact": (
                "<sip:a%20b@{a};x=y;ob>;expires=600",
                "<sip:a%20b@{a};x=y;ob>;expires=600;q=1",
            ),
        },
        "§20.10: q=1.0 and none are the same preference to sipgw, so it says nothing of it.",
    ),
    Difference(
        ("servers_both_are_busy",),
        {
            "caller": ("100 to 1 INVITE, 503 to 1 INVITE", "100 to 1 INVITE, 500 to 1 INVITE"),
        },
        "§16.7 item 6 lets 503 through where any request would meet it: this is a whole pool (ms-diagnostics "
        "20000). Kamailio makes it 500.",
    ),
)
