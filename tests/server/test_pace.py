"""Gathering: who waits, for how long, and that nothing is lost on the way."""

import asyncio
import socket

import pytest

from sipgw.events import Flow, Output, Send
from sipgw.server.ears import bind
from sipgw.server.limits import ShellLimits
from sipgw.server.pace import ENOUGH, WINDOW, Pace
from sipgw.server.shell import Shell
from tests.server.probe import WITHIN, Probe

LONGEST = 0.001


def turns(pace: Pace, rate: float, work: float) -> list[float]:
    """The waits of half a second's turns. `rate` messages come in a second, each takes `work` seconds."""
    now, taken, waits = 1.0, 0, []
    while now < 1.5:
        now = max(now, 1.0 + (taken + 1) / rate)
        come = int((now - 1.0) * rate + 1e-6) - taken
        taken += come
        pace.taken += come
        now += come * work
        waits.append(pace.rest(now, LONGEST))
        now += waits[-1]
    return waits


def test_the_quiet_do_not_wait() -> None:
    pace = Pace()
    for number in range(1000):
        pace.taken += 1
        assert pace.rest(1.0 + number / 1000, LONGEST) == 0.0
    assert not pace.busy


def test_the_busy_gather() -> None:
    pace = Pace()
    waits = turns(pace, 5_000, 0.00002)
    assert pace.busy
    assert max(waits) <= LONGEST
    assert waits[-1] == pytest.approx(LONGEST, rel=0.2)
    assert len(waits) < 0.3 * 2_500, "turns are fewer than messages"


def test_the_busier_the_shorter() -> None:
    pace = Pace()
    waits = turns(pace, 40_000, 0.000005)
    assert pace.busy
    assert 0.0 < waits[-1] <= 1.2 * ENOUGH / 40_000


def test_who_works_all_the_time_does_not_wait() -> None:
    pace = Pace()
    waits = turns(pace, 5_000, 0.00021)
    assert pace.busy and not any(waits[-100:])


def test_what_waits_already_is_taken_at_once() -> None:
    pace = Pace()
    turns(pace, 5_000, 0.00002)
    pace.more = True
    assert pace.rest(1.5, LONGEST) == 0.0
    assert not pace.more


def test_a_lull_ends_it_with_the_first_message_after() -> None:
    pace = Pace()
    turns(pace, 5_000, 0.00002)
    pace.taken = 1
    assert pace.rest(9.0, LONGEST) == 0.0
    assert not pace.busy


def test_who_wants_no_wait_has_none() -> None:
    pace = Pace()
    pace.taken = 10_000
    pace.look(1.0 + WINDOW, 0.0)
    assert not pace.busy


class Echo(Probe):
    """Everybody gets back what he sent."""

    def __init__(self) -> None:
        super().__init__()
        self.heard_last = asyncio.Event()

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        if data == LAST:
            self.heard_last.set()
        return [Send(data, flow)]


def message(number: int) -> bytes:
    return f"OPTIONS sip:x SIP/2.0\r\nContent-Length: 5\r\n\r\n{number:05}".encode()


LAST = message(99_999)


async def test_all_is_answered_in_order_and_the_last_before_the_end() -> None:
    """From 20 messages a second on a turn may wait for a tenth of a second."""
    echo = Echo()
    shell = Shell(echo, limits=ShellLimits(gather=0.1))
    ears = bind([("TCP", "127.0.0.1", 0)], "")
    await shell.start(ears)
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", ears[0].listener.port)
        number = 0
        while number < 100 or not shell._pace.busy:
            number += 1
            writer.write(message(number))
            assert await reader.readexactly(len(message(number))) == message(number)
        many = b"".join(message(number) for number in range(500))
        writer.write(many)
        assert await reader.readexactly(len(many)) == many
        writer.write(LAST)
        await echo.heard_last.wait()
        await shell.close()
        assert await reader.read() == LAST
        writer.close()
        await writer.wait_closed()


async def test_datagrams_are_answered_in_order() -> None:
    shell = Shell(Echo(), limits=ShellLimits(gather=0.1))
    ears = bind([("UDP", "127.0.0.1", 0)], "")
    await shell.start(ears)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WITHIN):
            for count in (1, 1, 1, 1, 1, 1, 1, 1, 100, 200):
                sent = [message(number) for number in range(count)]
                for data in sent:
                    peer.sendto(data, ("127.0.0.1", ears[0].listener.port))
                assert [await loop.sock_recv(peer, 100) for _ in sent] == sent
    await shell.close()
