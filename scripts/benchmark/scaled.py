"""What things cost with one and with many endpoints and bindings, for `scripts/bench scale`.

python -m benchmark.scaled ROUNDS ENDPOINTS BINDINGS has both engines in one process, in turn. Like is compared with
like where both have the same callee each time. Callees by lot, as they are in life, also miss what the processor and
the gateway remember of the last ones.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from random import Random
from statistics import median

from benchmark import job, stored
from sipgw.events import Flow
from sipgw.message.build import response_to

BATCH, WARM_UP = 200, 600


class Populated(job.Caller):
    """An engine with so many endpoints and users, all of them at one address."""

    def __init__(self, endpoints: int, bindings: int) -> None:
        place = job.site("UDP")
        addresses = [f"sip:chat{number}@contoso.com" for number in range(endpoints)]
        super().__init__(place, job.engine_of(place, addresses))
        self._addresses, self._bindings, self._random = addresses, bindings, Random(1)
        self._phone = Flow("UDP", "127.0.0.1", 6001, place.listener)
        self.engine.load_bindings(self._row(number) for number in range(bindings))

    def _row(self, number: int) -> tuple[object, ...]:
        binding = stored.registration(number, 1e9)
        binding.contact, binding.received = f"sip:user{number}@127.0.0.1:6001", "udp:127.0.0.1:6001"
        return binding.row()

    def lookup(self) -> None:
        self.call(self._addresses[0])

    def lookup_by_lot(self) -> None:
        self.call(self._random.choice(self._addresses))

    def message(self) -> None:
        self._message(0)

    def message_by_lot(self) -> None:
        self._message(self._random.randrange(self._bindings))

    def _message(self, number: int) -> None:
        """A MESSAGE to a user, and its 200."""
        self.calls += 1
        self.now += self.interval
        uri = f"sip:user{number}@contoso.com"
        there = self.at_pool(self.request("MESSAGE", uri, 1, body=job.BODY))
        self.receive(response_to(there, 200, to_tag="u"), self._phone)
        self.pass_time()


def cost(site: Populated, work: Callable[[], None], count: int) -> float:
    """CPU of the engine, microseconds each."""
    site.spent = 0.0
    site.steps.clear()
    for _ in range(count):
        work()
    return site.spent / count * 1e6


def compare(sites: list[Populated], works: list[Callable[[], None]], rounds: int) -> list[float]:
    """The medians of each site, in turn."""
    spent: list[list[float]] = [[] for _ in sites]
    for site, work in zip(sites, works, strict=True):
        cost(site, work, WARM_UP)
    for _ in range(rounds):
        for site, work, found in zip(sites, works, spent, strict=True):
            found.append(cost(site, work, BATCH))
    return [median(found) for found in spent]


def main(rounds: int, endpoints: int, bindings: int) -> None:
    began = time.monotonic()
    sites = [Populated(1, 1), Populated(endpoints, bindings)]
    print(f"built in {time.monotonic() - began:.0f} s", file=sys.stderr)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 1_000, 1_000)  # as `sipgw serve` does
    found = {
        "call": compare(sites, [site.lookup for site in sites], rounds),
        "call by lot": compare(sites, [site.lookup_by_lot for site in sites], rounds),
        "user": compare(sites, [site.message for site in sites], rounds),
        "user by lot": compare(sites, [site.message_by_lot for site in sites], rounds),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
