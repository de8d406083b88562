"""What is counted of every call, cheaply: results and durations, read by whoever shows them.

Everything here is bounded: what there would be too many of is counted together, under OTHER.
"""

from bisect import bisect_left
from collections import Counter
from typing import Final

from sipgw.core.route import Route
from sipgw.events import Flow, Hop

# Upper bounds in seconds. The last ones are the timers that give an INVITE up (RFC 3261 §17.1.1.2, §16.6 item 11).
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 32.0, 181.0)
MOST: Final = 200  # endpoints, pools, and servers of pools, that are counted one by one
OTHER: Final = "other"

Line = tuple[str, str]  # what an INVITE was for, as `Route.matched` has it, and the pool's fqdn; "" for neither


class Durations:
    """How many took how long: `buckets` by BOUNDS, each without those before it; the last is for what took longer."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Meter:
    """`calls` are the final responses to INVITEs that begin a dialog, by status; those for users, and for nobody, are
    together. `until_final` is from INVITE to final response, by pool; `until_first` from sending an INVITE to a server
    of a pool to its first response, by pool and server. `failures` are answers of ours by their ms-diagnostics id.
    """

    def __init__(self) -> None:
        self.calls: dict[Line, Counter[int]] = {}
        self.until_final: dict[str, Durations] = {}
        self.until_first: dict[tuple[str, str], Durations] = {}
        self.failures: Counter[int] = Counter()
        self._servers: dict[Flow | Hop, Durations] = {}

    def ended(self, route: Route, status: int, seconds: float) -> None:
        """A call that was forwarded has its final response."""
        pool = route.groups[0][0].pool
        line = (route.matched, pool.fqdn) if pool is not None else ("", "")
        (self.calls.get(line) or self._new_line(line))[status] += 1
        (self.until_final.get(line[1]) or self._new_pool(line[1])).add(seconds)

    def turned_down(self, matched: str, status: int) -> None:
        """A call got its final response without being forwarded."""
        line = (matched if matched.startswith("endpoint ") else "", "")
        (self.calls.get(line) or self._new_line(line))[status] += 1

    def responded(self, fqdn: str, hop: Flow | Hop, seconds: float) -> None:
        """A server of a pool has given its first response to an INVITE."""
        (self._servers.get(hop) or self._new_server(fqdn, hop)).add(seconds)

    def _new_line(self, line: Line) -> Counter[int]:
        known = line if len(self.calls) < MOST or line == ("", "") else (OTHER, "")
        return self.calls.setdefault(known, Counter())

    def _new_pool(self, fqdn: str) -> Durations:
        return self.until_final.setdefault(fqdn if len(self.until_final) < MOST else OTHER, Durations())

    def _new_server(self, fqdn: str, hop: Flow | Hop) -> Durations:
        if len(self._servers) >= MOST:
            return self.until_first.setdefault((OTHER, ""), Durations())
        durations = self._servers[hop] = self.until_first.setdefault((fqdn, str(hop)), Durations())
        return durations
