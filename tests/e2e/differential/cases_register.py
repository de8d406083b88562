"""The registrar (RFC 3261 §10): add, refresh, remove, query, intervals, order, equality, Path."""

from collections.abc import Iterable

from tests.e2e.differential.book import BOTH, UDP, add, case
from tests.e2e.differential.stage import Change, Stage

A, B = "<sip:a@127.0.1.1>", "<sip:b@127.0.1.2:5080>"


def registers(name: str, *steps: Iterable[str], transports: Iterable[str] = UDP, change: Change | None = None) -> None:
    """The caller's REGISTERs, one after the other with rising CSeq, each with these header lines; then a query."""

    def script(s: Stage) -> None:
        for number, lines in enumerate(steps, 1):
            s.register(s.caller, *lines, seq=number, change=change)
        s.register(s.caller, seq=90, call="query", change=change)

    add(f"register_{name}", script, transports)


def contacts(*values: str) -> list[str]:
    return [f"Contact: {value}" for value in values]


# adding, refreshing, removing (§10.2.1, §10.2.2, §10.2.4)

registers("nothing")
registers("add", contacts(A), transports=BOTH)
registers("add_two_in_a_line", contacts(f"{A}, {B}"), transports=BOTH)
registers("add_two_in_lines", contacts(A, B))
registers("refresh", contacts(f"{A};expires=400"), contacts(f"{A};expires=500"))
registers("add_another", contacts(A), contacts(B))
registers("remove", contacts(A), contacts(f"{A};expires=0"))
registers("remove_by_header", contacts(A, B), [*contacts(A), "Expires: 0"])
registers("remove_one_of_two", contacts(A, B), contacts(f"{A};expires=0"))
registers("remove_the_unknown", contacts(f"{A};expires=0"))
registers("replace_in_one", contacts(A), contacts(f"{A};expires=0", B))
registers("same_contact_twice_in_one", contacts(f"{A};expires=400", f"{A};expires=500"))
registers("compact_contact", [f"m: {A}"])

# wildcard (§10.2.2, §10.3 step 6)

registers("wildcard", contacts(A, B), ["Contact: *", "Expires: 0"])
registers("wildcard_of_nothing", ["Contact: *", "Expires: 0"])
registers("wildcard_without_expires", contacts(A), ["Contact: *"])
registers("wildcard_with_time", contacts(A), ["Contact: *", "Expires: 600"])
registers("wildcard_with_another", contacts(A), [f"Contact: *, {B}", "Expires: 0"])
registers("wildcard_then_another_line", contacts(A), ["Contact: *", f"Contact: {B}", "Expires: 0"])
registers("wildcard_in_brackets", contacts(A), ["Contact: <*>", "Expires: 0"])
registers("wildcard_with_parameter", contacts(A), ["Contact: *;expires=0", "Expires: 0"])

# intervals (§10.2.1.1, §10.3 step 7, §20.19)

for label, lines in {
    "parameter": contacts(f"{A};expires=400"), "header": [*contacts(A), "Expires: 400"],
    "parameter_and_header": [*contacts(f"{A};expires=400"), "Expires: 500"],
    "parameter_for_one": [*contacts(f"{A};expires=400", B), "Expires: 500"],
    "too_brief": contacts(f"{A};expires=60"), "too_brief_by_header": [*contacts(A), "Expires: 60"],
    "just_enough": contacts(f"{A};expires=300"), "too_long": contacts(f"{A};expires=7200"),
    "huge": contacts(f"{A};expires=4294967296"), "beyond_huge": contacts(f"{A};expires=99999999999999"),
    "not_a_number": contacts(f"{A};expires=soon"), "header_not_a_number": [*contacts(A), "Expires: soon"],
    "negative": contacts(f"{A};expires=-5"), "quoted": contacts(f'{A};expires="400"'),
    "empty": contacts(f"{A};expires="),
    "one_too_brief_of_two": contacts(f"{A};expires=400", f"{B};expires=10"), "upper_case": contacts(f"{A};EXPIRES=400"),
}.items():  # fmt: skip
    registers(f"expires_{label}", lines)

# q (§20.10, §25.1)

for value in ("0.5", "1", "1.0", "0", "0.123", "1.5", "-1", "x", "", "0.1234", ".5"):
    registers(f"q_{value or 'empty'}", contacts(f"{A};q={value}"))

# order of requests (§10.3 step 7)


@case()
def register_cseq_lower(s: Stage) -> None:
    s.register(s.caller, *contacts(f"{A};expires=400"), seq=5)
    s.register(s.caller, *contacts(f"{A};expires=500"), seq=4)
    s.register(s.caller, seq=90, call="query")


@case()
def register_cseq_same(s: Stage) -> None:
    s.register(s.caller, *contacts(f"{A};expires=400"), seq=5)
    s.register(s.caller, *contacts(f"{A};expires=500"), seq=5)
    s.register(s.caller, seq=90, call="query")


@case()
def register_cseq_lower_of_another_call(s: Stage) -> None:
    s.register(s.caller, *contacts(f"{A};expires=400"), seq=5)
    s.register(s.caller, *contacts(f"{A};expires=500"), seq=4, call="other")
    s.register(s.caller, seq=90, call="query")


@case()
def register_cseq_lower_to_remove(s: Stage) -> None:
    s.register(s.caller, *contacts(A), seq=5)
    s.register(s.caller, "Contact: *", "Expires: 0", seq=4)
    s.register(s.caller, seq=90, call="query")


@case()
def register_cseq_lower_for_one_of_two(s: Stage) -> None:
    """All or nothing: B is new, A is late."""
    s.register(s.caller, *contacts(f"{A};expires=400"), seq=5)
    s.register(s.caller, *contacts(B, f"{A};expires=500"), seq=4)
    s.register(s.caller, seq=90, call="query")


@case()
def register_again(s: Stage) -> None:
    """A retransmission, branch and all."""
    again = s.request("REGISTER", "sip:contoso.com", {"To": f"To: <sip:{s.user}@contoso.com>"}, contacts(A))
    s.caller.send(again)
    s.wait_for(lambda: bool(s.caller.heard), "the answer")
    s.caller.send(again)
    s.wait_for(lambda: len(s.caller.heard) > 1, "the answer again")
    s.register(s.caller, seq=90, call="query")


# who and where (§10.3 steps 1-5)

for label, to in {
    "unknown_domain": "<sip:a@elsewhere.example>", "no_user": "<sip:contoso.com>", "tel": "<tel:+123>",
    "upper_case": "<sip:{user}@CONTOSO.com>", "parameters": "<sip:{user}@contoso.com;x=y>;z=1",
    "sips": "<sips:{user}@contoso.com>",
    "tagged": "<sip:{user}@contoso.com>;tag=tag-x", "display_name": '"Me, Myself" <sip:{user}@contoso.com>',
    "port": "<sip:{user}@contoso.com:5060>", "no_brackets": "sip:{user}@contoso.com",
    "an_endpoint": "<sip:sparechat@contoso.com>",
}.items():  # fmt: skip
    registers(f"to_{label}", contacts(A), change={"To": f"To: {to}"})
registers("by_a_third_party", contacts(A), change={"From": "From: <sip:boss@contoso.com>;tag=tag-b"})
registers("uri_with_a_user", contacts(A), change={"start": "REGISTER sip:{user}@contoso.com SIP/2.0"})
registers("uri_of_the_proxy", contacts(A), change={"start": "REGISTER sip:{proxy} SIP/2.0"})
registers("uri_foreign", contacts(A), change={"start": "REGISTER sip:elsewhere.example SIP/2.0"})
registers("require_unknown", [*contacts(A), "Require: nothing-we-know"])
registers("require_path", [*contacts(A), "Require: path", "Supported: path", "Path: <sip:127.0.1.5;lr>"])
registers("route_to_us", [*contacts(A), "Route: <sip:{proxy};lr>"])
registers("with_a_body", [*contacts(A), "Content-Type: text/plain"])

# equality of contacts (§10.3 step 7, §19.1.4)

for label, (first, second) in {
    "host_case": ("<sip:a@host.example>", "<sip:a@HOST.example>"),
    "user_case": ("<sip:a@127.0.1.1>", "<sip:A@127.0.1.1>"),
    "default_port": ("<sip:a@127.0.1.1>", "<sip:a@127.0.1.1:5060>"),
    "escape": ("<sip:a@127.0.1.1>", "<sip:%61@127.0.1.1>"),
    "parameter": ("<sip:a@127.0.1.1>", "<sip:a@127.0.1.1;x=y>"),
    "transport": ("<sip:a@127.0.1.1>", "<sip:a@127.0.1.1;transport=udp>"),
    "parameter_order": ("<sip:a@127.0.1.1;x=1;y=2>", "<sip:a@127.0.1.1;y=2;x=1>"), "scheme": (A, "<sips:a@127.0.1.1>"),
    "display_name": (A, f'"Me" {A}'), "scheme_case": (A, "<SIP:a@127.0.1.1>"),
    "parameter_case": ("<sip:a@127.0.1.1;x=Y>", "<sip:a@127.0.1.1;X=y>"),
    "headers": ("<sip:a@127.0.1.1>", "<sip:a@127.0.1.1?Subject=x>"), "no_brackets": (A, "sip:a@127.0.1.1"),
}.items():  # fmt: skip
    registers(
        f"equal_{label}",
        contacts(f"{first};expires=400"),
        contacts(f"{second};expires=500"),
    )

# contacts that are odd (§10.3 step 7)

for label, value in {
    "mailto": "<mailto:a@contoso.com>", "tel": "<tel:+123>", "no_user": "<sip:127.0.1.1>", "broken": "<sip:a@127.0.1.1",
    "no_scheme": "<a@127.0.1.1>", "empty": "", "ipv6": "<sip:a@[2001:db8::1]:5070>",
    "bad_port": "<sip:a@127.0.1.1:99999>",
    "unknown_parameters": f"{A};x=y;z",
    "instance": f'{A};+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"',
    "methods": f'{A};methods="INVITE, BYE"', "display_name": f'"A, B" {A}',
    "no_brackets_with_parameter": "sip:a@127.0.1.1;q=0.5",
}.items():  # fmt: skip
    registers(f"contact_{label}", contacts(value))
registers(
    "instance_moves", contacts(f'{A};+sip.instance="<urn:uuid:1>"'), contacts(f'{B};+sip.instance="<urn:uuid:1>"')
)
registers("instance_with_reg_id", contacts(f'{A};+sip.instance="<urn:uuid:1>";reg-id=1'),
          contacts(f'{B};+sip.instance="<urn:uuid:1>";reg-id=2'))  # fmt: skip
registers("nine_contacts", *[contacts(f"<sip:{number}@127.0.1.1>") for number in range(9)])
registers("seventeen_at_once", contacts(*[f"<sip:{number}@127.0.1.1>" for number in range(17)]))

# Path (RFC 3327)

registers("path", [*contacts(A), "Supported: path", "Path: <sip:127.0.1.5;lr>"])
registers("path_unsupported", [*contacts(A), "Path: <sip:127.0.1.5;lr>"])
registers("two_paths", [*contacts(A), "Supported: path", "Path: <sip:127.0.1.5;lr>, <sip:127.0.1.6;lr>"])


@case()
def path_is_followed(s: Stage) -> None:
    """The request goes by the Path, which stands in Route (RFC 3327 §5.3). Only a trusted proxy may set one."""
    edge = s.trunk()
    s.register(edge, *contacts("<sip:phone@127.0.1.4>"), "Supported: path", f"Path: <sip:edge@{edge.address};lr>")
    s.caller.send(s.request("INVITE", f"sip:{s.user}@contoso.com"))
    s.settle()


@case()
def path_of_two_is_followed(s: Stage) -> None:
    edge = s.trunk()
    path = f"Path: <sip:edge@{edge.address};lr>,<sip:127.0.1.9;lr>"
    s.register(edge, *contacts("<sip:phone@127.0.1.4>"), "Supported: path", "Require: path", path)
    s.caller.send(s.request("MESSAGE", f"sip:{s.user}@contoso.com"))
    s.settle()


# what comes after


@case()
def signed_out_user(s: Stage) -> None:
    s.register(s.caller, *contacts(A))
    s.register(s.caller, "Contact: *", "Expires: 0", seq=2)
    s.caller.send(s.request("INVITE", f"sip:{s.user}@contoso.com"))
    s.settle()
