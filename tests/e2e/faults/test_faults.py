"""One pool server with a fault: beside one that works, then as the only one. docs/pool-faults.md has the figures."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.faults.scripted import (
    Opening,
    following,
    is_silent,
    refusing,
    resets,
    resets_in_mid_answer,
    says,
    scripted,
    silent_datagrams,
    unreachable,
)
from tests.e2e.faults.site import (
    ALONE,
    CONNECT,
    FIRST_RESPONSE,
    PAIR,
    SLACK,
    change,
    emulated_pool,
    note,
    pool,
    reload,
    until,
    visit,
    write,
)
from tests.e2e.programs import Program, sipgw


class Fault(NamedTuple):
    """`status` and `id` are what the client is told where no other server is, with `reason` for this one. The server
    costs a call `costs` seconds, and after `tries` calls it is avoided; a client makes two until it can chat."""

    opens: Callable[[], Opening]
    reason: str
    status: int = 504
    id: int = 1011
    costs: float = 0.0
    tries: int = 1


FAULTS = {
    "refuses": Fault(refusing, "Connection refused"),
    "cannot be reached": Fault(unreachable, f"no connection within {CONNECT:g} s", costs=CONNECT),
    "accepts and is silent": Fault(partial(following, is_silent), "timeout", costs=FIRST_RESPONSE, tries=2),
    "is silent over UDP": Fault(silent_datagrams, "timeout", costs=FIRST_RESPONSE, tries=2),
    "503": Fault(partial(following, says(503)), "503", 503, 20000, tries=2),
    "503 with Retry-After": Fault(partial(following, says(503, "Retry-After: 60")), "503", 503, 20000),
    "resets after the INVITE": Fault(partial(following, resets), "closed by the other side"),
    "resets in mid-answer": Fault(partial(following, resets_in_mid_answer), "closed by the other side"),
}


async def two_pools(stack: AsyncExitStack, folder: Path, bad: str) -> tuple[Program, int]:
    """A gateway with the pool [bad, a good one] and the pool [bad]. Returns it and its port."""
    good = await stack.enter_async_context(emulated_pool())
    config = write(
        folder,
        pool("pcpool.contoso.com", [bad, good], PAIR),
        pool("alone.contoso.com", [bad], ALONE, 'service_uri = "sip:GC-2@contoso.com"'),
    )
    gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
    return gateway, (await gateway.ports())["tcp"]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_server_with_a_fault(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    async with AsyncExitStack() as stack:
        bad = await stack.enter_async_context(fault.opens())
        gateway, port = await two_pools(stack, tmp_path, bad)
        first, second = await visit(port), await visit(port)
        note(name, "first client, another server works", first.seconds, "chats")
        note(name, "second client", second.seconds, "chats")
        assert (first.failure, second.failure) == ("", "")
        assert fault.costs * fault.tries <= first.seconds < fault.costs * fault.tries + SLACK
        assert second.seconds < SLACK, "the server is known by now"
        assert fault.reason in await gateway.line("server down", bad)

        alone = await visit(port, ALONE)
        note(name, "client, no other server", alone.seconds, alone.failure)
        assert f": {fault.status} " in alone.failure
        assert f'({fault.id};source="127.0.0.1"' in alone.failure
        assert f"pool alone.contoso.com: {bad} {fault.reason}" in alone.failure
        assert fault.costs <= alone.seconds < fault.costs + SLACK
        line = await gateway.line("request failed", f"status={fault.status}")
        assert bad in line and fault.reason in line
        assert await gateway.stop() == 0


async def test_any_other_refusal_is_the_callers(tmp_path: Path) -> None:
    """A second server would say the same, or should not be asked behind the first one's back."""
    async with AsyncExitStack() as stack:
        bad = await stack.enter_async_context(scripted(is_silent))
        gateway, port = await two_pools(stack, tmp_path, bad.address)
        for status in (404, 480, 500):
            bad.script = says(status, f'ms-diagnostics: {status};source="pc1";reason="own"')
            for contact_object in (PAIR, ALONE):
                told = await visit(port, contact_object)
                note(str(status), contact_object, told.seconds, told.failure)
                assert f': {status} Scripted ({status};source="pc1";reason="own")' in told.failure
                assert told.seconds < SLACK
        assert not [line for line in gateway.log if "server down" in line or "next hop failed" in line]


async def test_two_servers_with_different_faults_are_both_named(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(following(is_silent))
        refuses = await stack.enter_async_context(refusing())
        config = write(tmp_path, pool("pcpool.contoso.com", [silent, refuses], PAIR))
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        told = await visit((await gateway.ports())["tcp"])
        note("silent, and refuses", "client", told.seconds, told.failure)
        assert f"pool pcpool.contoso.com: {silent} timeout, {refuses} Connection refused" in told.failure
        assert FIRST_RESPONSE <= told.seconds < FIRST_RESPONSE + SLACK


async def test_every_server_drained_is_said(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(emulated_pool())
        config = write(tmp_path, pool("pcpool.contoso.com", [good], PAIR))
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        port = (await gateway.ports())["tcp"]
        assert (await visit(port)).failure == ""
        drained = f'drained = ["{good}"]\n'
        change(config, "servers = ", f"{drained}servers = ")
        await reload(gateway)
        told = await visit(port)
        note("every server drained", "client", told.seconds, told.failure)
        assert ": 504 " in told.failure
        assert "every server of pool pcpool.contoso.com is drained" in told.failure
        change(config, drained, "")
        await reload(gateway)
        assert (await visit(port)).failure == ""


async def test_a_server_that_breaks_every_call_leaves_nothing_behind(tmp_path: Path) -> None:
    """Connections, and transactions that a gateway would wait for when it ends."""
    async with AsyncExitStack() as stack:
        bad = await stack.enter_async_context(scripted(resets))
        gateway, port = await two_pools(stack, tmp_path, bad.address)
        await visit(port, ALONE)
        before = descriptors(gateway)
        for _ in range(30):
            told = await visit(port, ALONE)
            assert "closed by the other side" in told.failure
        assert len(bad.heard) > 30
        await until(lambda: descriptors(gateway) <= before)
        assert await gateway.stop() == 0
        assert gateway.log[-1].split("]")[1].split()[0] == "stopped"


def descriptors(gateway: Program) -> int:
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))
