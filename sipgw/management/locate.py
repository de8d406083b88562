"""Locating for commands: asks the name service until everything is known, all that can be asked at once."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from sipgw.locating import Answer, Destination, Located, Locator, NotLocated, Question, of_pool, of_server
from sipgw.registry import Pool

Found = dict[Destination, Located | NotLocated]


class Asker(Protocol):
    """A resolver, by what is wanted of it here."""

    async def ask(self, question: Question) -> Answer: ...


def destinations(pool: Pool) -> dict[Destination, str]:
    """What is looked up to find the servers of a pool, with what the configuration calls it."""
    wanted = {of_server(one.transport, one.host, one.port, pool.fqdn): str(one) for one in pool.servers}
    return wanted or {of_pool(pool.fqdn): pool.fqdn}


async def locate(
    locator: Locator,
    asker: Asker,
    wanted: Iterable[Destination],
    now: float,
    heard: Callable[[Answer], None] = lambda answer: None,
) -> Found:
    """What there is at each destination. `now` is the locator's clock; `heard` is told every answer that came."""
    missing, found = list(dict.fromkeys(wanted)), Found()
    while missing:
        for destination in missing:
            known = locator.find(destination, now)
            if known is not None:
                found[destination] = known
        missing = [destination for destination in missing if destination not in found]
        for answer in await asyncio.gather(*map(asker.ask, locator.take_questions())):
            heard(answer)
            locator.answered(answer, now)
    return found
