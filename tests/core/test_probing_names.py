"""OPTIONS to servers that are known by name: as soon as it is known where they are."""

from sipgw.core.health import HealthSettings
from sipgw.registry import Pool, Server
from tests.harness import World, default_pool, reply


def test_servers_that_are_located_are_asked_as_soon_as_they_are_known() -> None:
    """And those that were asked in this round are not asked twice."""
    servers = Server("TCP", "pc.example.test", 5041), Server("TCP", "late.example.test", 5041)
    fixed = Pool("fixed.example.test", (Server("TCP", "192.0.2.53", 5041),), "sip:GC-3@example.test")
    world = World([default_pool(*servers), fixed], health=HealthSettings(10.0))
    world.names |= {"pc.example.test": ["192.0.2.51"], "late.example.test": ["192.0.2.52"]}
    world.resolver = "holds"
    located = world.pool_servers()
    third = world.server(host="192.0.2.53")
    began = world.now
    world.perform(world.engine.start_probing(world.now))
    third >> reply(third << "OPTIONS", 200)
    for server in located:
        server.nothing()
    world.resolver = "answers"
    world.release()
    for server in located:
        server >> reply(server << "OPTIONS", 200)
        server.nothing()
    third.nothing()
    assert world.now == began
    while not third.inbox:
        world.advance(0.1)
    for server in (*located, third):
        server >> reply(server << "OPTIONS", 200)
