"""What a test must not leave behind: transactions, connections, timers, tasks, descriptors, processes, threads.

`watching` stands around every test of the suite (see conftest.py). Whatever stands on the transaction layer is noted
when it is made. When the test is over, the name service and the store answer what they were asked, connections are cut,
virtual time goes on for as long as any timer runs, and then nothing may be left. Registrations have to expire.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sipgw.core.user_agent import UserAgent
from sipgw.engine import Engine
from sipgw.groupchat.lookup_agent import LegacyService
from sipgw.locating import Answer
from sipgw.message.build import response_to
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.stack import Stack
from sipgw.transaction.tables import PROCEEDING, TRYING

MAX_STEPS = 200_000  # deadlines of one stack after the end of its test; nothing that ends needs as many
MAX_STUCK = 1000  # deadlines in a row without time passing
GRACE = 2.0  # seconds that a thread which has been told to end may take
TIMEOUT_OF_NAMES = "timeout"


@dataclass
class Watch:
    """One test under way: what there was before it, and what it has made."""

    descriptors: set[tuple[str, str]] = field(default_factory=lambda: descriptors())
    children: set[int] = field(default_factory=lambda: children())
    threads: set[threading.Thread] = field(default_factory=lambda: set(threading.enumerate()))
    stacks: list[Stack] = field(default_factory=list)
    layers: list[TransactionLayer] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    def leaks(self) -> list[str]:
        """A line for each thing that is left. To be asked once, when all that the test has set up is taken down."""
        found = [f"task {name}" for name in self.tasks]
        found += [f"process {pid}" for pid in sorted(children() - self.children)]
        found += [f"thread {thread.name}" for thread in self._live_threads()]
        found += [f"descriptor {number} of {what}" for number, what in sorted(descriptors() - self.descriptors)]
        held = {id(stack.layer) for stack in self.stacks}
        for stack in self.stacks:
            found += leaks_of_stack(stack)
        for layer in self.layers:
            if id(layer) not in held:
                with watching():  # not to be taken for one of the test's
                    found += leaks_of_stack(Stack(layer))
        return found

    def _live_threads(self) -> list[threading.Thread]:
        new = [thread for thread in threading.enumerate() if thread not in self.threads]
        for thread in new:
            thread.join(GRACE)
        return [thread for thread in new if thread.is_alive()]


_watches: list[Watch] = []  # outermost first


@contextmanager
def watching() -> Iterator[Watch]:
    """Note what is made inside. Of watches inside one another the innermost takes the notes."""
    _watches.append(Watch())
    try:
        yield _watches[-1]
    finally:
        _watches.pop()


def check(watch: Watch) -> None:
    """Fail the test that is being taken down if it has left anything."""
    found = watch.leaks()
    if found:
        for outer in _watches[:-1]:  # has nothing to add
            outer.descriptors |= descriptors()
            outer.children |= children()
            outer.threads |= set(threading.enumerate())
        pytest.fail("left behind: " + "; ".join(found), pytrace=False)


@contextmanager
def for_the_module() -> Iterator[None]:
    """Descriptors that are opened inside are those of a fixture of the module: it is the module's end that they must
    not outlive."""
    before = descriptors()
    yield
    _watches[-1].descriptors |= descriptors() - before


# what the process holds


def descriptors() -> set[tuple[str, str]]:
    """Open file descriptors and what they are."""
    found = set()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a Path for each is slow, and this runs twice a test
        try:
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))  # noqa: PTH115
        except OSError:
            continue  # the listing's own
    return found


def children() -> set[int]:
    """Processes that this one has started and not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return {pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _parent(pid) == os.getpid()}  # noqa: PTH208


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[1])
    except OSError:
        return 0


# what asyncio holds: looked at when an event loop is closed, which ends what is left without a word


def _close_and_tell(runner: asyncio.Runner) -> None:
    if _watches and getattr(runner, "_loop", None) is not None:
        _watches[-1].tasks += [repr(task) for task in asyncio.all_tasks(runner.get_loop())]
    _close(runner)


_close = asyncio.Runner.close


# what stands on the transaction layer


def _noting(made: type, where: str) -> None:
    """Have every new object of a class put on a list of the innermost watch."""
    init = made.__init__  # type: ignore[misc]

    @wraps(init)
    def noted(self: Any, *args: Any, **settings: Any) -> None:
        init(self, *args, **settings)
        noted_already = getattr(_watches[-1], where) if _watches else None
        if noted_already is not None and not any(one is self for one in noted_already):
            noted_already.append(self)

    setattr(made, "__init__", noted)  # noqa: B010 - an assignment to it does not type


def install() -> None:
    """Begin to take notes. Once in a process."""
    if find_spec("uvloop") is not None:
        import uvloop

        uvloop.new_event_loop().close()  # opens what it has once for the whole process
    setattr(asyncio.Runner, "close", _close_and_tell)  # noqa: B010
    for made in (Stack, Engine, UserAgent, LegacyService):  # each: compiled ones do not look for what their base has
        _noting(made, "stacks")
    _noting(TransactionLayer, "layers")


def leaks_of_stack(stack: Stack) -> list[str]:
    """Let a stack come to its end and see what is left of it."""
    if not hasattr(stack, "layer"):
        return []  # its making failed
    try:
        now = _run_out(stack, _settle(stack, 0.0))
        for flow in list(stack.layer.flows.values()):
            stack.connection_lost(flow, None, "closed", now)
        _run_out(stack, now)
    except AssertionError as error:
        return [f"{type(stack).__name__}: {error}"]
    return [f"{type(stack).__name__}: {count} {what}" for what, count in _sizes(stack).items() if count]


def _settle(stack: Stack, now: float) -> float:
    """Everything that waits for somebody outside gets its answer. Returns the time afterwards."""
    if not isinstance(stack, Engine):
        now = _run_out(
            stack, now
        )  # before the test's part is played: a queue of timers is in the order of their starts
        _play_the_user(stack.layer, now)
        return now
    stack._prober.stop()  # rounds have no end
    now = _run_out(stack, now)
    while stack._registration._parked or stack.locator._asked:
        for key in list(stack._registration._parked):
            stack.persisted(key, None, now)
        for question in list(stack.locator._asked):
            stack.resolved(Answer(question, failure=TIMEOUT_OF_NAMES), now)
        now = _run_out(stack, now)
    return now


def _play_the_user(layer: TransactionLayer, now: float) -> None:
    """Answer and give up what only the transaction user can, here an application or a test that has ended."""
    for server in list(layer._servers.values()):
        if server.state in (TRYING, PROCEEDING):
            server.respond(response_to(server.request, 500, to_tag="over"), now)
    for client in list(layer._clients.values()):
        if client.state == PROCEEDING:
            client.cancel(now)


def _run_out(stack: Stack, now: float) -> float:
    """Step from deadline to deadline until there is none. Returns the time afterwards."""
    stuck = 0
    for _ in range(MAX_STEPS):
        deadline = stack.next_deadline()
        if deadline is None:
            return now
        stuck = stuck + 1 if deadline <= now else 0
        assert stuck < MAX_STUCK, "timers run without time passing"
        now = max(now, deadline)
        stack.handle_timers(now)
    raise AssertionError(f"timers run for ever: {list(stack.layer.timers._queues)}")


def _sizes(stack: Stack) -> dict[str, int]:
    layer = stack.layer
    servers, clients = layer.size
    sizes = {
        "server transactions": servers,
        "client transactions": clients,
        "timers": len(layer.timers),
        "peers waited for": len(layer._by_peer),
        "requests that may be merged": len(layer._unmerged),
        "connections": len(layer.flows),
    }
    if isinstance(stack, Engine):
        sizes |= {
            "bindings": stack.location.count,
            "requests waiting for a name": stack.proxy._waiting_count,
            "questions": stack.locator.under_way,
            "parked requests": stack._registration.parked,
            "notifications unanswered": stack._registration._deregistration._unanswered,
            "servers being asked": len(stack._prober._asked),
        }
    return sizes
