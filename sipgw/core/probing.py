"""OPTIONS to pool servers (§11): that one is down, or back again, is to be known before a caller finds out."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from sipgw.core.health import PROBE, Health
from sipgw.core.pool_servers import PoolServers
from sipgw.events import OURS, Hop, Log, Redial
from sipgw.message.build import new_request
from sipgw.message.message import Request, Response
from sipgw.message.values import host_port
from sipgw.registry import Registry
from sipgw.transaction.client import ClientTransaction
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.timers import Queue

JITTER = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)  # of the interval, by lot: gateways must not ask in step
MAX_UNDER_WAY = 256  # OPTIONS without an answer; a server beyond that is asked in the next round


class Asking(NamedTuple):
    """Who asks: the name in From, what Via names towards a hop, and seconds to wait for a first answer."""

    fqdn: str
    sent_by: Callable[[Hop], str]
    patience: float


class _Asked(NamedTuple):
    hop: Hop
    at: float


class Prober:
    """Asks every server of every pool once in a round. `start` begins, `stop` ends; a new round follows by itself."""

    def __init__(
        self,
        layer: TransactionLayer,
        registry: Registry,
        servers: PoolServers,
        health: Health,
        asking: Asking,
        random: Random,
    ) -> None:
        self._layer = layer
        self._registry = registry
        self._servers = servers
        self._health = health
        self._fqdn, self._sent_by, self._patience = asking
        self._random = random
        self._next: Queue | None = None
        self._turn = 0
        self._asked: dict[ClientTransaction, _Asked] = {}
        self._unknown: set[str] = set()

    def start(self, now: float) -> None:
        """Begin with a round at once; without an interval there is only that one, which locates the pools."""
        self.stop()
        if not self._health.settings.interval:
            self._health.without_probes(now)
        self.fire("probe", now)

    def stop(self) -> None:
        if self._next is not None:
            self._next.pop(self, None)
            self._next = None

    def give_up(self, now: float) -> None:
        """Ask no longer, and wait for no answer."""
        self.stop()
        for transaction in self._asked:
            transaction.abandon(now)
        self._asked.clear()

    def located(self, now: float) -> None:
        """Names have been looked up: servers that a round has lacked need not wait for the next one."""
        if not self._unknown or self._next is None:
            return
        found: dict[Hop, None] = {}
        for pool in self._registry.pools:
            hops = self._servers.every(pool, now) if pool.fqdn in self._unknown else None
            if isinstance(hops, list):
                self._unknown.discard(pool.fqdn)
                found |= dict.fromkeys(hops)
        self._ask_all(list(found), now)

    def fire(self, kind: str, now: float) -> None:
        """A round."""
        interval = self._health.settings.interval
        everything: dict[Hop, None] = {}
        self._unknown = set()
        for pool in self._registry.pools:
            hops = self._servers.every(pool, now)  # asks for names that it lacks, so that no call has to wait for them
            if isinstance(hops, list):
                everything |= dict.fromkeys(hops)
            else:
                self._unknown.add(pool.fqdn)
        if not self._unknown:
            self._health.keep_only(everything)
        if interval:
            self._ask_all(list(everything), now)
            self._next = self._layer.timers.start("probe", interval * self._random.choice(JITTER), self, now)

    def _ask_all(self, hops: list[Hop], now: float) -> None:
        turn = self._turn % (len(hops) or 1)
        waited_for = {asked.hop for asked in self._asked.values()}
        wanted = [hop for hop in [*hops[turn:], *hops[:turn]] if hop not in waited_for]
        room = MAX_UNDER_WAY - len(self._asked)
        for hop in wanted[:room]:
            self._ask(hop, now)
        if len(wanted) > room:
            self._turn = turn + room  # those that were left out are the first of the next round
            self._layer.counters["probes_put_off"] += len(wanted) - room

    def _ask(self, hop: Hop, now: float) -> None:
        branch, sent_by = self._layer.new_branch(), self._sent_by(hop)
        request = self._options(hop, branch, sent_by)
        asked = self._layer.send_request(self, request, branch, hop, now, self._patience, sent_by=sent_by)
        self._asked[asked] = _Asked(hop, now)

    def _options(self, hop: Hop, branch: str, sent_by: str) -> Request:
        uri = f"sip:{host_port(hop.host, hop.port)};transport={hop.transport.lower()}"
        headers = [
            f"Via: SIP/2.0/{hop.transport} {sent_by};branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:{self._fqdn}>;tag={self._layer.new_tag()}",
            f"To: <{uri}>",
            f"Call-ID: {self._layer.new_tag()}@{self._fqdn}",
            "CSeq: 1 OPTIONS",
            "Accept: application/sdp",
        ]
        return new_request("OPTIONS", uri, headers)

    # the transaction layer calls these

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if response.status < 200:
            return
        asked = self._asked.pop(transaction, None)
        if asked is None:
            return
        hop = asked.hop
        if response.status == 503:
            self._health.failed(hop, "503 to OPTIONS", now, retry_after(response), by=PROBE)
        else:
            self._health.succeeded(hop, now, by=PROBE)

    def on_failure(self, transaction: ClientTransaction, reason: str, now: float) -> None:
        asked = self._asked.pop(transaction, None)
        if asked is None or reason.startswith(OURS):
            return
        hop = asked.hop
        self._health.failed(hop, reason, now, certain=reason != "timeout", by=PROBE)
        fields = {"server": str(hop), "reason": reason, "call_id": transaction.request.call_id}
        self._layer.out.append(Log("debug", "probe failed", fields))  # for the trace: the log has what changes
        if reason == "timeout" and hop.reliable:  # the connection may be dead rather than the server
            self._layer.out.append(Redial(hop, asked.at))


def retry_after(response: Response) -> float:
    """Seconds of a Retry-After (§20.33), comment and parameters aside; 0.0 without a readable one."""
    text = (response.first("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    return float(text) if text.isdecimal() else 0.0
