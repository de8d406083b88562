"""What `sipgw check` says of the names that clients look up."""

import dns.zone
import pytest

from sipgw.config import ListenAddress
from sipgw.locating import Answer, Question
from sipgw.locating.records import NO_NAME, TIMEOUT, Srv
from sipgw.management.dns_names import Names, findings, questions
from tests.locating.zone import Zone

FQDN, DOMAINS = "sipgw.contoso.com", ["contoso.com"]
TLS, TCP = ListenAddress("TLS", "0.0.0.0", 5061), ListenAddress("TCP", "0.0.0.0", 5060)
UDP = ListenAddress("UDP", "0.0.0.0", 5060)
INSIDE, OUTSIDE, PLAIN = "_sipinternaltls._tcp.contoso.com", "_sip._tls.contoso.com", "_sipinternal._tcp.contoso.com"


def look(zone: Zone, *listen: ListenAddress, fqdn: str = FQDN, domains: list[str] | None = None) -> Names:
    asked = questions(fqdn, domains or DOMAINS, listen)
    answers = {question: zone.answer(question) for question in asked}
    return findings(fqdn, domains or DOMAINS, listen, answers)


def said(names: Names) -> list[tuple[str, str]]:
    return [(verdict.grade, verdict.text) for verdict in names.verdicts if verdict.subject.startswith("domain")]


def gateway() -> Zone:
    return Zone().a(FQDN, "192.0.2.10")


def test_all_is_there() -> None:
    zone = gateway().srv(INSIDE, (0, 0, 5061, FQDN)).srv(PLAIN, (0, 0, 5060, FQDN)).a("sip.contoso.com", "192.0.2.10")
    names = look(zone, TLS, TCP, UDP)
    assert {verdict.grade for verdict in names.verdicts} == {"ok"}
    assert [verdict.text for verdict in names.verdicts] == [
        "is 192.0.2.10",
        f"{INSIDE} leads to {FQDN}:5061",
        f"{PLAIN} leads to {FQDN}:5060",
        "sip.contoso.com is 192.0.2.10",
    ]
    assert names.zone == []


def test_nothing_is_there() -> None:
    names = look(Zone(), TLS, TCP)
    assert [verdict.grade for verdict in names.verdicts] == ["note", "note", "note"]
    assert f"there is no {INSIDE}" in names.verdicts[1].text
    assert names.zone == [
        f"; {FQDN}. 3600 IN A (the address of this machine)",
        f"{INSIDE}. 3600 IN SRV 0 0 5061 {FQDN}.",
        f"{PLAIN}. 3600 IN SRV 0 0 5060 {FQDN}.",
    ]


def test_a_name_that_has_its_address_needs_no_line() -> None:
    assert look(gateway(), TLS).zone == [f"{INSIDE}. 3600 IN SRV 0 0 5061 {FQDN}."]


def test_the_lines_can_be_put_into_a_zone() -> None:
    listen = ListenAddress("TLS", "192.0.2.10", 5061), ListenAddress("TLS", "2001:db8::10", 5061)
    names = look(Zone(), *listen, domains=["contoso.com", "fabrikam.com"])
    soa = "@ 3600 IN SOA ns hostmaster 1 2 3 4 5\n@ 3600 IN NS ns.elsewhere.test.\n"
    for domain in ("contoso.com", "fabrikam.com"):
        lines = [line for line in names.zone if line.split()[0].endswith(f"{domain}.")]
        zone = dns.zone.from_text(soa + "\n".join(lines) + "\n", domain, check_origin=True)
        assert zone.find_rdataset("_sipinternaltls._tcp", "SRV")[0].port == 5061
    assert "sip.fabrikam.com. 3600 IN AAAA 2001:db8::10" in names.zone
    assert "_sipinternaltls._tcp.fabrikam.com. 3600 IN SRV 0 0 5061 sip.fabrikam.com." in names.zone


def test_only_listened_transports_are_missed() -> None:
    assert said(look(gateway().srv(PLAIN, (0, 0, 5060, FQDN)), TCP)) == [("ok", f"{PLAIN} leads to {FQDN}:5060")]


def test_the_second_name_of_a_transport_is_as_good() -> None:
    names = look(gateway().srv(OUTSIDE, (0, 0, 5061, FQDN)), TLS)
    assert said(names) == [("ok", f"{OUTSIDE} leads to {FQDN}:5061")]
    assert names.zone == []


def test_the_first_name_that_is_there_counts() -> None:
    zone = gateway().srv(INSIDE, (0, 0, 5061, "lync.contoso.com")).srv(OUTSIDE, (0, 0, 5061, FQDN))
    (verdict,) = said(look(zone, TLS))
    assert verdict[0] == "note"
    assert verdict[1].startswith(f"{INSIDE} leads to lync.contoso.com:5061, not to this gateway")


def test_a_wrong_port() -> None:
    names = look(gateway().srv(INSIDE, (0, 0, 443, FQDN)), TLS)
    assert said(names) == [("FAIL", f"{INSIDE} leads to {FQDN}:443, where no TLS listener is")]
    assert names.zone == [f"{INSIDE}. 3600 IN SRV 0 0 5061 {FQDN}."]


def test_a_transport_that_is_not_listened_on() -> None:
    zone = gateway().srv(INSIDE, (0, 0, 5061, FQDN)).srv(PLAIN, (0, 0, 5060, FQDN))
    grades = [grade for grade, _ in said(look(zone, TCP))]
    assert grades == ["FAIL", "ok"]


def test_the_record_of_the_best_priority_counts() -> None:
    zone = gateway().srv(INSIDE, (20, 0, 5061, FQDN), (10, 0, 5061, "lync.contoso.com"))
    assert [grade for grade, _ in said(look(zone, TLS))] == ["note"]


def test_a_server_outside_the_domain() -> None:
    zone = gateway().srv("_sipinternaltls._tcp.fabrikam.com", (0, 0, 5061, FQDN))
    names = look(zone, TLS, domains=["fabrikam.com"])
    ((grade, text),) = said(names)
    assert grade == "note"
    assert "outside the domain" in text
    assert names.zone == [
        "_sipinternaltls._tcp.fabrikam.com. 3600 IN SRV 0 0 5061 sip.fabrikam.com.",
        "sip.fabrikam.com. 3600 IN A 192.0.2.10",
    ]


def test_a_name_inside_the_domain_that_has_no_address() -> None:
    zone = gateway().srv("_sipinternaltls._tcp.fabrikam.com", (0, 0, 5061, "sip.fabrikam.com"))
    names = look(zone, TLS, domains=["fabrikam.com"])
    assert [grade for grade, _ in said(names)] == ["FAIL"]
    assert names.zone == ["sip.fabrikam.com. 3600 IN A 192.0.2.10"]


def test_a_host_name_that_is_another_server() -> None:
    zone = gateway().srv(INSIDE, (0, 0, 5061, FQDN)).a("sipinternal.contoso.com", "192.0.2.99")
    assert said(look(zone, TLS))[1] == ("note", "sipinternal.contoso.com is 192.0.2.99, which is not this gateway")


def test_what_could_not_be_asked_is_not_called_missing() -> None:
    zone = gateway()
    zone.failures[INSIDE] = TIMEOUT
    names = look(zone, TLS)
    assert said(names) == [("note", f"could not be looked up: SRV {INSIDE}: timeout (192.0.2.53:53)")]
    assert names.zone == []


def test_the_gateways_own_name_that_could_not_be_asked() -> None:
    zone = Zone()
    zone.failures[FQDN] = TIMEOUT
    assert "could not be looked up" in look(zone, TLS).verdicts[0].text


@pytest.mark.parametrize(
    "listen",
    [
        [ListenAddress("TCP", "127.0.0.1", 5060), ListenAddress("TLS", "::1", 5061)],
        [UDP],
        [ListenAddress("TCP", "0.0.0.0", 0)],
    ],
)
def test_where_no_client_could_come_no_name_is_missing(listen: list[ListenAddress]) -> None:
    assert questions(FQDN, DOMAINS, listen) == []
    assert findings(FQDN, DOMAINS, listen, {}) == Names([], [])


def test_a_gateway_named_by_its_address() -> None:
    names = look(Zone(), TLS, fqdn="192.0.2.10")
    assert names.zone == [
        f"{INSIDE}. 3600 IN SRV 0 0 5061 sip.contoso.com.",
        "sip.contoso.com. 3600 IN A 192.0.2.10",
    ]


def test_answers_that_were_not_got_are_no_errors() -> None:
    answers = {Question(INSIDE, "SRV"): Answer(Question(INSIDE, "SRV"), srv=(Srv(0, 0, 5061, FQDN),))}
    assert [verdict.grade for verdict in findings(FQDN, DOMAINS, [TLS], answers).verdicts] == ["note", "FAIL"]
    empty = {Question(INSIDE, "SRV"): Answer(Question(INSIDE, "SRV"), failure=NO_NAME)}
    assert [verdict.grade for verdict in findings(FQDN, DOMAINS, [TLS], empty).verdicts] == ["note", "note"]
