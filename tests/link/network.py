"""A network in virtual time: datagrams that are lost, doubled, late and overtaken, connections that are reset.

Nodes put data on it and are handed data by it; whatever is to happen waits on one heap. All traffic is between the
gateway and somebody else, so a link is named after the somebody else. Chance is one generator, so that a run can be
repeated.
"""

import heapq
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

START = 1000.0
HOP_DELAY = 0.002  # seconds that every message takes at least
MAX_EVENTS = 400_000  # of one run; more means that something goes on for ever
_BRANCH = re.compile(rb"^Via:[^\r\n]*?;branch=([^;,\s]+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(rb"^CSeq:\s*\d+\s+(\w+)", re.IGNORECASE | re.MULTILINE)
_CALL_ID = re.compile(rb"^Call-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
Transaction = tuple[str, str]  # branch of the top Via, method in CSeq


@dataclass(frozen=True)
class Conditions:
    """Of one link, both ways: the chance that a datagram is lost or comes twice, and the longest delay in seconds.

    Delays stay below T4, the longest time that a message is supposed to be under way (RFC 3261 §17.1.1.2).
    """

    loss: float = 0.0
    doubled: float = 0.0
    late: float = 0.0


class Node(Protocol):
    """Something with an address. What it is told of a connection is the `Connection` itself, None for a datagram."""

    name: str
    host: str
    port: int

    def receive(self, data: bytes, source: "Node", connection: "Connection | None") -> None: ...

    def connected(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...


@dataclass(eq=False)
class Connection:
    """A stream between two nodes; `number` is not used again. What it carries arrives whole and in order, or never."""

    number: int
    dialler: Node
    answerer: Node
    alive: bool = True
    clear_at: dict[str, float] = field(default_factory=dict)  # by receiver: when the last message will have arrived

    def peer(self, node: Node) -> Node:
        return self.answerer if node is self.dialler else self.dialler


class Network:
    """`at` schedules, `run` goes on until nothing is left to happen. `arrived` counts what became of the datagrams."""

    def __init__(self, seed: int, conditions: dict[str, Conditions]) -> None:
        self.now = START
        self.random = Random(seed)
        self.conditions = conditions
        self.nodes: dict[tuple[str, int], Node] = {}
        self.connections: list[Connection] = []
        self.dead: set[str] = set()
        self.arrived: Counter[str] = Counter()
        # what the checks ask about
        self.told: dict[tuple[str, Transaction], list[tuple[float, int]]] = {}  # responses that got through
        self.answered: dict[Transaction, set[tuple[int, bytes]]] = {}  # final responses that the gateway has sent
        self.acknowledged: set[str] = set()  # branches of ACKs that got through to the gateway
        self.noticed: dict[str, list[float]] = {}  # when a node found a connection of its own reset
        self.first_final: dict[tuple[str, Transaction], float] = {}  # by who sent it
        self.byes: dict[tuple[str, Transaction], str] = {}  # Call-IDs of BYEs, by who sent them
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0

    def add(self, node: Node) -> None:
        self.nodes[node.host, node.port] = node

    # time

    def at(self, when: float, action: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (max(when, self.now), self._serial, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + seconds, action)

    def run(self) -> None:
        for _ in range(MAX_EVENTS):
            if not self._heap:
                return
            self.now, _, action = heapq.heappop(self._heap)
            action()
        raise AssertionError("it goes on for ever")

    # datagrams

    def datagram(self, source: Node, host: str, port: int, data: bytes) -> None:
        target = self.nodes[host, port]
        self._note_sent(source, data)
        if self.dead & {source.name, target.name}:
            self.arrived["to or from the dead"] += 1
            return
        link = self.conditions.get(target.name) or self.conditions.get(source.name) or Conditions()
        copies = 2 if self.random.random() < link.doubled else 1
        for _ in range(copies):
            if self.random.random() < link.loss:
                self.arrived["lost"] += 1
            else:
                self.arrived["delivered"] += 1
                self.after(self._delay(link), self._arrival(data, source, target, None))

    def _delay(self, link: Conditions) -> float:
        return HOP_DELAY + link.late * self.random.random() ** 3

    def _arrival(self, data: bytes, source: Node, target: Node, way: Connection | None) -> Callable[[], None]:
        def arrive() -> None:
            if target.name not in self.dead and (way is None or way.alive):
                self._note_arrived(target, data)
                target.receive(data, source, way)

        return arrive

    # streams

    def dial(self, source: Node, host: str, port: int) -> Connection | None:
        """A connection to what listens there, None where that is dead."""
        target = self.nodes[host, port]
        if target.name in self.dead:
            return None
        connection = Connection(len(self.connections) + 1, source, target, source.name not in self.dead)
        self.connections.append(connection)
        target.connected(connection)
        return connection

    def stream(self, source: Node, connection: Connection, data: bytes) -> None:
        self._note_sent(source, data)
        if not connection.alive:
            return
        target = connection.peer(source)
        link = self.conditions.get(target.name) or self.conditions.get(source.name) or Conditions()
        when = max(connection.clear_at.get(target.name, 0.0), self.now + self._delay(link))
        connection.clear_at[target.name] = when
        self.at(when, self._arrival(data, source, target, connection))

    def reset(self, connection: Connection) -> None:
        """What is under way is gone; either end finds out in its own time."""
        if connection.alive:
            connection.alive = False
            self.arrived["resets"] += 1
            for node in (connection.dialler, connection.answerer):
                self.after(2.0 * self.random.random() ** 2, self._notice(node, connection))

    def _notice(self, node: Node, connection: Connection) -> Callable[[], None]:
        def notice() -> None:
            self.noticed.setdefault(node.name, []).append(self.now)
            node.lost(connection)

        return notice

    def kill(self, name: str) -> None:
        """From now on nothing gets to a node or comes from it."""
        self.dead.add(name)
        for connection in self.connections:
            if name in (connection.dialler.name, connection.answerer.name):
                self.reset(connection)

    # what went over it

    def _note_sent(self, source: Node, data: bytes) -> None:
        if data.startswith(b"SIP/2.0 ") and int(data[8:11]) >= 200:
            self.first_final.setdefault((source.name, _transaction(data)), self.now)
        if source.name != "gateway":
            if data.startswith(b"BYE "):
                self.byes[source.name, _transaction(data)] = _found(_CALL_ID, data)
            return
        if data.startswith(b"CANCEL "):
            branch = _transaction(data)[0]
            assert ("gateway", (branch, "INVITE")) in self.told, f"a CANCEL before any sign of life: {branch}"  # §9.1
        elif data.startswith(b"SIP/2.0 ") and int(data[8:11]) >= 200:
            tag = data.lower().partition(b"\r\nto:")[2].partition(b"\r\n")[0].partition(b";tag=")[2]
            self.answered.setdefault(_transaction(data), set()).add((int(data[8:11]), tag))

    def _note_arrived(self, target: Node, data: bytes) -> None:
        if data.startswith(b"ACK ") and target.name == "gateway":
            self.acknowledged.add(_transaction(data)[0])
        if data.startswith(b"SIP/2.0 "):
            key = target.name, _transaction(data)
            self.told.setdefault(key, []).append((self.now, int(data[8:11])))


def _transaction(data: bytes) -> Transaction:
    return _found(_BRANCH, data), _found(_CSEQ, data)


def _found(pattern: re.Pattern[bytes], data: bytes) -> str:
    found = pattern.search(data)
    assert found is not None, data
    return found[1].decode()
