"""Connections that their opener lets be used in both directions (RFC 5923): who may be reached over them.

Only over TLS, and only with a certificate: a connection is found again by the address that it came from, the port that
its opener says it listens at, and a name that its certificate has proved. So nobody can draw requests to itself that
were meant for somebody else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sipgw.events import Flow, Hop
from sipgw.message.values import Via

MAX_ALIASES = 10_000  # one more is not learnt: its peer is dialled as if it had offered nothing
MAX_OF_ONE = 4  # of one connection
TLS_PORT = 5061  # where somebody listens who names no port (RFC 3261 §18.2.2)


@dataclass(frozen=True)
class Shown:
    """To whom we show a certificate of ours, which is what makes an offer of ours worth anything (RFC 5923 §8.1)."""

    to_all: bool = False
    names: frozenset[str] = frozenset()

    def to(self, server_name: str) -> bool:
        return self.to_all or server_name in self.names


class Aliases:
    """Connections by where their opener listens. `refused` counts offers that found the table full."""

    def __init__(self) -> None:
        self.refused = 0
        self._flows: dict[tuple[str, int], Flow] = {}
        self._of: dict[int, list[tuple[str, int]]] = {}
        self._outdated: set[int] = set()

    def __len__(self) -> int:
        return len(self._flows)

    def learn(self, via: Via, flow: Flow) -> None:
        """Take up the offer that the top Via of a request makes, if it makes one and may (RFC 5923 §8.2)."""
        if not flow.names or flow.listener is None or via.param("alias") is None or flow.cid in self._outdated:
            return
        host = via.host.lower()
        if host != flow.host and host not in flow.names:
            return  # what it says is not what it has proved to be
        place = (flow.host, via.port or TLS_PORT)
        known = self._flows.get(place)
        if known is not None and known.cid == flow.cid:
            return
        mine = self._of.get(flow.cid, [])
        if len(mine) >= MAX_OF_ONE or (known is None and len(self._flows) >= MAX_ALIASES):
            self.refused += 1
            return
        if known is not None:
            self._forget(known.cid, place)
        self._flows[place] = flow  # a newer connection has taken the place of an older one
        self._of[flow.cid] = [*mine, place]

    def find(self, hop: Hop) -> Flow | None:
        """The connection over which this very server can be reached already."""
        flow = self._flows.get((hop.host, hop.port))
        return flow if flow is not None and hop.transport == "TLS" and hop.server_name in flow.names else None

    def begin_anew(self, connected: Iterable[int]) -> None:
        """Others vouch for names from now on. What those connections have proved that there are, they have not proved
        to them: requests do not go over these any more, whatever they offer."""
        self._flows.clear()
        self._of.clear()
        self._outdated = set(connected)

    def lost(self, cid: int) -> None:
        """A connection is gone."""
        self._outdated.discard(cid)
        for place in self._of.pop(cid, ()):
            del self._flows[place]

    def _forget(self, cid: int, place: tuple[str, int]) -> None:
        self._of[cid].remove(place)
        if not self._of[cid]:
            del self._of[cid]
