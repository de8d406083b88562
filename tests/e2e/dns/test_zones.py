"""Locating with Knot as the name server: zones as pools have them."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from sipgw.locating import Located, NotLocated, Question, of_pool, of_server, of_uri
from sipgw.locating.records import NO_NAME, NO_RECORDS, SERVER_FAILURE, TIMEOUT
from sipgw.locating.result import NOT_OFFERED
from sipgw.message.uri import parse_uri
from sipgw.server.resolver import Resolver
from tests.e2e.dns.name_server import Seeker, change, knot
from tests.ports import free_port

pytestmark = pytest.mark.peer("knotd", "knot")

CONTOSO = """
$ORIGIN contoso.com.
$TTL 300
@          SOA  ns hostmaster 1 3600 600 86400 20
@          NS   ns
ns         A    127.0.0.1
lync       A    127.0.0.2
lync       A    127.0.0.3
lync       A    127.0.0.4
dual       A    127.0.0.2
dual       AAAA ::1
six        AAAA ::1
pc1        A    127.0.0.2
pc2        A    127.0.0.3
pc3        A    127.0.0.4
_sips._tcp.srv     SRV 20 0  5043 pc3
_sips._tcp.srv     SRV 10 10 5041 pc1
_sips._tcp.srv     SRV 10 30 5042 pc2
empty      TXT  "nobody is here"
alias      CNAME behind
behind     CNAME pc2
_sips._tcp.aliased SRV 0 0 5041 alias
naptr      NAPTR 20 0 "s" "SIP+D2U"  "" _sip._udp.naptr
naptr      NAPTR 10 5 "s" "SIP+D2T"  "" _sip._tcp.naptr
naptr      NAPTR 10 1 "s" "SIPS+D2T" "" _secure._tcp.naptr
_sip._udp.naptr    SRV 0 0 5060 pc1
_sip._tcp.naptr    SRV 0 0 5060 pc2
_secure._tcp.naptr SRV 0 0 5061 pc3
_sips._tcp.naptr   SRV 0 0 5999 pc1
_sips._tcp.never   SRV 0 0 0 .
_sips._tcp.holes   SRV 10 0 5041 gone
_sips._tcp.holes   SRV 20 0 5041 pc1
"""
MANY = "\n".join(f"_sips._tcp.many SRV {number} 0 5041 pc{number % 3 + 1}" for number in range(60))
ZONES = {"contoso.com": f"{CONTOSO}{MANY}\n", "broken.test": None}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with knot(tmp_path_factory.mktemp("knot"), ZONES) as bound:
        yield bound


@pytest.fixture
def seeker(port: int) -> Seeker:
    return Seeker(Resolver([("127.0.0.1", port)]))


async def order(seeker: Seeker, pool: str, seed: int = 1) -> list[str]:
    found = await seeker.find(of_pool(pool))
    assert isinstance(found, Located), found
    return [f"{one.transport.lower()}:{one.address}:{one.port}" for one in found.order(Random(seed))]


async def failure(seeker: Seeker, pool: str) -> NotLocated:
    found = await seeker.find(of_pool(pool))
    assert isinstance(found, NotLocated)
    return found


async def test_addresses_only(seeker: Seeker) -> None:
    expected = ["tls:127.0.0.2:5041", "tls:127.0.0.3:5041", "tls:127.0.0.4:5041"]
    assert sorted(await order(seeker, "lync.contoso.com")) == expected


async def test_the_name_that_a_certificate_has_to_prove_is_the_pools(seeker: Seeker) -> None:
    found = await seeker.find(of_pool("srv.contoso.com"))
    assert isinstance(found, Located)
    assert {one.verify_name for one in found.order(Random(1))} == {"srv.contoso.com"}


async def test_srv_priorities_and_weights(seeker: Seeker) -> None:
    first, second, last = "tls:127.0.0.2:5041", "tls:127.0.0.3:5042", "tls:127.0.0.4:5043"
    orders = [await order(seeker, "srv.contoso.com", seed) for seed in range(400)]
    assert all(sorted(one[:2]) == [first, second] and one[2:] == [last] for one in orders)
    assert 250 < sum(one[0] == second for one in orders) < 350  # 3 of 4
    assert seeker.locator.counters["dns_questions"] == 10, "asked once"


async def test_naptr_says_the_order_of_transports_and_the_names(seeker: Seeker) -> None:
    assert await order(seeker, "naptr.contoso.com") == [
        "tls:127.0.0.4:5061",
        "tcp:127.0.0.3:5060",
        "udp:127.0.0.2:5060",
    ]


async def test_naptr_for_a_sips_uri(seeker: Seeker) -> None:
    found = await seeker.find(of_uri(parse_uri("sips:naptr.contoso.com")))
    assert isinstance(found, Located)
    assert found.order(Random(1)) == [("TLS", "127.0.0.4", 5061, "naptr.contoso.com")]


async def test_cname(seeker: Seeker) -> None:
    """Twice, to an address; and RFC 2782 forbids it for the target of an SRV record, which stops nobody."""
    assert await order(seeker, "alias.contoso.com") == ["tls:127.0.0.3:5041"]
    assert await order(seeker, "aliased.contoso.com") == ["tls:127.0.0.3:5041"]


async def test_ipv6_first_where_both_exist(seeker: Seeker) -> None:
    assert await order(seeker, "dual.contoso.com") == ["tls:::1:5041", "tls:127.0.0.2:5041"]
    assert await order(seeker, "six.contoso.com") == ["tls:::1:5041"]


async def test_a_name_server_that_is_reached_by_ipv6(port: int) -> None:
    assert await order(Seeker(Resolver([("::1", port)])), "six.contoso.com") == ["tls:::1:5041"]


async def test_no_records(seeker: Seeker) -> None:
    found = await failure(seeker, "empty.contoso.com")
    assert (found.kind, found.diagnostics) == (NO_RECORDS, 1014)
    assert found.text == "empty.contoso.com has no A or AAAA record"


async def test_no_such_name(seeker: Seeker) -> None:
    found = await failure(seeker, "nobody.contoso.com")
    assert (found.kind, found.diagnostics) == (NO_NAME, 1014)
    assert found.text == "nobody.contoso.com: there is no such name"


async def test_a_service_that_is_not_offered(seeker: Seeker) -> None:
    found = await failure(seeker, "never.contoso.com")
    assert (found.kind, found.diagnostics) == (NOT_OFFERED, 1008)


async def test_a_server_without_address_is_passed_over(seeker: Seeker) -> None:
    found = await seeker.find(of_pool("holes.contoso.com"))
    assert isinstance(found, Located)
    assert [one.address for one in found.order(Random(1))] == ["127.0.0.2"]
    assert found.remarks == ("gone.contoso.com: there is no such name",)


async def test_server_failure(seeker: Seeker, port: int) -> None:
    found = await failure(seeker, "pcpool.broken.test")
    assert (found.kind, found.diagnostics) == (SERVER_FAILURE, 1008)
    assert f"SRV _sips._tcp.pcpool.broken.test: server failure (127.0.0.1:{port}: SERVFAIL)" in found.text


async def test_a_zone_that_is_not_served_there(seeker: Seeker, port: int) -> None:
    found = await failure(seeker, "pcpool.elsewhere.test")
    assert found.kind == SERVER_FAILURE
    assert f"(127.0.0.1:{port}: REFUSED)" in found.text


async def test_an_answer_too_large_for_a_datagram(seeker: Seeker) -> None:
    """60 records come by TCP; the 32 of the best priorities count."""
    answer = await seeker.resolver.ask(Question("_sips._tcp.many.contoso.com", "SRV"))
    assert len(answer.srv) == 60
    found = await seeker.find(of_pool("many.contoso.com"))
    assert isinstance(found, Located)
    assert [service.priority for service in found.services] == list(range(32))


async def test_what_an_answer_says_of_its_time(seeker: Seeker) -> None:
    ttl = {
        kind: (await seeker.resolver.ask(Question(name, kind))).ttl
        for name, kind in [("lync.contoso.com", "A"), ("lync.contoso.com", "AAAA"), ("nobody.contoso.com", "NAPTR")]
    }
    assert ttl == {"A": 300, "AAAA": 20, "NAPTR": 20}  # the zone's SOA minimum for what there is not


async def test_a_record_changes_and_its_time_is_up(seeker: Seeker, port: int) -> None:
    server = of_server("TCP", "moving.contoso.com", 5041, "")
    change(port, "contoso.com", "moving.contoso.com", 30, "A", "127.0.0.5")
    seen: list[str] = []
    for step in (0, 29, 1, 0):
        seeker.now += step
        found = await seeker.find(server)
        assert isinstance(found, Located)
        seen.append(found.order(Random(1))[0].address)
        change(port, "contoso.com", "moving.contoso.com", 30, "A", "127.0.0.6")
    assert seen == ["127.0.0.5", "127.0.0.5", "127.0.0.5", "127.0.0.6"]  # the third while the newer one is fetched


async def test_a_server_that_appears_later(seeker: Seeker, port: int) -> None:
    assert (await failure(seeker, "late.contoso.com")).kind == NO_NAME
    change(port, "contoso.com", "late.contoso.com", 300, "A", "127.0.0.7")
    seeker.now += 19
    assert (await failure(seeker, "late.contoso.com")).kind == NO_NAME
    seeker.now += 1
    assert await order(seeker, "late.contoso.com") == ["tls:127.0.0.7:5041"]


async def test_a_pool_whose_name_server_goes_and_comes_back(tmp_path: Path) -> None:
    """Calls go on while it is away; what has changed meanwhile is found when it is back."""
    port = free_port()
    hasty, patient = Resolver([("127.0.0.1", port)], per_try=0.2, in_all=0.3), Resolver([("127.0.0.1", port)])
    seeker = Seeker(hasty)
    assert (await failure(seeker, "lync.contoso.com")).kind == TIMEOUT
    seeker.now, seeker.resolver = seeker.now + 2, patient
    with knot(tmp_path, ZONES, port):
        assert len(await order(seeker, "lync.contoso.com")) == 3
    seeker.now, seeker.resolver = seeker.now + 400, hasty
    assert len(await order(seeker, "lync.contoso.com")) == 3
    assert seeker.locator.counters["dns_kept_stale"] == 6
    seeker.now, seeker.resolver = seeker.now + 2, patient
    with knot(tmp_path, ZONES, port):
        change(port, "contoso.com", "lync.contoso.com", 300, "A", "127.0.0.9")
        await order(seeker, "lync.contoso.com")
        assert await order(seeker, "lync.contoso.com") == ["tls:127.0.0.9:5041"]
