"""SIPp where messages come twice, too late, or cross each other, over UDP and TCP; and with a fifth of them lost.

All races of a transport run at once against one gateway, each with an endpoint and a pool of its own, CALLS calls each,
and the calls with losses beside them. Asserted are SIPp's exit statuses, 0 when every call went as its scenario says
and nothing unexpected came, and its counters (-trace_counts).
"""

import asyncio
import csv
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.programs import sipgw, write_config
from tests.e2e.sipp.races import CALLS, Race, races
from tests.e2e.sipp.run import listening, sipp
from tests.e2e.sipp.script import Called, Caller, linger, pause, receive, scenario
from tests.ports import free_port

T1 = 0.1
LOSSY_CALLS, RATE, LOSS = 200, 50, 10  # percent lost of what is sent, and again of what is received: 19 in all
MODE = {"udp": "u1", "tcp": "t1"}
RACES = [race for transport in MODE for race in races(transport, T1)]
# alone: whoever else wants the processors for longer than T1 has messages sent again that no race is about
pytestmark = [pytest.mark.peer("sipp", "sip-tester"), pytest.mark.alone]


class Side(NamedTuple):
    status: int
    counts: dict[str, int]
    errors: str

    def count(self, name: str) -> int:
        return sum(value for key, value in self.counts.items() if key.partition("_")[2] == name)


Outcome = tuple[Side, Side]


def config(folder: Path, transport: str, ports: dict[str, int], t2: float = 8 * T1) -> Path:
    """A gateway with an endpoint and a pool by name, hasty timers, and nothing that asks the pools how they are."""
    path = write_config(folder, f"{transport}:127.0.0.1:9", endpoint=False)
    lines = [f"[timers]\nt1 = {T1}\nt2 = {t2}\nfirst_response = 10.0\n[health]\ninterval = 0"]
    for name, port in ports.items():
        lines.append(f'[[pool]]\nfqdn = "{name}.contoso.com"\nservers = ["{transport}:127.0.0.1:{port}"]')
        lines.append(f'[[endpoint]]\nsip_address = "sip:{name}@contoso.com"\npool_fqdn = "{name}.contoso.com"')
    path.write_text(path.read_text("utf-8") + "\n".join(lines) + "\n", "utf-8")
    return path


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "scenario.xml").write_text(text, "utf-8")


def outcome(folder: Path, status: int) -> Side:
    (counts,) = folder.glob("*_counts.csv")
    with counts.open(newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    values = {name: int(value) for name, value in zip(rows[0], rows[-1], strict=False) if value.isdecimal()}
    errors = "".join(path.read_text("latin-1")[:2000] for path in folder.glob("*_errors.log"))
    return Side(status, values, errors)


async def play(race: Race, folder: Path, pool_port: int, port: int) -> Outcome:
    """One race: the pool's SIPp first, then the caller's."""
    near, far = folder / "near", folder / "far"
    write(near, scenario(race.name, race.caller))
    write(far, scenario(race.name, race.called))
    arguments = ["-t", MODE[race.transport], "-m", str(CALLS), "-timeout", "20s", "-timeout_error"]
    arguments += ["-trace_counts", "-trace_err"]
    deaf = ["-pause_msg_ign"] if race.deaf_in_pauses else []
    async with sipp(far, far / "scenario.xml", *arguments, *deaf, "-p", str(pool_port)) as pool:
        await listening(pool_port, race.transport)
        more = ["-r", "20", "-p", str(free_port()), f"127.0.0.1:{port}"]
        async with sipp(near, near / "scenario.xml", *arguments, *more) as caller:
            statuses = await caller.wait(), await pool.wait()
    return outcome(near, statuses[0]), outcome(far, statuses[1])


async def play_all(folder: Path, transport: str) -> dict[str, Outcome]:
    chosen = [race for race in RACES if race.transport == transport]
    ports = {race.endpoint: free_port() for race in chosen}
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(sipgw("serve", "--config", config(folder, transport, ports)))
        port = (await program.ports())[transport]
        found = await asyncio.gather(*(play(race, folder / race.name, ports[race.endpoint], port) for race in chosen))
        await program.quiet()
        assert await program.stop() == 0
    return {race.name: one for race, one in zip(chosen, found, strict=True)}


async def play_lossy(folder: Path) -> Outcome:
    """Calls of which either party loses as much of what it sends as of what it receives."""
    again = round(1000 * T1)
    caller, called = Caller("lossy", again), Called("lossy", again)
    calling = [caller.invite(), receive(100, optional=True), receive(200, routes=True), caller.ack(), pause(3000)]
    answering = [receive("INVITE"), called.answer(200, retrans=True), receive("ACK")]
    for number, method in enumerate(("INFO", "INFO", "BYE"), 2):
        calling += [caller.ask(method, number), receive(200)]
        answering += [receive(method), called.answer(200, inside=True)]
    near, far, pool_port = folder / "near", folder / "far", free_port()
    write(near, scenario("lossy", calling))
    write(far, scenario("lossy", [*answering, linger(30 * again)]))
    common = ["-t", "u1", "-lost", str(LOSS), "-max_retrans", "30", "-T2", str(2 * again), "-nd", "-timeout", "30s"]
    common += ["-timeout_error", "-trace_counts", "-trace_err", "-m", str(LOSSY_CALLS)]
    async with (
        sipp(far, far / "scenario.xml", *common, "-p", str(pool_port)) as pool,
        sipgw("serve", "--config", config(folder, "udp", {"lossy": pool_port}, t2=2 * T1)) as gateway,
    ):
        await listening(pool_port, "udp")
        more = ["-r", str(RATE), "-p", str(free_port()), f"127.0.0.1:{(await gateway.ports())['udp']}"]
        async with sipp(near, near / "scenario.xml", *common, *more) as client:
            statuses = await client.wait(), await pool.wait()
        await gateway.quiet()
        assert await gateway.stop() == 0
    return outcome(near, statuses[0]), outcome(far, statuses[1])


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    """By transport and name."""

    async def all_at_once() -> dict[tuple[str, str], Outcome]:
        lossy = asyncio.create_task(play_lossy(tmp_path_factory.mktemp("lossy")))
        played = await asyncio.gather(*(play_all(tmp_path_factory.mktemp(one), one) for one in MODE))
        found = {(transport, name): one for transport, by in zip(MODE, played, strict=True) for name, one in by.items()}
        return found | {("udp", "lossy"): await lossy}

    return asyncio.run(all_at_once())


@pytest.mark.parametrize("race", RACES, ids=lambda race: f"{race.name}-{race.transport}")
def test_race(race: Race, outcomes: dict[tuple[str, str], Outcome]) -> None:
    near, far = outcomes[race.transport, race.name]
    assert (near.status, far.status) == (0, 0), (near, far)
    assert race.holds(near.count, far.count), (near.counts, far.counts)


def test_a_fifth_is_lost_both_ways_on_both_links_and_every_call_comes_to_its_end(
    outcomes: dict[tuple[str, str], Outcome],
) -> None:
    near, far = outcomes["udp", "lossy"]
    assert (near.status, far.status) == (0, 0), (near, far)
    for side, sent, received in ((near, "Sent", "Recv"), (far, "Recv", "Sent")):
        assert side.count(f"INVITE_{sent}") == side.count(f"ACK_{sent}") == side.count(f"BYE_{sent}") == LOSSY_CALLS
        assert side.count(f"INFO_{sent}") == 2 * LOSSY_CALLS
        assert side.count(f"200_{received}") == 4 * LOSSY_CALLS
        assert sum(value for name, value in side.counts.items() if name.endswith("_Lost")) > LOSSY_CALLS / 2
    assert far.count("BYE_Unexp") == 0
