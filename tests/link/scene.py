"""A gateway between callers and called, all of it on a network; what is done, and what must be true at the end."""

from dataclasses import dataclass, field
from functools import partial

from sipgw.registry import Server
from tests.harness import DOMAIN
from tests.link.network import START, Conditions, Network
from tests.link.own_agent import AgentNode
from tests.link.record import NONE, Heard
from tests.link.stacks import Gateway
from tests.link.tiny_agent import Step, TinyAgent
from tests.link.tiny_transactions import LONG

BOB = f"sip:bob@{DOMAIN}"
FIRST_STEP = 70.0  # seconds after the start: by then the REGISTERs of the start have ended one way or another
POOLS = ("pool0", "pool1")
CALLERS = ("alice0", "alice1", "own")  # the last one is the project's own user agent
BOBS = ("bob0", "bob1", "bob2")
NAMES = (*POOLS, *CALLERS, *BOBS)
Agent = TinyAgent | AgentNode


@dataclass(frozen=True)
class Scene:
    """`conditions` by the name of the other end of the link. `steps` by caller, times counted from the first step."""

    seed: int = 1
    transport: str = "UDP"
    conditions: dict[str, Conditions] = field(default_factory=dict)
    own_pool: bool = False  # whether the first pool server is the project's own user agent
    bobs: int = 3
    store_delay: float = 0.1
    steps: tuple[tuple[str, Step], ...] = ()
    resets: tuple[tuple[float, int], ...] = ()  # when, and of which connection that is open then
    deaths: tuple[tuple[float, str], ...] = ()  # when, and of whom


class Play:
    """One run of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.net = Network(scene.seed, scene.conditions)
        servers = [Server(scene.transport, f"192.0.2.{51 + number}", 5041) for number in range(len(POOLS))]
        self.gateway = Gateway(self.net, scene.transport, servers, scene.store_delay)
        self.agents: dict[str, Agent] = {}
        self._forgotten: set[str] = set()  # branches of what the gateway took for new, and rightly
        for number, name in enumerate(POOLS):
            self._add(name, "ocschat", servers[number].host, 5041, own=scene.own_pool and number == 0)
        for number, name in enumerate(CALLERS):
            self._add(name, name, f"198.51.100.{7 + number}", 5060, own=name == "own")
        for number, name in enumerate(BOBS[: scene.bobs]):
            self._add(name, "bob", f"203.0.113.{7 + number}", 5060, own=False)

    def _add(self, name: str, user: str, host: str, port: int, *, own: bool) -> None:
        net, transport = self.net, self.scene.transport
        if own:
            self.agents[name] = AgentNode(net, name, user, host, port, transport, 2 * self.scene.seed + (name in POOLS))
        else:
            self.agents[name] = TinyAgent(net, name, user, host, port, transport)

    def run(self) -> None:
        """Until nothing is left to happen."""
        for agent in self.agents.values():
            if isinstance(agent, TinyAgent) and agent.user == "bob":
                self.net.at(START, agent.register)
        for name, step in self.scene.steps:
            self.net.at(START + FIRST_STEP + step.at, partial(self.agents[name].do, step))
        for when, which in self.scene.resets:
            self.net.at(START + when, partial(self._reset, which))
        for when, name in self.scene.deaths:
            self.net.at(START + when, partial(self.net.kill, name))
        self.net.run()

    @property
    def survivors(self) -> list[Agent]:
        return [agent for agent in self.agents.values() if agent.name not in self.net.dead]

    def _reset(self, which: int) -> None:
        alive = [connection for connection in self.net.connections if connection.alive]
        if alive:
            self.net.reset(alive[which % len(alive)])

    # what must be true

    def check(self) -> None:
        self._every_request_came_to_one_end()
        self._nothing_came_up_twice()
        self._the_gateway_answered_every_call_once()
        self._no_call_goes_on()
        self._nothing_is_left()

    def _every_request_came_to_one_end(self) -> None:
        """With a final response, unless none has reached whoever asked, or his connection was reset."""
        for agent in self.survivors:
            for label, ends in agent.record.outcomes.items():
                assert len(ends) == 1, (agent.name, label, ends)
                if ends[0].status == NONE:
                    told = self.net.told.get((agent.name, agent.record.branches[label]), [])
                    finals = [status for when, status in told if status >= 200 and when < ends[0].when]
                    assert not finals, (agent.name, label, told)
                    if self.scene.transport == "TCP" and label.split()[2] == "INVITE":
                        assert ends[0].when in self.net.noticed.get(agent.name, []), (agent.name, label)

    def _nothing_came_up_twice(self) -> None:
        """But what is new to whoever had every right to forget it, and what that has led to elsewhere."""
        assert not [key for key, times in self.gateway.finals.items() if times > 1]
        again = self._repeated("gateway", self.gateway.heard, set())
        self._forgotten = {one.branch for one in again}
        excused = {one.request for one in again}
        for agent in self.agents.values():
            self._repeated(agent.name, agent.record.heard, excused)

    def _repeated(self, name: str, heard: list[Heard], excused: set[tuple[str, ...]]) -> list[Heard]:
        """What a node heard again after Timer J (64*T1 after its answer, §17.2.2), as the last copy was that late."""
        first: dict[tuple[str, ...], Heard] = {}
        again = [one for one in heard if first.setdefault(one.what, one) is not one]
        for one in again:
            answered = self.net.first_final.get((name, (one.branch, one.what[0])), one.when)
            forgotten = first[one.what].branch == one.branch and one.when > answered + LONG
            assert forgotten or one.request in excused, (name, one, answered)
        return again

    def _the_gateway_answered_every_call_once(self) -> None:
        """Each INVITE that got through gets a final response; nothing gets two that contradict each other."""
        for one in self.gateway.heard:
            if one.what[0] == "INVITE":
                assert self.net.answered.get((one.branch, "INVITE")), f"{one} was never answered"
        for (branch, method), finals in self.net.answered.items():
            contradicting = [status for status, _ in finals if method != "INVITE" or status >= 300]
            assert len(contradicting) <= 1 or branch in self._forgotten, (branch, method, finals)
        refused = {key[0] for key, finals in self.net.answered.items() if key[1] == "INVITE" and min(finals)[0] >= 300}
        never_acknowledged = refused - self.net.acknowledged
        assert self.gateway.engine.counters["unacknowledged"] <= len(never_acknowledged)

    def _no_call_goes_on(self) -> None:
        """Somebody ends every call; it may go on at one side only where the BYE got no answer or a bad one."""
        ended = {
            call_id: [status for _, status in self.net.told.get(key, [])] for key, call_id in self.net.byes.items()
        }
        failed = {call_id for call_id, statuses in ended.items() if 200 not in statuses}
        for agent in self.survivors:
            going_on = {call_id for call_id, _, _ in agent.dialogs}
            assert going_on <= failed, (agent.name, going_on - failed)

    def _nothing_is_left(self) -> None:
        sizes = self.gateway.engine.sizes()
        left = sizes.server_transactions, sizes.client_transactions, sizes.timers, sizes.bindings, sizes.parked
        assert left == (0, 0, 0, 0, 0), sizes
        assert self.gateway.engine.proxy._waiting_count == 0
        assert self.gateway.engine.layer._by_peer == {}
        for agent in self.survivors:
            assert agent.transactions == (0, 0), (agent.name, agent.transactions)
