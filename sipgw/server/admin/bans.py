"""/api/v1/bans: who is not heard for now."""

import asyncio
import time
from heapq import nlargest

from sipgw.server.admin.models import MAX_PAGE, BanBody, BanList
from sipgw.server.admin.operation import Answer, Call


async def list_bans(call: Call) -> Answer:
    """Those that last longest, that is, the latest ones."""
    now = asyncio.get_running_loop().time()
    found = call.gateway.engine.admission.bans(now)
    offset = time.time() - now
    latest = nlargest(MAX_PAGE, found, key=lambda one: one[1])
    return Answer(BanList(bans=[_shape(source, now + left + offset) for source, left in latest], total=len(found)))


def _shape(source: str, until: float) -> BanBody:
    """`core/admission.py` has one name for a host by connections and another for the same by datagrams."""
    host = source.removeprefix("udp ")
    return BanBody(source=host, by="datagrams" if host != source else "connections", until=until)
