"""Whose a message is when several processes, workers, share the work: told by ids that carry a worker's number.

A connection's id and the branch of a request that we forward name the worker that made them, so that everybody knows
where to hand over what is another's. What carries no number of ours, a CANCEL or an ACK that comes another way than its
INVITE, is passed from worker to worker until one knows it.
"""

import re
from binascii import crc32
from collections.abc import Collection

from sipgw.events import Flow, HandOver
from sipgw.message.message import Request, Response
from sipgw.message.values import MAGIC_COOKIE
from sipgw.transaction.layer import TransactionLayer

MAX_WORKERS = 64
BUCKETS = 1 << 14  # by which changes of registrations are kept in order: two users may share one, and lose nothing
STALE = "planned against registrations that have changed since"  # why a change was not made: it has to be planned anew
_BRANCH = re.compile(rf"{MAGIC_COOKIE}w([0-9a-f]{{2}})", re.IGNORECASE)


def first_cid(worker: int, drawn: int) -> int:
    """What the ids of a worker's connections count up from; `drawn` are random bits, so that none comes again."""
    return (drawn << 8 | worker) << 32


def worker_of(cid: int) -> int:
    """Which worker holds a connection."""
    return cid >> 32 & 0xFF


def branch_prefix(worker: int) -> str:
    """How the branches of a worker's requests start (RFC 3261 §8.1.1.7: what follows the cookie is ours to choose)."""
    return f"{MAGIC_COOKIE}w{worker:02x}"


def worker_of_branch(branch: str) -> int | None:
    """Which worker has sent a request; None where the branch does not say."""
    found = _BRANCH.match(branch)
    return int(found[1], 16) if found is not None else None


def bucket_of(aor: str) -> int:
    """The bucket of an address-of-record."""
    return crc32(aor.encode("utf-8", "surrogateescape")) % BUCKETS


def next_in_ring(worker: int, alive: Collection[int], passed: int) -> int | None:
    """To whom a worker passes on what it does not know; None when all have looked. `passed` workers have before it."""
    others = sorted(alive, key=lambda other: (other - worker) % MAX_WORKERS)
    others = [other for other in others if other != worker]
    return others[0] if others and passed < len(others) else None


class Sharing:
    """What a worker's engine knows of the others: `alive` are the numbers of all that there are.

    `passed` is how many workers have looked at the message that is being received, `versions` how often each bucket of
    registrations has changed.
    """

    def __init__(self, layer: TransactionLayer, worker: int) -> None:
        self.worker = worker
        self.alive: set[int] = {worker}
        self.passed = 0
        self.versions = [0] * BUCKETS
        self._layer = layer
        layer.branch_prefix = branch_prefix(worker)
        layer.elsewhere = self.pass_response

    def pass_response(self, response: Response, flow: Flow) -> bool:
        """Hand over a response that no transaction here is for; False where it is nobody's."""
        worker = worker_of_branch(response.via.branch)
        if worker is None or worker == self.worker or worker not in self.alive or self.passed:
            return False
        self._hand_over(worker, response, flow)
        return True

    def pass_request(self, request: Request, flow: Flow) -> bool:
        """Pass on a CANCEL or an ACK whose INVITE is not here; False when all have looked."""
        worker = next_in_ring(self.worker, self.alive, self.passed)
        if worker is None:
            return False
        self._hand_over(worker, request, flow)
        return True

    def _hand_over(self, worker: int, message: Request | Response, flow: Flow) -> None:
        self._layer.counters["handed_over"] += 1
        self._layer.out.append(HandOver(worker, message.encode(), flow, self.passed + 1))
