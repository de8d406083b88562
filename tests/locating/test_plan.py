"""RFC 3263 §4: which questions are asked and where the answers lead."""

import pytest

from sipgw.locating import Destination, Located, Question, Reach, of_pool, of_server, of_uri
from sipgw.locating.records import NO_NAME, NO_RECORDS, SERVER_FAILURE, TIMEOUT
from sipgw.locating.result import NO_TRANSPORT, NOT_OFFERED
from sipgw.message.uri import parse_uri
from tests.locating.zone import Client, Zone

POOL = "pcpool.contoso.com"


def uri(text: str) -> Destination:
    return of_uri(parse_uri(text))


def asked(client: Client) -> list[list[str]]:
    return [sorted(map(str, questions)) for questions in client.rounds]


# numbers and ports: §4.1 and §4.2 without any look-up of services


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("sip:192.0.2.1", "udp:192.0.2.1:5060"),
        ("sips:192.0.2.1", "tls:192.0.2.1:5061"),
        ("sip:192.0.2.1;transport=tcp", "tcp:192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=tls", "tls:192.0.2.1:5061"),
        ("sip:192.0.2.1:5070", "udp:192.0.2.1:5070"),
        ("sips:192.0.2.1:5070;transport=tcp", "tls:192.0.2.1:5070"),
        ("sip:[2001:db8::1]", "udp:2001:db8::1:5060"),
    ],
)
def test_an_address_asks_nothing(text: str, server: str) -> None:
    client = Client(Zone())
    assert client.servers(uri(text)) == [server]
    assert client.rounds == []


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("sip:contoso.com:5070", "udp:192.0.2.1:5070"),
        ("sips:contoso.com:5070", "tls:192.0.2.1:5070"),
        ("sip:contoso.com:5070;transport=tcp", "tcp:192.0.2.1:5070"),
    ],
)
def test_a_port_asks_for_addresses_only(text: str, server: str) -> None:
    client = Client(Zone().a("contoso.com", "192.0.2.1").srv("_sip._udp.contoso.com", (0, 0, 5099, "contoso.com")))
    assert client.servers(uri(text)) == [server]
    assert asked(client) == [["A contoso.com", "AAAA contoso.com"]]


def test_a_server_of_a_pool_is_only_looked_up() -> None:
    client = Client(Zone().a("pc1.contoso.com", "192.0.2.1"))
    found = client.find(of_server("TLS", "pc1.contoso.com", 5041, POOL))
    assert isinstance(found, Located)
    assert found.order(client.random) == [("TLS", "192.0.2.1", 5041, POOL)]
    assert asked(client) == [["A pc1.contoso.com", "AAAA pc1.contoso.com"]]


# a pool


def test_lyncs_own_form_is_one_address_per_server() -> None:
    client = Client(Zone().a(POOL, "192.0.2.1", "192.0.2.2", "192.0.2.3"))
    expected = {f"tls:192.0.2.{number}:5041" for number in (1, 2, 3)}
    orders = [client.servers(of_pool(POOL)) for _ in range(50)]
    assert all(set(order) == expected and len(order) == 3 for order in orders)
    assert {order[0] for order in orders} == expected, "calls spread over the servers"


def test_what_is_independent_is_asked_together() -> None:
    client = Client(Zone().a(POOL, "192.0.2.1"))
    client.servers(of_pool(POOL))
    first = [f"NAPTR {POOL}", f"SRV _sip._tcp.{POOL}", f"SRV _sip._udp.{POOL}", f"SRV _sips._tcp.{POOL}"]
    assert asked(client) == [first, [f"A {POOL}", f"AAAA {POOL}"]]


def test_a_pool_with_srv_records() -> None:
    zone = Zone().srv(f"_sips._tcp.{POOL}", (20, 0, 5042, "pc2.contoso.com"), (10, 0, 5041, "pc1.contoso.com"))
    zone.a("pc1.contoso.com", "192.0.2.1").a("pc2.contoso.com", "192.0.2.2").a(POOL, "192.0.2.99")
    client = Client(zone)
    found = client.find(of_pool(POOL))
    assert isinstance(found, Located)
    assert found.order(client.random) == [("TLS", "192.0.2.1", 5041, POOL), ("TLS", "192.0.2.2", 5042, POOL)]


def test_without_naptr_our_order_of_transports_counts() -> None:
    zone = Zone().a("pc.contoso.com", "192.0.2.1")
    for service in ("_sip._udp", "_sip._tcp", "_sips._tcp"):
        zone.srv(f"{service}.{POOL}", (0, 0, 5060, "pc.contoso.com"))
    assert [one.split(":")[0] for one in Client(zone).servers(of_pool(POOL))] == ["tls", "tcp", "udp"]
    reach = Reach(transports=("UDP", "TCP"))
    assert [one.split(":")[0] for one in Client(zone, reach).servers(of_pool(POOL))] == ["udp", "tcp"]


# a transport is given


def test_a_transport_asks_for_its_service_only() -> None:
    zone = Zone().srv("_sip._tcp.contoso.com", (0, 0, 5070, "s1.contoso.com")).a("s1.contoso.com", "192.0.2.1")
    client = Client(zone)
    assert client.servers(uri("sip:contoso.com;transport=tcp")) == ["tcp:192.0.2.1:5070"]
    assert asked(client) == [["SRV _sip._tcp.contoso.com"], ["A s1.contoso.com", "AAAA s1.contoso.com"]]


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("sip:contoso.com;transport=tcp", "tcp:192.0.2.1:5060"),
        ("sip:contoso.com", "udp:192.0.2.1:5060"),
        ("sips:contoso.com", "tls:192.0.2.1:5061"),
    ],
)
def test_without_service_records_the_name_itself_is_the_server(text: str, server: str) -> None:
    assert Client(Zone().a("contoso.com", "192.0.2.1")).servers(uri(text)) == [server]


# NAPTR


def naptr_zone() -> Zone:
    zone = Zone().naptr(
        "contoso.com",
        (50, 50, "s", "SIP+D2T", "_sip._tcp.contoso.com"),
        (20, 0, "S", "sips+d2t", "_sips._tcp.edge.contoso.com"),
        (90, 50, "s", "SIP+D2U", "_sip._udp.contoso.com"),
    )
    zone.srv("_sip._tcp.contoso.com", (0, 0, 5060, "s.contoso.com"))
    zone.srv("_sips._tcp.edge.contoso.com", (0, 0, 5061, "s.contoso.com"))
    zone.srv("_sip._udp.contoso.com", (0, 0, 5060, "s.contoso.com"))
    return zone.a("s.contoso.com", "192.0.2.1")


def test_naptr_decides_the_order_of_transports_and_the_srv_names() -> None:
    client = Client(naptr_zone(), Reach(transports=("UDP", "TCP", "TLS")))
    found = client.servers(uri("sip:contoso.com"))
    assert found == ["tls:192.0.2.1:5061", "tcp:192.0.2.1:5060", "udp:192.0.2.1:5060"]
    assert len(client.rounds) == 3


def test_naptr_for_sips_only_what_is_secure() -> None:
    assert Client(naptr_zone()).servers(uri("sips:contoso.com")) == ["tls:192.0.2.1:5061"]


def test_naptr_only_transports_that_we_have() -> None:
    client = Client(naptr_zone(), Reach(transports=("UDP",)))
    assert client.servers(uri("sip:contoso.com")) == ["udp:192.0.2.1:5060"]


@pytest.mark.parametrize(
    "record",
    [
        (0, 0, "u", "SIP+D2U", "_sip._udp.elsewhere.test"),
        (0, 0, "s", "SIP+D2S", "_sip._sctp.elsewhere.test"),
        (0, 0, "s", "E2U+sip", "_sip._udp.elsewhere.test"),
        (0, 0, "s", "SIP+D2U", "."),
    ],
)
def test_naptr_of_no_use_is_as_none(record: tuple[int, int, str, str, str]) -> None:
    zone = Zone().naptr("contoso.com", record).srv("_sip._udp.contoso.com", (0, 0, 5080, "s.contoso.com"))
    zone.a("s.contoso.com", "192.0.2.1")
    assert Client(zone).servers(uri("sip:contoso.com")) == ["udp:192.0.2.1:5080"]


def test_naptr_whose_services_do_not_exist() -> None:
    """The transport is still the one that it prefers."""
    zone = Zone().naptr("contoso.com", (0, 0, "s", "SIP+D2T", "_sip._tcp.contoso.com")).a("contoso.com", "192.0.2.1")
    assert Client(zone).servers(uri("sip:contoso.com")) == ["tcp:192.0.2.1:5060"]


@pytest.mark.parametrize("failure", [SERVER_FAILURE, TIMEOUT])
def test_naptr_that_cannot_be_asked_for_is_done_without(failure: str) -> None:
    zone = naptr_zone()
    zone.failures[Question("contoso.com", "NAPTR")] = failure
    client = Client(zone)
    found = client.find(uri("sip:contoso.com"))
    assert isinstance(found, Located)
    assert [one.transport for one in found.order(client.random)] == ["TCP", "UDP"]
    assert found.remarks == (f"NAPTR contoso.com: {failure} (192.0.2.53:53)",)


# addresses


def test_ipv6_first_and_in_turns() -> None:
    zone = Zone().a(POOL, "192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2", "2001:db8::3")
    order = Client(zone).servers(of_pool(POOL))
    assert [":" in one.removeprefix("tls:").removesuffix(":5041") for one in order] == [True, False, True, False, True]


@pytest.mark.parametrize(("families", "address"), [(("A",), "192.0.2.1"), (("AAAA",), "2001:db8::1")])
def test_only_families_that_we_have(families: tuple[str, ...], address: str) -> None:
    client = Client(Zone().a(POOL, "192.0.2.1", "2001:db8::1"), Reach(families=families))
    assert client.servers(of_pool(POOL)) == [f"tls:{address}:5041"]
    assert asked(client)[1] == [f"{families[0]} {POOL}"]


@pytest.mark.parametrize("failure", [SERVER_FAILURE, TIMEOUT])
def test_a_name_server_that_cannot_do_aaaa(failure: str) -> None:
    zone = Zone().a(POOL, "192.0.2.1")
    zone.failures[Question(POOL, "AAAA")] = failure
    client = Client(zone)
    assert client.servers(of_pool(POOL)) == ["tls:192.0.2.1:5041"]
    found = client.find(of_pool(POOL))
    assert isinstance(found, Located)
    assert found.remarks == (f"AAAA {POOL}: {failure} (192.0.2.53:53)",)


def test_a_server_without_address_is_left_out_and_told_of() -> None:
    zone = Zone().srv(f"_sips._tcp.{POOL}", (10, 0, 5041, "gone.contoso.com"), (20, 0, 5041, "pc2.contoso.com"))
    client = Client(zone.a("pc2.contoso.com", "192.0.2.2"))
    found = client.find(of_pool(POOL))
    assert isinstance(found, Located)
    assert [one.address for one in found.order(client.random)] == ["192.0.2.2"]
    assert found.remarks == ("gone.contoso.com: there is no such name",)


def test_an_address_in_place_of_a_name_is_taken() -> None:
    """RFC 2782 wants a name; zones have addresses all the same."""
    client = Client(Zone().srv(f"_sips._tcp.{POOL}", (0, 0, 5041, "192.0.2.7")))
    assert client.servers(of_pool(POOL)) == ["tls:192.0.2.7:5041"]


# failures


def test_no_such_name() -> None:
    failure = Client(Zone()).failure(of_pool(POOL))
    assert (failure.kind, failure.diagnostics) == (NO_NAME, 1014)
    assert failure.text == f"{POOL}: there is no such name"


def test_no_records() -> None:
    zone = Zone().a(f"www.{POOL}", "192.0.2.1")
    failure = Client(zone).failure(of_pool(POOL))
    assert (failure.kind, failure.diagnostics) == (NO_RECORDS, 1014)
    assert failure.text == f"{POOL} has no A or AAAA record"


@pytest.mark.parametrize("kind", [SERVER_FAILURE, TIMEOUT])
def test_addresses_that_nobody_could_tell(kind: str) -> None:
    zone = Zone().a(POOL, "192.0.2.1")
    zone.failures[Question(POOL, "A")] = kind
    failure = Client(zone).failure(of_pool(POOL))
    assert (failure.kind, failure.diagnostics) == (kind, 1014)
    assert failure.text == f"A {POOL}: {kind} (192.0.2.53:53)"


@pytest.mark.parametrize("kind", [SERVER_FAILURE, TIMEOUT])
def test_services_that_nobody_could_tell(kind: str) -> None:
    """The pool may well have other ports than the default: guessing would be worse than saying so."""
    zone = Zone().a(POOL, "192.0.2.1")
    zone.failures[Question(f"_sips._tcp.{POOL}", "SRV")] = kind
    failure = Client(zone).failure(of_pool(POOL))
    assert (failure.kind, failure.diagnostics) == (kind, 1008)
    assert failure.text == f"SRV _sips._tcp.{POOL}: {kind} (192.0.2.53:53)"


def test_one_service_that_nobody_could_tell_does_not_hide_another() -> None:
    zone = Zone().srv(f"_sips._tcp.{POOL}", (0, 0, 5041, POOL)).a(POOL, "192.0.2.1")
    zone.failures[f"_sip._udp.{POOL}"] = TIMEOUT
    client = Client(zone)
    assert client.servers(of_pool(POOL)) == ["tls:192.0.2.1:5041"]
    found = client.find(of_pool(POOL))
    assert isinstance(found, Located)
    assert found.remarks == (f"SRV _sip._udp.{POOL}: {TIMEOUT} (192.0.2.53:53)",)


@pytest.mark.parametrize("kind", [SERVER_FAILURE, TIMEOUT])
def test_tls_that_nobody_could_tell_about_does_not_lead_to_plain_tcp(kind: str) -> None:
    """Else it would be enough to keep one answer from us to have calls go in clear."""
    zone = Zone().srv(f"_sip._tcp.{POOL}", (0, 0, 5060, POOL)).srv(f"_sip._udp.{POOL}", (0, 0, 5060, POOL))
    zone.a(POOL, "192.0.2.1").failures[f"_sips._tcp.{POOL}"] = kind
    failure = Client(zone).failure(of_pool(POOL))
    assert (failure.kind, failure.diagnostics) == (kind, 1008)
    assert failure.text == f"SRV _sips._tcp.{POOL}: {kind} (192.0.2.53:53)"


def test_what_the_zone_prefers_to_tls_is_taken_all_the_same() -> None:
    zone = Zone().a(POOL, "192.0.2.1").srv("_one.x", (0, 0, 5060, POOL)).srv("_three.x", (0, 0, 5070, POOL))
    zone.naptr(
        POOL, (1, 0, "s", "SIP+D2T", "_one.x"), (2, 0, "s", "SIPS+D2T", "_two.x"), (3, 0, "s", "SIP+D2T", "_three.x")
    )
    zone.failures["_two.x"] = TIMEOUT
    assert Client(zone).servers(of_pool(POOL)) == ["tcp:192.0.2.1:5060"]


def test_a_service_that_is_not_offered() -> None:
    zone = Zone().srv("_sip._tcp.contoso.com", (0, 0, 0, ".")).a("contoso.com", "192.0.2.1")
    failure = Client(zone).failure(uri("sip:contoso.com;transport=tcp"))
    assert (failure.kind, failure.diagnostics) == (NOT_OFFERED, 1008)
    assert "no SIP over TCP" in failure.text
    assert Client(zone).servers(uri("sip:contoso.com")) == ["udp:192.0.2.1:5060"], "of UDP it says nothing"


@pytest.mark.parametrize(
    ("text", "transports"),
    [
        ("sips:contoso.com;transport=udp", ("TLS", "TCP", "UDP")),
        ("sip:contoso.com;transport=sctp", ("TLS", "TCP", "UDP")),
        ("sips:contoso.com", ("TCP", "UDP")),
        ("sips:192.0.2.1", ("TCP", "UDP")),
    ],
)
def test_no_way_to_go_there(text: str, transports: tuple[str, ...]) -> None:
    client = Client(Zone(), Reach(transports))
    failure = client.failure(uri(text))
    assert (failure.kind, failure.diagnostics, client.rounds) == (NO_TRANSPORT, 1005, [])
    assert "no way to go there by" in failure.text


# bounds


def test_more_records_than_anybody_needs() -> None:
    zone = Zone().srv(f"_sips._tcp.{POOL}", *((n, 0, 5041, f"pc{n}.contoso.com") for n in range(40)))
    for number in range(40):
        zone.a(f"pc{number}.contoso.com", f"192.0.2.{number}")
    client = Client(zone)
    servers = client.servers(of_pool(POOL))
    assert servers == [f"tls:192.0.2.{number}:5041" for number in range(32)]
    assert client.locator.counters["dns_records_dropped"] == 8


def test_more_addresses_than_anybody_needs() -> None:
    zone = Zone().a(POOL, *(f"192.0.2.{number}" for number in range(20)))
    client = Client(zone)
    assert len(client.servers(of_pool(POOL))) == 16
    assert client.locator.counters["dns_records_dropped"] == 4


def test_more_naptr_records_than_anybody_needs() -> None:
    records = [(n, 0, "s", "SIP+D2U", f"_sip._udp.d{n}.contoso.com") for n in range(12)]
    zone = Zone().naptr("contoso.com", *records)
    for number in range(12):
        zone.srv(f"_sip._udp.d{number}.contoso.com", (0, 0, 5060 + number, "s.contoso.com"))
    client = Client(zone.a("s.contoso.com", "192.0.2.1"))
    assert len(client.servers(uri("sip:contoso.com"))) == 8
    assert client.locator.counters["dns_records_dropped"] == 4


def test_the_list_for_one_request_is_bounded_too() -> None:
    zone = Zone().srv(f"_sips._tcp.{POOL}", *((n, 0, 5041, f"pc{n}.contoso.com") for n in range(4)))
    for number in range(4):
        zone.a(f"pc{number}.contoso.com", *(f"192.0.{number}.{last}" for last in range(16)))
    assert len(Client(zone).servers(of_pool(POOL))) == 32
