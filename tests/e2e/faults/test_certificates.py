"""A pool server whose certificate is wrong, or that finds ours wanting: beside one that works, and as the only one."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from sipgw.config import TlsFiles
from tests.e2e.faults.site import ALONE, PAIR, SLACK, emulated_pool, note, pool, visit, write
from tests.e2e.programs import sipgw
from tests.server.certificates import issue

POOL, ALONE_POOL = "pcpool.contoso.com", "alone.contoso.com"


class Fault(NamedTuple):
    """What the server shows and wants, and what the gateway says of it."""

    shows: Callable[[trustme.CA, Path], TlsFiles]
    reason: str


FAULTS = {
    "wrong name": Fault(lambda ca, at: issue(ca, at, "pcpool.fabrikam.com", ca=False), "it is for another name"),
    "expired": Fault(lambda ca, at: issue(ca, at, POOL, ALONE_POOL, days=-1.0, as_="old", ca=False), "it has expired"),
    "unknown authority": Fault(
        lambda _, at: issue(trustme.CA(), at, POOL, ALONE_POOL, as_="x", ca=False), "no authority in ca vouches for it"
    ),
    "wants a certificate and gets none": Fault(
        lambda ca, at: issue(ca, at, POOL, ALONE_POOL, as_="mutual"), "it may want a certificate of ours"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_certificate_that_is_wrong(tmp_path: Path, name: str) -> None:
    """The client never waits: the next server has it, and where there is none it is told what kind of fault it is."""
    authority, fault = trustme.CA(), FAULTS[name]
    right = issue(authority, tmp_path, POOL, as_="right", ca=False)
    own = issue(authority, tmp_path, "127.0.0.1")
    async with AsyncExitStack() as stack:
        bad = await stack.enter_async_context(emulated_pool(tls=fault.shows(authority, tmp_path)))
        good = await stack.enter_async_context(emulated_pool(tls=right))
        alone = pool(ALONE_POOL, [bad], ALONE, 'service_uri = "sip:GC-2@contoso.com"', f'ca = "{own.ca}"')
        config = write(tmp_path, f'[tls]\nca = "{own.ca}"', pool(POOL, [bad, good], PAIR), alone)
        gateway = await stack.enter_async_context(sipgw("serve", "--config", config))
        port = (await gateway.ports())["tcp"]
        first, second = await visit(port), await visit(port)
        note(name, "first client, another server works", first.seconds, first.failure or "chats")
        note(name, "second client", second.seconds, second.failure or "chats")
        assert (first.failure, second.failure) == ("", "")
        assert max(first.seconds, second.seconds) < SLACK
        down = await gateway.line("server down", bad)
        assert fault.reason in down and "certificate not trusted" in down
        told = await visit(port, ALONE)
        note(name, "client, no other server", told.seconds, told.failure)
        assert ": 504 " in told.failure and '(1010;source="127.0.0.1"' in told.failure
        assert f"pool alone.contoso.com: {bad} certificate not trusted" in told.failure
        assert fault.reason in told.failure
        assert told.seconds < SLACK
