"""What is shown of pools: their servers, wherever those come from, and what is known of them."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from sipgw.core.health import Health, HealthSettings
from sipgw.events import Hop
from sipgw.locating import Locator
from sipgw.registry import Pool, PoolState, Registry, Server
from sipgw.server.admin.models import PoolBody
from sipgw.server.admin.pools import is_served, pools_now
from tests.zone import answer

FQDN = "pc.example.test"
BY_NAME = Server("TCP", "servers.example.test", 5041)
BY_ADDRESS = Server("TLS", "192.0.2.51", 5041)


class Place:
    """A registry with one pool, what is known of names and health, and nothing else of a gateway."""

    def __init__(self, *servers: Server, standby: str = "", drained: str = "") -> None:
        pool = Pool(FQDN, servers, "sip:svc@example.test", frozenset(standby.split()), frozenset(drained.split()))
        self.registry = Registry([pool], domains=["example.test"])
        self.health = Health(HealthSettings())
        self.locator = Locator()
        self.now = asyncio.get_running_loop().time()

    def locate(self, names: dict[str, list[str]]) -> None:
        """What was asked for is answered out of a zone with these addresses, until nothing is asked any more."""
        while questions := self.locator.take_questions():
            for question in questions:
                self.locator.answered(answer(question, names), self.now)

    def shown(self) -> PoolBody:
        engine = SimpleNamespace(locator=self.locator, health=self.health, outputs=list)
        shell = SimpleNamespace(run=lambda action, outputs: action(self.now))
        gateway: Any = SimpleNamespace(engine=engine, shell=shell, registry=self.registry)
        (body,) = pools_now(gateway)
        return body


def roles(body: PoolBody) -> dict[str, str]:
    return {server.server: server.role for server in body.servers}


async def test_servers_by_name_are_shown_once_they_are_known() -> None:
    place = Place(BY_NAME, standby="192.0.2.52")
    assert place.shown().missing == "the name service has not answered yet"
    assert not is_served(place.shown())
    place.locate({BY_NAME.host: ["192.0.2.51", "192.0.2.52"]})
    body = place.shown()
    assert (body.missing, body.configured) == ("", ["tcp:servers.example.test:5041"])
    assert roles(body) == {"tcp:192.0.2.51:5041": "active", "tcp:192.0.2.52:5041": "standby"}
    assert is_served(body)


async def test_a_name_that_is_none_is_said() -> None:
    place = Place(BY_NAME)
    place.shown()
    place.locate({})
    assert "no such name" in place.shown().missing


async def test_a_server_that_is_down_has_its_reason_and_when_it_is_tried_again() -> None:
    place = Place(BY_ADDRESS)
    place.health.failed(Hop("TLS", "192.0.2.51", 5041, FQDN), "503", place.now, 30.0)
    (server,) = place.shown().servers
    assert (server.health, server.reason) == ("down", "503")
    assert server.since is not None and abs(server.since - time.time()) < 600
    assert server.until is not None and 25 < server.until - server.since < 35
    assert not is_served(place.shown())


async def test_a_failure_that_has_not_brought_it_down_is_told() -> None:
    place = Place(BY_ADDRESS)
    place.health.failed(Hop("TLS", "192.0.2.51", 5041, FQDN), "timeout", place.now)
    (server,) = place.shown().servers
    assert (server.health, server.since, server.until) == ("up", None, None)


async def test_drained_servers_serve_nobody() -> None:
    place = Place(BY_ADDRESS, drained="192.0.2.51")
    assert roles(place.shown()) == {"tls:192.0.2.51:5041": "drained"}
    assert not is_served(place.shown())


async def test_the_state_of_a_pool() -> None:
    place = Place(BY_ADDRESS, Server("TLS", "192.0.2.52", 5041), standby="192.0.2.52")
    assert place.shown().state == "Normal"
    second = "tls:192.0.2.52:5041"
    place.registry.replace_states([PoolState(FQDN, True, frozenset({second}), frozenset({str(BY_ADDRESS)}))])
    body = place.shown()
    assert (body.state, roles(body)) == ("FailedOver", {str(BY_ADDRESS): "drained", second: "active"})
