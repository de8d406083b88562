"""Calls over links that lose, double, delay and reorder a quarter of everything, and over connections that break.

What has to be true afterwards is in `Play.check`: every request came to one end, and that a final response unless none
got through to the caller; nothing came up twice to any transaction user, the proxy included; no call goes on at one
side; no transaction, timer or waiting entry is left anywhere.
"""

from collections import Counter
from functools import partial
from random import Random

from hypothesis import given, settings

from tests.harness import CONTACT_OBJECT
from tests.link.network import START, Conditions, Connection, Network, Node
from tests.link.plays import Part
from tests.link.record import NONE
from tests.link.scene import BOB, BOBS, FIRST_STEP, NAMES, POOLS, Play, Scene
from tests.link.strategies import BREAKING, LOSS, LOSSY, UNEVEN
from tests.link.tiny_agent import Step, TinyAgent

CALLS = 100
PERFECT = {name: Conditions() for name in NAMES}
BAD = {name: Conditions(LOSS, 0.2, 1.0) for name in NAMES}


def played(scene: Scene) -> Play:
    play = Play(scene)
    play.run()
    play.check()
    return play


@settings(max_examples=250)
@given(LOSSY)
def test_a_quarter_is_lost_both_ways_on_every_link(scene: Scene) -> None:
    played(scene)


@settings(max_examples=150)
@given(UNEVEN)
def test_some_links_are_worse_than_others_and_some_parties_fall_silent(scene: Scene) -> None:
    played(scene)


@settings(max_examples=250)
@given(BREAKING)
def test_connections_are_reset_at_any_moment(scene: Scene) -> None:
    played(scene)


# that these say something


def calls(callee: str, *parts: Part, patience: float = 90.0, method: str = "call") -> tuple[tuple[str, Step], ...]:
    """A hundred in two minutes, from two callers. `parts` are those of the pool's servers, or of bob's phones."""
    random = Random(7)
    play = tuple(zip(POOLS if callee == CONTACT_OBJECT else BOBS, parts, strict=False))
    steps = [Step(method, random.random() * 120, callee, play, 2, 3.0, patience) for _ in range(CALLS)]
    return tuple((random.choice(["alice0", "alice1"]), step) for step in steps)


def statuses(play: Play, method: str) -> Counter[int]:
    return Counter(status for agent in play.agents.values() for status in agent.record.of(method))


def slowest(play: Play, method: str) -> float:
    """Seconds from the last step to the last end of a request of a method."""
    ends = [one.when for agent in play.agents.values() for one in agent.record.ends_of(method)]
    return max(ends) - START - FIRST_STEP - 120


def test_a_quarter_is_really_lost_and_calls_get_through_all_the_same() -> None:
    play = played(Scene(3, conditions=BAD, steps=calls(CONTACT_OBJECT, Part(200, 0.4), Part(200, 0.4))))
    arrived, counters = play.net.arrived, play.gateway.engine.counters
    assert 0.22 < arrived["lost"] / arrived.total() < 0.28
    assert statuses(play, "INVITE") == {200: CALLS}
    assert statuses(play, "INFO") == {200: 2 * CALLS}
    assert statuses(play, "BYE").keys() <= {200, NONE, 481}
    assert statuses(play, "BYE")[200] >= CALLS
    assert counters["retransmitted"] > 300
    assert counters["absorbed"] > 30


def test_refusals_are_acknowledged_until_it_is_heard() -> None:
    play = played(Scene(3, conditions=BAD, steps=calls(BOB, Part(486), Part(486, 0.4), Part(486, 2.0))))
    assert statuses(play, "INVITE") == {486: CALLS}
    layers = [agent.layer for agent in play.agents.values() if isinstance(agent, TinyAgent)]
    assert sum(layer.refusals for layer in layers) >= 2.9 * CALLS
    assert sum(layer.unacknowledged for layer in layers) == 0


def test_what_nobody_answers_is_ended_by_timer_c() -> None:
    play = played(Scene(3, conditions=BAD, steps=calls(BOB, *[Part(0)] * 3, patience=1000.0)))
    assert statuses(play, "INVITE") == {487: CALLS}  # what the phones say to our CANCEL
    assert statuses(play, "CANCEL") == {}
    assert 181 < slowest(play, "INVITE") < 230


def test_callers_that_hang_up_are_told_so() -> None:
    play = played(Scene(3, conditions=BAD, steps=calls(BOB, *[Part(0)] * 3, patience=5.0)))
    assert statuses(play, "INVITE") == {487: CALLS}
    assert slowest(play, "INVITE") < 40


def test_a_fork_that_all_answer_leaves_one_call() -> None:
    play = played(Scene(3, conditions=BAD, steps=calls(BOB, *[Part(200, 0.4)] * 3)))
    assert statuses(play, "INVITE") == {200: CALLS}
    assert statuses(play, "INFO")[200] == 2 * CALLS
    assert statuses(play, "BYE").total() > 1.5 * CALLS


def test_messages_are_delivered_once() -> None:
    play = played(Scene(3, conditions=BAD, steps=calls(BOB, *[Part(200, 0.4)] * 3, method="MESSAGE")))
    assert statuses(play, "MESSAGE")[200] >= CALLS - 1
    delivered = sum(len(agent.record.heard) for agent in play.agents.values())
    assert delivered >= 2.9 * CALLS


def test_a_good_link_needs_no_retransmission() -> None:
    play = played(Scene(3, conditions=PERFECT, steps=calls(CONTACT_OBJECT, Part(200, 0.4))))
    assert statuses(play, "INVITE") == {200: CALLS}
    assert statuses(play, "BYE") == {200: CALLS}
    assert play.gateway.engine.counters["retransmitted"] == 0


def test_connections_break_and_other_calls_go_on() -> None:
    random = Random(5)
    resets = tuple((FIRST_STEP + 120 * random.random(), random.randrange(20)) for _ in range(20))
    steps = calls(CONTACT_OBJECT, Part(200, 0.4), Part(200, 0.4))
    play = played(Scene(3, "TCP", {name: Conditions(late=0.5) for name in NAMES}, steps=steps, resets=resets))
    assert play.net.arrived["resets"] == 20
    assert statuses(play, "INVITE")[200] > 0.7 * CALLS
    assert statuses(play, "INVITE").total() == CALLS


def test_a_phone_that_dies_while_it_rings_ends_the_call_soon() -> None:
    step = Step("call", 0.0, BOB, (("bob0", Part(0)),))
    play = played(Scene(transport="TCP", bobs=1, steps=(("alice0", step),), deaths=((FIRST_STEP + 5.0, "bob0"),)))
    (end,) = play.agents["alice0"].record.ends_of("INVITE")
    assert end.status == 480
    assert 5.0 < end.when - START - FIRST_STEP < 8.0


# the network itself


class Counting:
    """A node that writes down what it gets."""

    def __init__(self, net: Network, name: str, host: str) -> None:
        self.name, self.host, self.port = name, host, 5060
        self.got: list[int] = []
        net.add(self)

    def receive(self, data: bytes, source: Node, connection: Connection | None) -> None:
        self.got.append(int(data))

    def connected(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...


def carried(conditions: Conditions, *, stream: bool) -> list[int]:
    """What arrives of a thousand numbers, one each hundredth of a second."""
    net = Network(1, {"there": conditions})
    here, there = Counting(net, "here", "192.0.2.1"), Counting(net, "there", "192.0.2.2")
    connection = net.dial(here, there.host, there.port) if stream else None
    for number in range(1000):
        data = str(number).encode()
        if connection is not None:
            net.after(number / 100, partial(net.stream, here, connection, data))
        else:
            net.after(number / 100, partial(net.datagram, here, there.host, there.port, data))
    net.run()
    return there.got


def test_the_network_loses_doubles_and_reorders() -> None:
    lossy = carried(Conditions(loss=0.25), stream=False)
    assert 700 < len(lossy) < 800
    assert lossy == sorted(set(lossy))
    doubled = carried(Conditions(doubled=0.25), stream=False)
    assert len(set(doubled)) == 1000
    assert 1200 < len(doubled) < 1300
    late = carried(Conditions(late=4.0), stream=False)
    assert sorted(late) == list(range(1000))
    assert late != sorted(late)


def test_a_stream_keeps_the_order() -> None:
    assert carried(Conditions(loss=0.25, doubled=0.25, late=4.0), stream=True) == list(range(1000))
