"""What locating comes to: servers in their order of preference, or why there are none."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from random import Random
from typing import NamedTuple

MAX_SERVERS = 32  # tried for one request; more would outlast every caller


class ServerAddress(NamedTuple):
    """A next hop. `verify_name` is what a TLS server has to prove, "" for other transports."""

    transport: str
    address: str
    port: int
    verify_name: str


class Service(NamedTuple):
    """One server as the zone describes it (RFC 2782). `rank` orders transports; `families` holds its addresses, those
    of the preferred family first."""

    rank: int
    priority: int
    weight: int
    transport: str
    host: str
    port: int
    families: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Located:
    """At least one server. `services` are sorted by rank and priority; `remarks` are lines about those that have no
    address and about what could not be asked."""

    services: tuple[Service, ...]
    verify_name: str
    remarks: tuple[str, ...] = ()

    def order(self, random: Random) -> list[ServerAddress]:
        """The addresses in the order to try them for one request: by priority, within it by lot (RFC 2782).

        Drawn for each request anew, so that calls spread over the servers as the weights say. Addresses of one name
        are taken in any order too: of a Lync pool each is another server.
        """
        found: dict[ServerAddress, None] = {}
        for _, group in groupby(self.services, key=lambda service: (service.rank, service.priority)):
            for service in by_lot(list(group), random):
                name = self.verify_name if service.transport == "TLS" else ""
                for address in interleaved([shuffled(family, random) for family in service.families]):
                    found[ServerAddress(service.transport, address, service.port, name)] = None
        return list(found)[:MAX_SERVERS]


@dataclass(frozen=True, slots=True)
class NotLocated:
    """Why there is no server. `kind` is one of the failures in `records`, or one of those below; `diagnostics` the
    ms-diagnostics id of [MS-OCER]; `text` one line for an operator."""

    kind: str
    diagnostics: int
    text: str


NOT_OFFERED = "not offered"  # the zone says so (RFC 2782, Target)
NO_TRANSPORT = "no transport"
TOO_MUCH = "too many look-ups"
NO_SRV, NO_ADDRESS = 1008, 1014  # Unable to resolve DNS SRV record; ... A record
CANNOT_ROUTE, OVERLOADED = 1005, 13011  # Cannot route to destination domain; Failed to dispatch request


def by_lot(services: list[Service], random: Random) -> Iterator[Service]:
    """Servers of one priority, each time in another order, heavier ones rather first (RFC 2782, Weight)."""
    waiting = random.sample(services, len(services)) if len(services) > 1 else services
    waiting.sort(key=lambda service: service.weight != 0)  # those of weight 0 go to the front, in any order
    while len(waiting) > 1:
        drawn = random.randint(0, sum(service.weight for service in waiting))
        at, running = 0, waiting[0].weight
        while running < drawn:
            at += 1
            running += waiting[at].weight
        yield waiting.pop(at)
    yield from waiting


def shuffled(addresses: Sequence[str], random: Random) -> list[str]:
    return random.sample(addresses, len(addresses)) if len(addresses) > 1 else list(addresses)


def interleaved(families: Iterable[Sequence[str]]) -> Iterator[str]:
    """One address of each family in turn, so that a family that does not work costs one attempt (RFC 8305 §4)."""
    for one_of_each in zip_longest(*families):
        yield from (address for address in one_of_each if address is not None)
