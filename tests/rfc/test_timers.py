"""Timers that do not follow T1 alone (RFC 3261 §17.1.1.2, §16.6 item 11)."""

import pytest

from sipgw.registry import Server
from sipgw.transaction.timers import TimerValues
from tests.harness import CONTACT_OBJECT, MakeWorld, default_pool, reply


@pytest.mark.parametrize("t1", [0.1, 0.5, 1.0])
def test_timer_d_is_at_least_32_seconds(make_world: MakeWorld, t1: float) -> None:
    """The server's T1 is not known here, nor how long it repeats its failure."""
    world = make_world([default_pool(Server("UDP", "192.0.2.51", 5060))], timers=TimerValues(t1=t1))
    alice, pool = world.phone("alice"), world.server("UDP", port=5060)
    alice >> alice.request("INVITE", CONTACT_OBJECT)
    alice << 100
    busy = reply(pool << "INVITE", 486)
    pool >> busy
    pool << "ACK"
    alice.fail_call(486)
    world.advance(31.9)
    pool >> busy
    pool << "ACK"


def test_timer_c_is_more_than_three_minutes() -> None:
    assert TimerValues().c > 180.0


def test_t1_is_half_a_second_t2_four_and_t4_five() -> None:
    values = TimerValues()
    assert (values.t1, values.t2, values.t4, values.long) == (0.5, 4.0, 5.0, 32.0)
