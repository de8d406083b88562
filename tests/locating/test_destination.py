"""What of a URI, a pool or a server decides where to look (RFC 3263 §4, RFC 3261 §16.6 item 7)."""

import pytest

from sipgw.locating import Destination, of_pool, of_server, of_uri
from sipgw.message.uri import parse_uri

POOL = "pcpool.contoso.com"


@pytest.mark.parametrize(
    ("uri", "host", "port", "transport", "secure", "default"),
    [
        ("sip:alice@Contoso.COM", "contoso.com", 0, "", False, "UDP"),
        ("sip:contoso.com.:5070;transport=tcp", "contoso.com", 5070, "TCP", False, "UDP"),
        ("sips:alice@contoso.com", "contoso.com", 0, "", True, "TLS"),
        ("sips:alice@contoso.com;transport=tcp", "contoso.com", 0, "TLS", True, "TLS"),
        ("sips:alice@contoso.com;transport=udp", "contoso.com", 0, "UDP", True, "TLS"),
        ("sip:alice@[2001:db8::1]:5080", "2001:db8::1", 5080, "", False, "UDP"),
        ("sip:alice@contoso.com;maddr=192.0.2.9", "192.0.2.9", 0, "", False, "UDP"),
        ("sip:alice@contoso.com;maddr=[2001:db8::9]", "2001:db8::9", 0, "", False, "UDP"),
    ],
)
def test_of_a_uri(uri: str, host: str, port: int, transport: str, secure: bool, default: str) -> None:
    found = of_uri(parse_uri(uri))
    assert found[:5] == (host, port, transport, secure, default)
    assert found.default_port == 0


def test_a_certificate_has_to_prove_the_name_that_was_meant() -> None:
    assert of_uri(parse_uri("sips:alice@contoso.com;maddr=192.0.2.9")).verify_name == "contoso.com"
    assert of_server("TLS", "pc1.contoso.com", 5041, POOL).verify_name == POOL


def test_of_a_pool() -> None:
    assert of_pool("PCPool.contoso.com.") == Destination(POOL, 0, "", False, "TLS", 5041, POOL)


@pytest.mark.parametrize(
    ("destination", "text"),
    [
        (of_pool(POOL), POOL),
        (of_server("TLS", "::1", 5041, POOL), "[::1]:5041;transport=tls"),
        (of_uri(parse_uri("sip:contoso.com;transport=tcp")), "contoso.com;transport=tcp"),
    ],
)
def test_as_text(destination: Destination, text: str) -> None:
    assert str(destination) == text
