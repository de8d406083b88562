"""SIP URIs (RFC 3261 §19.1)."""

from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sipgw.message import MalformedUri, parse_uri
from sipgw.message.uri import MAX_URI, equivalent, sip_uri

# §19.1.4, its own examples
EQUAL = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
]
UNEQUAL = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
]
# further consequences of its rules
ALSO_UNEQUAL = [
    ("sip:alice@x.test", "sips:alice@x.test"),
    ("sip:x.test", "sip:alice@x.test"),
    ("sip:alice@x.test", "sip:alice:secret@x.test"),
    ("sip:alice:Secret@x.test", "sip:alice:secret@x.test"),
    ("sip:alice@x.test", "sip:alice@x.test;user=phone"),
    ("sip:alice@x.test", "sip:alice@x.test;ttl=1"),
    ("sip:alice@x.test", "sip:alice@x.test;maddr=192.0.2.1"),
    ("sip:alice@x.test", "sip:alice@x.test;method=INVITE"),
    ("sip:alice@x.test;user=ip", "sip:alice@x.test;user=phone"),
    ("sip:alice@x.test?a=1", "sip:alice@x.test?a=2"),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal(a: str, b: str) -> None:
    assert equivalent(parse_uri(a), parse_uri(b))
    assert equivalent(parse_uri(b), parse_uri(a))


@pytest.mark.parametrize(("a", "b"), UNEQUAL + ALSO_UNEQUAL)
def test_unequal(a: str, b: str) -> None:
    assert not equivalent(parse_uri(a), parse_uri(b))
    assert not equivalent(parse_uri(b), parse_uri(a))


def test_a_transport_on_one_side_only_is_unequal() -> None:
    assert not equivalent(parse_uri("sip:bob@biloxi.com"), parse_uri("sip:bob@biloxi.com;transport=udp"))


def test_equality_is_not_transitive() -> None:
    on, off = parse_uri("sip:carol@chicago.com;security=on"), parse_uri("sip:carol@chicago.com;security=off")
    without = parse_uri("sip:carol@chicago.com")
    assert equivalent(on, without)
    assert equivalent(without, off)
    assert not equivalent(on, off)


def test_parts() -> None:
    uri = parse_uri("SIPS:Al%69ce:se;c@AtLanta.COM:5071;LR;Transport=TcP;x=%41?Subject=a%20b&to=c")
    assert uri.scheme == "sips"
    assert (uri.user, uri.password, uri.host, uri.port) == ("Al%69ce", "se;c", "atlanta.com", 5071)
    assert uri.params == {"lr": None, "transport": "TcP", "x": "%41"}
    assert uri.headers == {"subject": "a%20b", "to": "c"}
    assert uri.transport == "TCP"
    assert uri.aor == "alice@atlanta.com"
    assert str(uri) == "SIPS:Al%69ce:se;c@AtLanta.COM:5071;LR;Transport=TcP;x=%41?Subject=a%20b&to=c"


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:x.test", None, "x.test", 0),
        ("sip:192.0.2.4:5060", None, "192.0.2.4", 5060),
        ("sip:a@[2001:DB8::1]:5070;lr", "a", "2001:db8::1", 5070),
        ("sip:[::1]", None, "::1", 0),
        ("sip:a;b?c/d&e=f+$,g@x.test", "a;b?c/d&e=f+$,g", "x.test", 0),
        ("sip:user%40example.com@x.test", "user%40example.com", "x.test", 0),
        ("sip:+1-212-555-1212:1234@gw.test;user=phone", "+1-212-555-1212", "gw.test", 0),
        ("sip:%00%ff@x.test", "%00%ff", "x.test", 0),
        ("sip:a@under_score.test", "a", "under_score.test", 0),
        ("sip:a@x.test.", "a", "x.test.", 0),
        ("sip:a@x.test?to=sip:b@y.test", "a", "x.test", 0),
    ],
)
def test_shapes(text: str, user: str | None, host: str, port: int) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("tel:+1-212-555-1212", 416),
        ("nobodyKnowsThisScheme:totallyopaquecontent", 416),
        ("http://x.test/", 416),
        ("x" * (MAX_URI + 1), 414),
        ("", 400),
        ("sip:", 400),
        ("sip", 400),
        ("alice@x.test", 400),
        ("1sip:a@x.test", 400),
        ("sip:@x.test", 400),
        ("sip:a@", 400),
        ("sip:a@b@x.test", 400),
        ("sip:a@x.test:0", 400),
        ("sip:a@x.test:65536", 400),
        ("sip:a@x.test:5x", 400),
        ("sip:a@x.test:\xb2", 400),
        ("sip:a@x_.te/st", 400),
        ("sip:a@[::1", 400),
        ("sip:a@[::1]x", 400),
        ("sip:a b@x.test", 400),
        ("sip:a@x.test;a=\tb", 400),
        ("<sip:a@x.test>", 400),
        ('sip:"a"@x.test', 400),
        ("sip:a%4@x.test", 400),
        ("sip:a%zz@x.test", 400),
        ("sip:a@x.test;p=%", 400),
        ("sip:a@\xe4.test", 400),
    ],
)
def test_what_is_no_sip_uri(text: str, status: int) -> None:
    with pytest.raises(MalformedUri) as caught:
        parse_uri(text)
    assert caught.value.status == status


def test_composing() -> None:
    assert sip_uri("a", "x.test") == "sip:a@x.test"
    assert sip_uri(None, "2001:db8::1", 5060, scheme="sips", params=";lr") == "sips:[2001:db8::1]:5060;lr"
    assert sip_uri("a", "::1") == "sip:a@[::1]"


def test_aor_ignores_case_escapes_and_parameters() -> None:
    texts = ["sip:OCSChat@Example.Test;x=1", "sips:ocs%63hat@example.test:5061", "sip:ocschat:pw@EXAMPLE.test?a=b"]
    assert {parse_uri(text).aor for text in texts} == {"ocschat@example.test"}


PARTS = st.text(st.sampled_from('ab@:;=?&%4[]<>" .,/\xe4\x000-_'), max_size=20)


@settings(max_examples=300, deadline=None)
@given(st.builds("{}:{}".format, st.sampled_from(["sip", "SIPS", "tel", ""]), PARTS))
@example("sip:[")
@example("sip:a@[]")
def test_any_text_parses_or_is_malformed(text: str) -> None:
    try:
        uri = parse_uri(text)
    except MalformedUri as error:
        assert error.status in (400, 416)
    else:
        assert str(uri) == text
        assert uri.host
        assert equivalent(uri, parse_uri(text))


def test_comparison_is_symmetric() -> None:
    texts = [text for pair in EQUAL + UNEQUAL + ALSO_UNEQUAL for text in pair]
    for a, b in combinations([parse_uri(text) for text in texts], 2):
        assert equivalent(a, b) == equivalent(b, a)
