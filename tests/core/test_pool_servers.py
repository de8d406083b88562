"""The order in which the servers of a pool are tried for a new dialog."""

from random import Random

import pytest

from sipgw.core.health import Health, HealthSettings
from sipgw.core.pool_servers import PoolServers
from sipgw.events import Hop
from sipgw.locating import Destination, Locator, NotLocated
from sipgw.registry import Pool, Server
from tests.zone import TTL, answer

FQDN = "pc.example.test"
ACTIVE, OTHER, THIRD, FOURTH = (f"192.0.2.{last}" for last in (51, 52, 53, 54))


class Place:
    """Servers of one pool, a zone, and what is known of the servers' health."""

    def __init__(self, *servers: Server, standby: str = "", drained: str = "") -> None:
        self.pool = Pool(FQDN, servers, "sip:x@example.test", frozenset(standby.split()), frozenset(drained.split()))
        self.health = Health(HealthSettings(interval=10.0))
        self.names: dict[str, list[str]] = {}
        self.now = 1000.0
        self._locator = Locator()
        self.servers = PoolServers(self._locator, self.health, Random(1))

    def down(self, *hosts: str) -> None:
        for hop in self.every():
            if hop.host in hosts:
                self.health.failed(hop, "connection refused", self.now, certain=True)

    def every(self) -> list[Hop]:
        self._locate()
        found = self.servers.every(self.pool, self.now)
        assert isinstance(found, list)
        return found

    def tried(self) -> list[Hop]:
        """In the order of tries."""
        self._locate()
        found = self.servers.hops(self.pool, self.now)
        assert isinstance(found, list), found
        return found

    def hosts(self) -> list[str]:
        return [hop.host for hop in self.tried()]

    def _locate(self) -> None:
        while isinstance(self.servers.every(self.pool, self.now), Destination):
            for question in self._locator.take_questions():
                self._locator.answered(answer(question, self.names), self.now)


def tcp(host: str, port: int = 5041) -> Server:
    return Server("TCP", host, port)


FOUR = [tcp(host) for host in (ACTIVE, OTHER, THIRD, FOURTH)]

# active, standby, drained


def test_servers_are_tried_as_the_configuration_lists_them() -> None:
    assert Place(*FOUR).hosts() == [ACTIVE, OTHER, THIRD, FOURTH]


@pytest.mark.parametrize(
    ("down", "order"),
    [
        ([], [OTHER, FOURTH, ACTIVE, THIRD]),
        ([OTHER], [FOURTH, ACTIVE, THIRD, OTHER]),
        ([OTHER, FOURTH], [ACTIVE, THIRD, OTHER, FOURTH]),
        ([ACTIVE], [OTHER, FOURTH, THIRD, ACTIVE]),
        ([OTHER, FOURTH, ACTIVE], [THIRD, OTHER, FOURTH, ACTIVE]),
        ([ACTIVE, OTHER, THIRD, FOURTH], [OTHER, FOURTH, ACTIVE, THIRD]),
    ],
)
def test_active_before_standby_and_working_before_either(down: list[str], order: list[str]) -> None:
    """Active up, standby up, active down, standby down."""
    place = Place(*FOUR, standby=f"{ACTIVE} {THIRD}")
    place.down(*down)
    assert place.hosts() == order


def test_a_drained_server_is_not_tried_whatever_the_others_do() -> None:
    place = Place(*FOUR, drained=f"{ACTIVE} tcp:{THIRD}:5041")
    place.down(OTHER, FOURTH)
    assert place.hosts() == [OTHER, FOURTH]


def test_drained_counts_before_standby() -> None:
    assert Place(*FOUR, standby=f"{ACTIVE} {OTHER}", drained=ACTIVE).hosts() == [THIRD, FOURTH, OTHER]


def test_all_drained_leaves_none() -> None:
    assert Place(*FOUR, drained=f"{ACTIVE} {OTHER} {THIRD} {FOURTH}").hosts() == []


def test_a_standby_server_alone_is_used() -> None:
    assert Place(tcp(ACTIVE), standby=ACTIVE).hosts() == [ACTIVE]


def test_a_name_with_a_port_means_that_port_and_an_address_all_of_them() -> None:
    servers = [tcp(ACTIVE), tcp(ACTIVE, 5042), Server("TLS", ACTIVE, 5041)]
    place = Place(*servers, drained=f"tcp:{ACTIVE}:5041")
    assert [str(hop) for hop in place.tried()] == [f"tcp:{ACTIVE}:5042", f"tls:{ACTIVE}:5041"]
    assert Place(*servers, drained=ACTIVE).hosts() == []


def test_a_name_that_is_nobodys_changes_nothing() -> None:
    assert Place(*FOUR, drained="192.0.2.99", standby="192.0.2.98").hosts() == [ACTIVE, OTHER, THIRD, FOURTH]


@pytest.mark.parametrize("written", ["2001:DB8:0:0::1", "2001:db8::1"])
@pytest.mark.parametrize("drained", ["2001:db8::1", "tcp:[2001:db8::1]:5041"])
def test_an_ipv6_address_is_the_same_however_it_is_written(written: str, drained: str) -> None:
    place = Place(tcp(written), tcp(OTHER))
    assert place.hosts() == ["2001:db8::1", OTHER], "a flow token gives it back in this form"
    assert Place(tcp(written), tcp(OTHER), drained=drained).hosts() == [OTHER]


def test_a_tls_server_has_to_prove_the_name_of_the_pool() -> None:
    names = {hop.transport: hop.server_name for hop in Place(Server("TLS", ACTIVE, 5041), tcp(OTHER)).every()}
    assert names == {"TLS": FQDN, "TCP": ""}


# names


@pytest.mark.parametrize("name", [ACTIVE, f"tcp:{ACTIVE}:5041", "tcp:pc1.example.test:5041"])
def test_a_server_that_is_configured_by_name_is_drained_by_name_or_address(name: str) -> None:
    place = Place(tcp("pc1.example.test"), tcp("pc2.example.test"), drained=name)
    place.names = {"pc1.example.test": [ACTIVE], "pc2.example.test": [OTHER]}
    assert place.hosts() == [OTHER]


def test_a_server_that_is_standby_by_name() -> None:
    place = Place(tcp("pc1.example.test"), tcp(OTHER), standby="tcp:pc1.example.test:5041")
    place.names = {"pc1.example.test": [ACTIVE]}
    assert place.hosts() == [OTHER, ACTIVE]
    place.down(OTHER)
    assert place.hosts() == [ACTIVE, OTHER]


def test_a_pool_that_is_known_by_its_name_only() -> None:
    place = Place(drained=OTHER, standby=THIRD)
    place.names = {FQDN: [ACTIVE, OTHER, THIRD]}
    assert place.hosts() == [ACTIVE, THIRD]
    place.down(ACTIVE)
    assert place.hosts() == [THIRD, ACTIVE]
    assert {hop.server_name for hop in place.every()} == {FQDN}, "what is located so speaks TLS"


def test_located_servers_share_the_calls() -> None:
    place = Place()
    place.names = {FQDN: [ACTIVE, OTHER, THIRD]}
    assert {place.hosts()[0] for _ in range(50)} == {ACTIVE, OTHER, THIRD}
    place.down(ACTIVE)
    assert {place.hosts()[0] for _ in range(50)} == {OTHER, THIRD}
    assert {place.hosts()[-1] for _ in range(50)} == {ACTIVE}


def test_two_names_of_one_address_are_one_server() -> None:
    place = Place(tcp("pc1.example.test"), tcp("pc2.example.test"), tcp(ACTIVE))
    place.names = {"pc1.example.test": [ACTIVE], "pc2.example.test": [ACTIVE]}
    assert place.hosts() == [ACTIVE]


def test_one_name_that_leads_nowhere_leaves_the_others() -> None:
    place = Place(tcp("gone.example.test"), tcp(OTHER))
    assert place.hosts() == [OTHER]


def test_without_any_server_it_is_said_why() -> None:
    place = Place(tcp("gone.example.test"))
    with pytest.raises(AssertionError):
        place.tried()
    found = place.servers.hops(place.pool, place.now)
    assert isinstance(found, NotLocated)
    assert "gone.example.test" in found.text


def test_addresses_follow_the_zone() -> None:
    place = Place(tcp("pc1.example.test"))
    place.names = {"pc1.example.test": [ACTIVE]}
    assert place.hosts() == [ACTIVE]
    place.names = {"pc1.example.test": [OTHER]}
    place.now += 2 * TTL + 3600
    assert place.hosts() == [OTHER]
