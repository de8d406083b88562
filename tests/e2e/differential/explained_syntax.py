"""What differs of messages as such and streams, and why."""

from tests.e2e.differential.difference import Difference

_NO_FROM = (
    "§8.2, §16.3 item 1, §21.4.1: malformed is 400 where it can be answered at all. Kamailio's parser gives up "
    "before its script could answer; on a connection it hangs up."
)
_MAX_FORWARDS_0_TO_THE_PROXY = (
    "§16.3 item 3 is for a request that is to be forwarded; this one ends here. Kamailio's script looks at "
    "Max-Forwards first, as its makers' scripts do."
)
_CSEQ_2_TO_THE_31 = "§8.1.1.5: below 2**31, so it is malformed. Kamailio lets 64 bits through."
_LINE_NUL = (
    "§25.1: these are in no header's value, and a next hop that ends lines at one of them would find a header "
    "that nobody has checked: 400. Kamailio passes CR and NUL on and takes LF for the end of a line."
)
_CONTENT_LENGTH_TOO_GREAT_FOR_ANYBODY = (
    "§18.3: nothing tells where the message ends, so the connection cannot go on; sipgw says why before it ends "
    "it (§21.4.1, §21.4.11)."
)

SYNTAX: tuple[Difference, ...] = (
    Difference(
        (
            "no_from",
            "no_to",
            "empty_to",
            "no_call-id",
            "two_from",
            "two_from-tcp",
            "two_to",
            "two_to-tcp",
            "two_call_id",
            "two_call_id-tcp",
            "two_cseq",
            "two_cseq-tcp",
            "two_max_forwards",
            "two_max_forwards-tcp",
            "two_content_length",
            "two_content_length-tcp",
            "two_content_lengths_that_differ",
            "start_version_http",
            "start_version_http-tcp",
            "start_two_spaces",
            "start_uri_with_a_space",
            "line_without_colon",
            "line_name_only",
            "line_name_with_space",
            "line_empty_name",
            "content_length_negative",
            "content_length_not_a_number",
            "content_length_huge",
            "content_length_empty",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "nothing"),
        },
        _NO_FROM,
    ),
    Difference(
        (
            "no_from-tcp",
            "no_to-tcp",
            "empty_to-tcp",
            "no_call-id-tcp",
            "start_two_spaces-tcp",
            "start_uri_with_a_space-tcp",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "closed"),
        },
        _NO_FROM,
    ),
    Difference(
        ("empty_cseq",),
        {
            "caller": ("400 to ", "nothing"),
        },
        _NO_FROM,
    ),
    Difference(
        ("empty_cseq-tcp",),
        {
            "caller": ("400 to ", "closed"),
        },
        _NO_FROM,
    ),
    Difference(
        ("cseq_without_method",),
        {
            "caller": ("400 to 1", "nothing"),
        },
        _NO_FROM,
    ),
    Difference(
        ("cseq_without_number",),
        {
            "caller": ("400 to OPTIONS", "nothing"),
        },
        _NO_FROM,
    ),
    Difference(
        (
            "start_version_3",
            "start_version_3-tcp",
        ),
        {
            "caller": ("505 to 1 OPTIONS", "nothing"),
        },
        "§21.5.6: another version of SIP is 505. Kamailio's parser takes it for no SIP at all.",
    ),
    Difference(
        (
            "no_via-tcp",
            "empty_via-tcp",
            "no_cseq-tcp",
            "start_version_missing-tcp",
            "start_tabs-tcp",
            "start_uri_missing-tcp",
            "noise-tcp",
            "http-tcp",
            "nothing_but_a_start_line-tcp",
        ),
        {
            "caller": ("nothing", "closed"),
        },
        "Nobody can be told (§8.2.6.2 builds an answer from these very headers), and the stream can be "
        "followed: §18.3 asks for no end of the connection. Kamailio hangs up.",
    ),
    Difference(
        ("max_forwards_255",),
        {
            "pool OPTIONS.max-forwards": ("254", "70"),
        },
        "§16.6 item 3: one fewer, whatever it was. Kamailio cuts it down to a limit of its own.",
    ),
    Difference(
        ("max_forwards_256",),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§20.22: an integer from 0 to 255, so 256 is malformed. Kamailio cuts it down.",
    ),
    Difference(
        (
            "max_forwards_negative",
            "max_forwards_abc",
            "max_forwards_empty",
            "max_forwards_two_numbers",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "483 to 1 OPTIONS"),
        },
        "§20.22, §21.4.1: what is no number is malformed, 400; 483 (§16.3 item 3) is for a zero.",
    ),
    Difference(
        (
            "max_forwards_0_to_the_proxy",
            "max_forwards_0_to_the_proxy-tcp",
        ),
        {
            "caller": ("200 to 1 OPTIONS", "483 to 1 OPTIONS"),
        },
        _MAX_FORWARDS_0_TO_THE_PROXY,
    ),
    Difference(
        (
            "max_forwards_0_to_nobody",
            "max_forwards_0_to_nobody-tcp",
        ),
        {
            "caller": ("404 to 1 OPTIONS", "483 to 1 OPTIONS"),
        },
        _MAX_FORWARDS_0_TO_THE_PROXY,
    ),
    Difference(
        ("cseq_2_to_the_31",),
        {
            "caller": ("400 to 2147483648 OPTIONS", "200 to 2147483648 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        _CSEQ_2_TO_THE_31,
    ),
    Difference(
        ("cseq_2_to_the_32",),
        {
            "caller": ("400 to 4294967296 OPTIONS", "200 to 4294967296 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        _CSEQ_2_TO_THE_31,
    ),
    Difference(
        (
            "start_trailing_space",
            "start_trailing_space-tcp",
            "start_leading_space",
            "start_leading_space-tcp",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§7.1, §25.1: no white space around a request line, so 400; RFC 4475 §3.1.2.10 allows to repair it "
        "instead, which Kamailio does (a space before the method it hands on as it is).",
    ),
    Difference(
        ("line_token_name",),
        {
            "caller": ("200 to 1 OPTIONS", "nothing"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§25.1: every character of a token is good in a header's name. Kamailio's parser stops at some.",
    ),
    Difference(
        (
            "line_nul",
            "line_bare_cr",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        _LINE_NUL,
    ),
    Difference(
        ("line_bare_lf",),
        {
            "caller": ("400 to 1 OPTIONS", "nothing"),
        },
        _LINE_NUL,
    ),
    Difference(
        (
            "empty_call-id",
            "empty_call-id-tcp",
            "call_id_with_a_space",
        ),
        {
            "caller": ("400 to 1 OPTIONS", "200 to 1 OPTIONS"),
            "pool": ("nothing", "OPTIONS"),
        },
        "§20.8, §25.1: one word, or two with an @: else malformed. Kamailio takes any text, none too.",
    ),
    Difference(
        ("line_feeds_alone",),
        {
            "pool": ("nothing", "OPTIONS"),
        },
        "§7, §25.1: only CRLF ends a line, so there is no message. Kamailio ends lines at LF too.",
    ),
    Difference(
        ("folded_everywhere",),
        {
            "caller": ("200 to 1 OPTIONS", "nothing"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§7.3.1: a fold is white space in any header. Kamailio does not see it in some.",
    ),
    Difference(
        ("pass_through_of_broken_values",),
        {
            "caller": ("100 to 1 INVITE, 200 to 1 INVITE", "nothing"),
            "pool": ("INVITE", "nothing"),
        },
        "§16.3 item 1: a proxy does not look at headers that it needs not. Kamailio's sanity check reads "
        "Expires and drops the INVITE.",
    ),
    Difference(
        (
            "from_two_tags",
            "from_unknown_scheme",
            "to_unknown_scheme",
        ),
        {
            "caller": ("200 to 1 OPTIONS", "400 to 1 OPTIONS"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§16.3 item 1, §16.6: From and To pass through; of their URIs a proxy needs nothing. Kamailio's sanity "
        "check reads them.",
    ),
    Difference(
        ("body_longer_than_said",),
        {
            "caller": ("200 to 1 OPTIONS", "400 to 1 OPTIONS"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§18.3: of a datagram the bytes beyond Content-Length are discarded. Kamailio refuses it.",
    ),
    Difference(
        ("content_length_absent-tcp",),
        {
            "caller": ("200 to 1 OPTIONS", "closed"),
            "pool": ("OPTIONS", "nothing"),
        },
        "§20.14: Content-Length has to be there on a stream. Without one sipgw takes the body for empty, "
        "Kamailio hangs up. What a receiver does is left open.",
    ),
    Difference(
        ("content_length_too_great_for_anybody-tcp",),
        {
            "caller": ("413 to 1 MESSAGE, closed", "closed"),
        },
        _CONTENT_LENGTH_TOO_GREAT_FOR_ANYBODY,
    ),
    Difference(
        (
            "content_length_negative-tcp",
            "content_length_not_a_number-tcp",
            "content_length_empty-tcp",
        ),
        {
            "caller": ("400 to 1 OPTIONS, closed", "closed"),
        },
        _CONTENT_LENGTH_TOO_GREAT_FOR_ANYBODY,
    ),
    Difference(
        ("broken_line_then_good-tcp",),
        {
            "caller": ("400 to 1 OPTIONS, 200 to 1 OPTIONS", "200 to 1 OPTIONS"),
        },
        "§21.4.1: the malformed request gets its 400; both go on with the stream. Kamailio says nothing to the first.",
    ),
    Difference(
        ("content_length_folded-tcp",),
        {
            "caller": ("200 to 1 MESSAGE, 200 to 1 OPTIONS", "closed"),
            "pool": ("MESSAGE, OPTIONS", "nothing"),
        },
        "§7.3.1: a fold is white space in any header. Kamailio hangs up.",
    ),
)
