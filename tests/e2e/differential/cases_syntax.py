"""Syntax: start lines, headers that are missing, double, broken or oddly written, lengths."""

from tests.e2e.differential.book import BOTH, TCP, UDP, case, one, raw
from tests.e2e.differential.stage import CHAT, Stage

# the plain case that the others vary

one("plain")
one("plain_invite", "INVITE", plays=(180, 200))

# mandatory headers: missing, twice, empty (RFC 3261 §8.1.1, §7.3.1)

for name in ("Via", "From", "To", "Call-ID", "CSeq"):
    one(f"no_{name.lower()}", change={name: None})
    one(f"empty_{name.lower()}", change={name: f"{name}:"})
one("two_from", extra=["From: <sip:other@contoso.com>;tag=tag-other"])
one("two_to", extra=["To: <sip:other@contoso.com>"])
one("two_call_id", extra=["Call-ID: {case}.2"])
one("two_cseq", extra=["CSeq: 2 OPTIONS"])
one("two_max_forwards", extra=["Max-Forwards: 3"])
one("two_content_length", extra=["Content-Length: 0"])
one("two_content_lengths_that_differ", extra=["Content-Length: 4"], transports=UDP)

# Max-Forwards (§16.3 item 3, §20.22)

one("max_forwards_absent", change={"Max-Forwards": None})
for number in ("0", "1", "255", "256", "-1", "abc", "", "007", "70 70"):
    label = {"": "empty", "-1": "negative", "70 70": "two_numbers"}.get(number, number)
    one(f"max_forwards_{label}", change={"Max-Forwards": f"Max-Forwards: {number}"}, transports=UDP)
one("max_forwards_0_to_the_proxy", uri="sip:{proxy}", change={"Max-Forwards": "Max-Forwards: 0"})
one("max_forwards_0_to_nobody", uri="sip:nobody@contoso.com", change={"Max-Forwards": "Max-Forwards: 0"})
one("max_forwards_0_ack", "ACK", change={"Max-Forwards": "Max-Forwards: 0"}, transports=UDP)

# CSeq (§8.1.1.5)

CSEQS = {
    "of_another_method": "1 INVITE", "2_to_the_31": "2147483648 OPTIONS", "2_to_the_32": "4294967296 OPTIONS",
    "negative": "-1 OPTIONS", "not_a_number": "one OPTIONS", "without_method": "1", "without_number": "OPTIONS",
    "leading_zeros": "0001 OPTIONS", "spaced": "1 \t OPTIONS", "lower_case_method": "1 options", "zero": "0 OPTIONS",
}  # fmt: skip
for label, value in CSEQS.items():
    one(f"cseq_{label}", change={"CSeq": f"CSeq: {value}"}, transports=UDP)

# start lines (§7.1)

STARTS = {
    "version_3": f"OPTIONS {CHAT} SIP/3.0", "version_lower_case": f"OPTIONS {CHAT} sip/2.0",
    "version_http": f"OPTIONS {CHAT} HTTP/1.1", "version_missing": f"OPTIONS {CHAT}",
    "two_spaces": f"OPTIONS  {CHAT} SIP/2.0", "trailing_space": f"OPTIONS {CHAT} SIP/2.0 ",
    "leading_space": f" OPTIONS {CHAT} SIP/2.0", "tabs": f"OPTIONS\t{CHAT}\tSIP/2.0",
    "method_not_a_token": f"OPT@IONS {CHAT} SIP/2.0", "uri_missing": "OPTIONS SIP/2.0",
    "uri_in_brackets": f"OPTIONS <{CHAT}> SIP/2.0", "uri_with_a_space": "OPTIONS sip:ocs chat@contoso.com SIP/2.0",
}  # fmt: skip
for label, start in STARTS.items():
    one(f"start_{label}", change={"start": start})
one("method_unknown", "CHEESE", uri=CHAT)
one("method_lower_case", "options", uri=CHAT)
one("method_of_token_characters", "A-.!%*_+`'~Z", uri=CHAT)
raw("leading_line_breaks", lambda s: b"\r\n" + s.request())

# header lines (§7.3)

LINES = {
    "unknown": "X-Unknown: what ever; it=is", "without_colon": "This is no header", "name_only": "Subject",
    "empty_value": "Subject:", "space_before_colon": "Subject : hello", "no_space": "Subject:hello",
    "many_spaces": "Subject:    hello   ", "name_with_space": "Sub ject: hello", "empty_name": ": hello",
    "utf_8": "Subject: caf\u00c3\u00a9", "latin_1": "Subject: caf\u00e9", "nul": "Subject: a\x00b",
    "control": "Subject: a\x01b", "tab": "Subject:\thello", "odd_case": "sUbJeCt: hello", "percent": "Subject: %00%zz",
    "folded": "Subject: one\r\n two\r\n\tthree", "fold_of_blanks": "Subject: one\r\n  \r\n two",
    "starts_with_fold": "Subject:\r\n one", "quoted": 'X-Quoted: "a, \\"b\\" <c>", d', "token_name": "X.!%*+`'~: 1",
    "same_twice_apart": "X-A: 1\r\nX-B: 2\r\nX-A: 3", "bare_cr": "Subject: a\rb", "bare_lf": "Subject: a\nb",
}  # fmt: skip
for label, line in LINES.items():
    one(f"line_{label}", extra=[line], transports=UDP)
one("compact_forms", change={
    "Via": "v: SIP/2.0/UDP {caller};branch=z9hG4bK-{case}.c", "From": "f: <sip:caller@contoso.com>;tag=tag-caller",
    "To": f"t: <{CHAT}>", "Call-ID": "i: {case}.1", "Content-Length": "l: 0",
}, extra=["s: hello", "k: 100rel, timer", "c: text/plain", "o: presence"], transports=UDP)  # fmt: skip
one("case_of_names", change={
    "Via": "VIA: SIP/2.0/UDP {caller};branch=z9hG4bK-{case}.c", "From": "fROM: <sip:caller@contoso.com>;tag=tag-caller",
    "To": f"tO: <{CHAT}>", "Call-ID": "cALL-iD: {case}.1", "CSeq": "cseq: 1 OPTIONS", "Max-Forwards": "MAX-forwards: 5",
}, transports=UDP)  # fmt: skip
one("folded_everywhere", change={
    "Via": "Via: SIP/2.0/UDP\r\n {caller}\r\n ;branch=z9hG4bK-{case}.c",
    "From": "From:\r\n <sip:caller@contoso.com>\r\n ;tag=tag-caller", "To": f"To:\r\n\t<{CHAT}>",
    "CSeq": "CSeq: 1\r\n OPTIONS", "Max-Forwards": "Max-Forwards:\r\n 12",
}, transports=UDP)  # fmt: skip
one("via_last", change={"Via": None, "more": "Via: SIP/2.0/UDP {caller};branch=z9hG4bK-{case}.c"}, transports=UDP)
one("two_hundred_lines", extra=[f"X-{number}: {number}" for number in range(200)], transports=UDP, slow=True)
one("long_line", extra=["Subject: " + "x" * 6000], transports=UDP, slow=True)
one("pass_through_of_broken_values", "INVITE", extra=[
    "Expires: soon", "Date: yesterday", "Content-Type: ;", "Warning: x", "Retry-After: late", "Allow: ,,", "Accept: /",
], transports=UDP)  # fmt: skip

# From and To (§20.20, §20.39, §25.1)

FROMS = {
    "quoted": '"A. Caller" <sip:caller@contoso.com>;tag=tag-caller',
    "no_brackets": "sip:caller@contoso.com;tag=tag-caller",
    "quote_open": '"A. Caller <sip:caller@contoso.com>;tag=tag-caller', "no_tag": "<sip:caller@contoso.com>",
    "bracket_open": "<sip:caller@contoso.com;tag=tag-caller",
    "escaped_quote": '"a \\" <b>, c" <sip:caller@contoso.com>;tag=tag-caller',
    "tokens": "A Caller <sip:caller@contoso.com>;tag=tag-caller", "tel": "<tel:+1234>;tag=tag-caller",
    "no_scheme": "<caller@contoso.com>;tag=tag-caller", "two_tags": "<sip:caller@contoso.com>;tag=tag-a;tag=tag-b",
    "text_after": "<sip:caller@contoso.com> x;tag=tag-caller",
    "spaced_params": "<sip:caller@contoso.com> ; tag = tag-caller",
    "unknown_scheme": "<nobody:knows>;tag=tag-caller", "upper_case_tag": "<sip:caller@contoso.com>;TAG=tag-caller",
    "bad_escape": "<sip:call%er@contoso.com>;tag=tag-caller", "empty_brackets": "<>;tag=tag-caller",
}  # fmt: skip
for label, value in FROMS.items():
    one(f"from_{label}", change={"From": f"From: {value}"}, transports=UDP)
one("to_empty_tag", change={"To": f"To: <{CHAT}>;tag="}, transports=UDP)
one("to_other_than_the_uri", change={"To": "To: <sip:other@elsewhere.example>"}, transports=UDP)
one("to_unknown_scheme", change={"To": "To: <nobody:knows>"}, transports=UDP)
one("call_id_with_odd_characters", change={"Call-ID": 'Call-ID: {case}.(<>)%"/[]?{}@x'}, transports=UDP)
one("call_id_with_a_space", change={"Call-ID": "Call-ID: {case}. x"}, transports=UDP)

# bodies and their length (§18.3, §20.14)

BODY = bytes(range(256)) * 2
one("body_of_all_bytes", "MESSAGE", body=BODY)
one("body_longer_than_said", change={"Content-Length": "Content-Length: 4"}, body=b"four and more", transports=UDP)
one("body_shorter_than_said", change={"Content-Length": "Content-Length: 40"}, body=b"four", transports=UDP)
one("content_length_absent", change={"Content-Length": None}, transports=BOTH)
one("content_length_absent_with_body", change={"Content-Length": None}, body=b"all of it", transports=UDP)
for label, value in {"negative": "-1", "not_a_number": "four", "huge": "99999999999", "empty": ""}.items():
    transports = UDP if label == "huge" else BOTH  # a stream has a case of its own for it
    one(f"content_length_{label}", change={"Content-Length": f"Content-Length: {value}"}, transports=transports)
one("body_of_60_kb", "MESSAGE", body=b"0123456789abcdef" * 3750, transports=TCP, slow=True)
one("body_of_30_kb", "MESSAGE", body=b"0123456789abcdef" * 1875, transports=UDP, slow=True)

# no messages at all

raw("no_blank_line", lambda s: s.request().removesuffix(b"\r\n"), transports=UDP)
raw("line_feeds_alone", lambda s: s.request().replace(b"\r\n", b"\n"), transports=UDP)
raw("empty_datagram", lambda s: b"", transports=UDP)
raw("keep_alive", lambda s: b"\r\n\r\n", transports=BOTH)
raw("noise", lambda s: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
raw("http", lambda s: b"GET / HTTP/1.1\r\nHost: contoso.com\r\n\r\n")


@case(BOTH)
def nothing_but_a_start_line(s: Stage) -> None:
    s.caller.send(f"OPTIONS {CHAT} SIP/2.0\r\n\r\n".encode())
    s.settle()
