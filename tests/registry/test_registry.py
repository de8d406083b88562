"""Endpoints and pools: finding them and the rules of changing them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.message.uri import parse_uri
from sipgw.registry import (
    AlreadyExists,
    Ambiguous,
    BadAddress,
    BadDisplayName,
    Declared,
    Endpoint,
    NotFound,
    Pool,
    Registry,
    Server,
    UnknownPool,
    address_key,
    check_display_name,
    parse_address,
)

POOL_A = Pool("a.contoso.com", (Server("TCP", "10.0.0.1", 5041),), "sip:GC-1@contoso.com")
POOL_B = Pool("b.contoso.com", (Server("TLS", "2001:db8::1", 5041),), "sip:GC-2@contoso.com")
DECLARED = Endpoint("sip:ocschat@contoso.com", "a.contoso.com", "Old chat", declared=True)
STORED = Endpoint("sip:chat2@contoso.com", "B.contoso.com", "New chat")


@pytest.fixture
def registry() -> Registry:
    return Registry([POOL_A, POOL_B], [DECLARED], [STORED], ["contoso.com"])


@pytest.mark.parametrize(
    ("user", "host", "found", "pool"),
    [
        ("ocschat", "contoso.com", DECLARED, POOL_A),
        ("OcsChat", "CONTOSO.com", DECLARED, POOL_A),
        ("ocs%63hat", "contoso.com", DECLARED, POOL_A),
        ("chat2", "contoso.com", STORED, POOL_B),
        ("gc-2", "contoso.com", None, POOL_B),
        ("ocschat", "fabrikam.com", None, None),
        ("nobody", "contoso.com", None, None),
        ("", "contoso.com", None, None),
    ],
)
def test_finding(registry: Registry, user: str, host: str, found: Endpoint | None, pool: Pool | None) -> None:
    assert registry.find(user, host) == found
    assert registry.pool_for(user, host) == pool


def test_disabled_endpoint_is_found_and_leads_nowhere() -> None:
    disabled = Endpoint("sip:x@contoso.com", "a.contoso.com", declared=True, enabled=False)
    registry = Registry([POOL_A], [disabled], domains=["contoso.com"])
    assert registry.find("x", "contoso.com") == disabled
    assert registry.pool_for("x", "contoso.com") is None


def test_servers_are_shown_as_they_are_written() -> None:
    assert [str(one) for one in POOL_A.servers + POOL_B.servers] == ["tcp:10.0.0.1:5041", "tls:[2001:db8::1]:5041"]


def test_listing_is_declared_then_stored(registry: Registry) -> None:
    assert registry.endpoints() == [DECLARED, STORED]


def test_added_endpoint_is_found(registry: Registry) -> None:
    made = Endpoint("sip:chat3@contoso.com", "A.Contoso.com")
    registry.add(made)
    assert registry.find("chat3", "contoso.com") == made
    assert registry.pool_for("chat3", "contoso.com") == POOL_A


@pytest.mark.parametrize(
    ("address", "pool", "error", "text"),
    [
        (
            "sip:ocschat@contoso.com",
            "b.contoso.com",
            AlreadyExists,
            "sip:ocschat@contoso.com exists already, declared in the configuration file: it leads to a.contoso.com",
        ),
        (
            "sip:chat2@contoso.com",
            "b.contoso.com",
            AlreadyExists,
            "sip:chat2@contoso.com exists already, in the store: it leads to B.contoso.com",
        ),
        (
            "sip:gc-1@contoso.com",
            "a.contoso.com",
            AlreadyExists,
            "sip:gc-1@contoso.com is the contact object of pool a.contoso.com itself",
        ),
        (
            "sip:x@contoso.com",
            "c.contoso.com",
            UnknownPool,
            "c.contoso.com is not a configured pool (pools: a.contoso.com, b.contoso.com)",
        ),
        (
            "sip:x@fabrikam.com",
            "a.contoso.com",
            BadAddress,
            "sip:x@fabrikam.com: the domain fabrikam.com is not served here (domains: contoso.com)",
        ),
    ],
)
def test_refused_additions(registry: Registry, address: str, pool: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        registry.add(Endpoint(address, pool))
    assert str(caught.value) == text
    assert registry.endpoints() == [DECLARED, STORED]


@pytest.mark.parametrize("identity", ["sip:chat2@contoso.com", "CHAT2@contoso.com", "new CHAT", " New chat "])
def test_removing_by_address_or_display_name(registry: Registry, identity: str) -> None:
    assert registry.remove(identity) == STORED
    assert registry.endpoints() == [DECLARED]
    assert registry.pool_for("chat2", "contoso.com") is None


@pytest.mark.parametrize(
    ("identity", "error", "text"),
    [
        ("old chat", Declared, "sip:ocschat@contoso.com is declared in the configuration file; remove it there"),
        ("nobody@contoso.com", NotFound, 'no endpoint has the address or display name "nobody@contoso.com"'),
        ("", NotFound, 'no endpoint has the address or display name ""'),
    ],
)
def test_refused_removals(registry: Registry, identity: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        registry.remove(identity)
    assert str(caught.value) == text
    assert registry.endpoints() == [DECLARED, STORED]


def test_a_display_name_of_two_removes_neither(registry: Registry) -> None:
    registry.add(Endpoint("sip:chat3@contoso.com", "a.contoso.com", "new chat"))
    with pytest.raises(Ambiguous, match=r"of sip:chat2@contoso.com, sip:chat3@contoso.com; name one by its address"):
        registry.remove("New Chat")
    assert len(registry.matching("new chat")) == 2


def test_no_display_name_is_no_identity(registry: Registry) -> None:
    registry.add(Endpoint("sip:chat3@contoso.com", "a.contoso.com"))
    assert registry.matching("") == []


def test_replacing_what_is_stored(registry: Registry) -> None:
    registry.replace_stored([])
    assert registry.endpoints() == [DECLARED]
    registry.replace_stored([Endpoint("sip:ocschat@contoso.com", "b.contoso.com")])
    assert registry.endpoints() == [DECLARED], "a declaration hides what is stored"


def test_problems_name_what_no_longer_fits(registry: Registry) -> None:
    assert registry.problems() == []
    registry.replace_stored(
        [
            Endpoint("sip:ocschat@contoso.com", "b.contoso.com"),
            Endpoint("sip:x@contoso.com", "gone.contoso.com"),
            Endpoint("sip:x@fabrikam.com", "a.contoso.com"),
        ]
    )
    assert registry.problems() == [
        "stored endpoint sip:x@contoso.com: gone.contoso.com is not a configured pool "
        "(pools: a.contoso.com, b.contoso.com); put the [[pool]] gone.contoso.com back and reload, or sipgw endpoint "
        "remove sip:x@contoso.com",
        "stored endpoint sip:x@fabrikam.com: sip:x@fabrikam.com: the domain fabrikam.com is not served here "
        "(domains: contoso.com); put fabrikam.com back into gateway.domains and reload, or sipgw endpoint remove "
        "sip:x@fabrikam.com",
        "sip:ocschat@contoso.com is stored and declared; the declaration counts",
    ]
    assert registry.leftovers() == registry.problems()[2:], "what does no harm"
    assert registry.find("x", "contoso.com") is not None
    assert registry.pool_for("x", "contoso.com") is None


@pytest.mark.parametrize(
    "text", ["sip:ocschat@contoso.com", "ocschat@contoso.com", "SIP:OcsChat@Contoso.COM", "OCSCHAT@CONTOSO.COM"]
)
def test_addresses_with_and_without_scheme(text: str) -> None:
    assert parse_address(text) == "ocschat@contoso.com"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a SIP address; write sip:user@domain"),
        ("ocschat", "is not of the form sip:user@domain"),
        ("sips:a@contoso.com", "is not of the form sip:user@domain"),
        ("tel:+1@contoso.com", "is not of the form sip:user@domain"),
        ("@contoso.com", "is not a SIP address; write sip:user@domain"),
        ("a@b@c", "is not a SIP address; write sip:user@domain"),
        ("a b@contoso.com", "is not a SIP address; write sip:user@domain"),
        ("a@contoso.com:5060", "has more than user and domain; write sip:a@contoso.com"),
        ("a@contoso.com;x=y", "has more than user and domain; write sip:a@contoso.com"),
        ("a@contoso.com?x=y", "has more than user and domain; write sip:a@contoso.com"),
        ("%61@contoso.com", "has characters in its user part that an endpoint cannot have"),
        ("\u00e9@contoso.com", "has characters in its user part that an endpoint cannot have"),
    ],
)
def test_addresses_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert str(caught.value) == f'"{text}" {problem}'


@given(st.text(max_size=40))
def test_an_address_is_read_or_refused_and_found_again(text: str) -> None:
    try:
        key = parse_address(text)
    except BadAddress:
        return
    assert parse_address(f"sip:{key}") == key
    uri = parse_uri(f"sip:{key}")
    assert address_key(uri.user or "", uri.host) == key == uri.aor


@given(st.from_regex(r"[A-Za-z0-9.\-]{1,8}(%[0-9A-Fa-f]{2}){0,3}", fullmatch=True))
def test_keys_are_those_of_the_location_service(user: str) -> None:
    uri = parse_uri(f"sip:{user}@Contoso.com")
    assert address_key(uri.user or "", uri.host) == uri.aor


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "x" * 257])
def test_display_names_that_are_none(text: str) -> None:
    with pytest.raises(BadDisplayName):
        check_display_name(text)


def test_display_names_lose_the_space_around_them() -> None:
    assert check_display_name("  Zürich [Lobby]  ") == "Zürich [Lobby]"
