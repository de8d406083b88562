"""The suite's own rule: a test leaves nothing behind. Each kind of leak is made here on purpose, and has to be seen."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from random import Random

import pytest

from sipgw.core.health import HealthSettings
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Listener, Persist, Resolve
from sipgw.message import Request, parse_message
from sipgw.message.build import new_request
from sipgw.registry import Server
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.timers import TimerValues
from tests.harness import CONTACT_OBJECT, World, default_pool, reply
from tests.leaks import watching

ROOT = Path(__file__).parent.parent


def ringing(transport: str = "UDP") -> World:
    """A call with transactions on both sides and Timer C, a registration, and a pool that is being asked how it is."""
    server = Server(transport, "192.0.2.51", 5041)
    world = World([default_pool(server)], health=HealthSettings(interval=10.0))
    alice, pool = world.phone("alice", transport), world.server(transport)
    world.perform(world.engine.start_probing(world.now))
    pool >> reply(pool << "OPTIONS", 200)
    alice.sign_in()
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    pool >> reply(pool << "INVITE", 180)
    return world


def a_request(method: str) -> bytes:
    lines = ["Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1", "From: <sip:a@x.test>;tag=1", "To: <sip:b@x.test>"]
    return new_request(method, "sip:b@x.test", [*lines, "Call-ID: 1", f"CSeq: 1 {method}", "Max-Forwards: 1"]).encode()


class Hearing:
    """A user that makes nothing of what it is told."""

    def on_response(self, *_: object) -> None: ...

    def on_failure(self, *_: object) -> None: ...


class Silent:
    """An application that never answers."""

    def on_request(self, *_: object) -> None: ...

    def on_dialog_lost(self, *_: object) -> None: ...


class Nagging:
    """A timer that never leaves off."""

    def __init__(self, layer: TransactionLayer) -> None:
        self.layer = layer

    def fire(self, kind: str, now: float) -> None:
        self.layer.timers.start("nag", 1.0, self, now)


# what a test may leave half done


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_call_that_is_left_ringing_comes_to_its_end(transport: str) -> None:
    with watching() as watch:
        ringing(transport)
    assert watch.leaks() == []


def test_what_waits_for_the_store_or_for_a_name_gets_its_answer() -> None:
    with watching() as watch:
        world = World(trusted=(ip_network("198.51.100.0/24"),))
        world.store = world.resolver = "holds"
        alice = world.phone("alice")
        alice >> alice.register()
        alice >> alice.request("MESSAGE", "sip:bob@elsewhere.test")
        assert {type(one) for one in world.held} == {Persist, Resolve}
        assert world.engine.proxy._waiting_count == 1
    assert watch.leaks() == []


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_what_an_application_has_not_answered_is_answered(method: str) -> None:
    with watching() as watch:
        listener = Listener("UDP", "192.0.2.1", 5060, "192.0.2.1:5060")
        agent = UserAgent([listener], Random(1), TimerValues())
        agent.application = Silent()
        agent.receive(a_request(method), Flow("UDP", "198.51.100.7", 5060, listener), 5.0)
        assert agent.layer.size == (1, 0)
    assert watch.leaks() == []


# what it may not


def no_timers(world: World) -> None:
    timers = world.engine.layer.timers
    timers._queues.clear()
    timers._lingering.clear()


def a_nagging_timer(world: World) -> None:
    Nagging(world.engine.layer).fire("nag", world.now)


def no_expiry(world: World) -> None:
    world.engine.location._expiry.clear()


def a_count_that_is_not_taken_back(world: World) -> None:
    world.engine.proxy._waiting_count += 1


def a_peer_that_is_still_waited_for(world: World) -> None:
    next(iter(world.engine.layer._clients.values())).drop(None, world.now)


@pytest.mark.parametrize(
    ("harm", "transport", "seen"),
    [
        (no_timers, "UDP", ["Engine: 2 server transactions", "Engine: 2 client transactions"]),
        (a_nagging_timer, "UDP", ["Engine: timers run for ever: "]),
        (no_expiry, "UDP", ["Engine: 1 bindings"]),
        (a_count_that_is_not_taken_back, "UDP", ["Engine: 1 requests waiting for a name"]),
        (a_peer_that_is_still_waited_for, "TCP", ["Engine: 1 peers waited for"]),
    ],
)
def test_state_that_stays(harm: Callable[[World], None], transport: str, seen: list[str]) -> None:
    with watching() as watch:
        harm(ringing(transport))
    found = watch.leaks()
    assert all(any(line.startswith(start) for line in found) for start in seen), found


def test_a_layer_without_anything_above_it() -> None:
    with watching() as watch:
        layer = TransactionLayer(TimerValues(), Random(1))
        request = parse_message(a_request("INVITE"))
        assert isinstance(request, Request)
        transaction = layer.send_request(Hearing(), request, "z9hG4bK1", Hop("UDP", "192.0.2.9", 5060), 5.0)
        transaction.stop_again()
        transaction.stop_end()
    assert watch.leaks() == ["Stack: 1 client transactions"]


def test_a_task() -> None:
    async def spawn() -> asyncio.Task[bool]:
        return asyncio.create_task(asyncio.Event().wait(), name="forgotten")

    with watching() as watch, asyncio.Runner() as runner:
        runner.run(spawn())
    (line,) = watch.leaks()
    assert line.startswith("task ")
    assert "forgotten" in line


def test_a_socket() -> None:
    with watching() as watch:
        kept = socket.socket()
    with kept:
        (line,) = watch.leaks()
    assert line.startswith("descriptor ")
    assert " of socket:" in line


def test_a_transport() -> None:
    async def connect() -> asyncio.BaseTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        return transport

    with watching() as watch, asyncio.Runner() as runner:
        transport = runner.run(connect())
    (line,) = watch.leaks()
    assert "socket:" in line
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport
        gc.collect()


@pytest.mark.parametrize("ended", [False, True], ids=["running", "not waited for"])
def test_a_process(ended: bool) -> None:
    with watching() as watch:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    if ended:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = watch.leaks()
    child.kill()
    child.communicate()
    assert f"process {child.pid}" in found


def test_a_thread() -> None:
    end = threading.Event()
    with watching() as watch:
        thread = threading.Thread(target=end.wait, name="forgotten", daemon=True)
        thread.start()
    assert watch.leaks() == ["thread forgotten"]
    end.set()
    thread.join()


# the fixture itself

LEAKING = """
import asyncio
import socket

import pytest

from tests import leaks
from tests.test_leaks import no_timers, ringing

KEPT = []


def test_state():
    no_timers(ringing())


def test_half_done():
    ringing()


def test_socket():
    KEPT.append(socket.socket())


async def test_task():
    KEPT.append(asyncio.create_task(asyncio.Event().wait()))


@pytest.fixture
async def with_a_task():
    task = asyncio.create_task(asyncio.Event().wait())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_task_of_a_fixture(with_a_task):
    pass
"""
OF_A_MODULE = """
import socket

import pytest

from tests import leaks


@pytest.fixture(scope="module")
def kept():
    return []


def test_first(kept):
    with leaks.for_the_module():
        kept.append(socket.socket())


def test_second(kept):
    pass
"""


def test_every_test_is_watched(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nmarkers = peer(program, package): x\n", "utf-8"
    )
    (tmp_path / "test_leaking.py").write_text(LEAKING, "utf-8")
    (tmp_path / "test_module.py").write_text(OF_A_MODULE, "utf-8")
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    out = found.stdout.decode()
    assert found.returncode == 1
    assert "7 passed, 4 errors" in out
    failed = [line.split()[1].rpartition("::")[2] for line in out.splitlines() if line.startswith("ERROR test_")]
    assert failed == ["test_state", "test_socket", "test_task", "test_second"]
