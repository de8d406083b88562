"""What all workers agree on: the order in which registrations change, and the connections that users are reached by."""

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from sipgw.core.location import KEY, ROW, Subscription
from sipgw.core.ownership import BUCKETS, worker_of
from sipgw.server.workers.wire import Change, FlowData, Row, Snapshot

_AT = [ROW.index(name) for name in KEY]
_EXPIRES_AT = ROW.index("expires_at")


class _Home(NamedTuple):
    cid: int
    subscription: Subscription | None
    expires_at: float


class Ledger:
    """A change is taken when it was planned against all changes before it; else it has to be planned anew. So the rules
    of RFC 3261 §10.3 hold as if there were one registrar, whichever workers the REGISTERs of a user come to.

    Times are of the wall's clock.
    """

    def __init__(self) -> None:
        self._taken = [0] * BUCKETS
        self._told = array("I", bytes(4 * BUCKETS))
        self._connections: dict[int, FlowData] = {}
        self._homes: dict[Row, _Home] = {}
        self._signed: dict[tuple[str, int], int] = {}

    def take(self, change: Change) -> bool:
        """Whether a change may be made now."""
        if change.seen != self._taken[change.bucket]:
            return False
        self._taken[change.bucket] += 1
        return True

    def settled(self, change: Change, done: bool) -> None:
        """A change that was taken is durable, or could not be made; from now on the workers know."""
        self._told[change.bucket] += 1
        if not done:
            return
        for key in change.deletes:
            self._homes.pop(tuple(key), None)
        for row, cid, subscription in change.puts:
            key = tuple(row[at] for at in _AT)
            self._homes.pop(key, None)
            if cid in self._connections:
                self._homes[key] = _Home(cid, subscription, row[_EXPIRES_AT])

    def opened(self, flow: FlowData) -> None:
        self._connections[flow.cid] = flow

    def lost(self, cid: int) -> None:
        self._connections.pop(cid, None)

    def signed(self, peer: tuple[str, int], worker: int) -> None:
        """Which worker signs what goes to a peer by datagram, -1 for none."""
        if worker < 0:
            self._signed.pop(peer, None)
        else:
            self._signed[peer] = worker

    def gone(self, worker: int) -> None:
        """A worker has ended, and its connections with it."""
        self._signed = {peer: one for peer, one in self._signed.items() if one != worker}
        for cid in [cid for cid in self._connections if worker_of(cid) == worker]:
            del self._connections[cid]

    def prune(self, now: float) -> None:
        """Forget what has run out, and what was reached over connections that are gone."""
        gone = [key for key, home in self._homes.items() if home.cid not in self._connections or home.expires_at <= now]
        for key in gone:
            del self._homes[key]

    def snapshot(self, alive: Iterable[int]) -> Snapshot:
        """For a worker that comes: it is told of all that is settled from now on."""
        homes = tuple((key, one.cid, one.subscription) for key, one in self._homes.items())
        flows, signed = tuple(self._connections.values()), tuple(self._signed.items())
        return Snapshot(tuple(alive), flows, signed, homes, self._told.tobytes())

    def sizes(self) -> dict[str, int]:
        """How much is kept in mind."""
        return {"connections": len(self._connections), "homes": len(self._homes)}
