"""Whether the servers of the pools, wherever the name service has them, take connections and are who they should be."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from sipgw.config import Config
from sipgw.core.pool_servers import is_among
from sipgw.events import Hop
from sipgw.locating import Located, Locator, NotLocated
from sipgw.locating.destination import is_address
from sipgw.management.locate import Asker, destinations, locate
from sipgw.management.probes import Grade, Verdict
from sipgw.message.values import host_port
from sipgw.registry import Pool
from sipgw.server.certificates import WARN_AHEAD
from sipgw.server.settings import engine_settings
from sipgw.server.tls import TlsContexts, TlsError, certified_names, proves, tls_settings
from sipgw.server.tls_reasons import reason_of

CONNECT_TIMEOUT = 3.0  # seconds; a server that is slower to take a connection is no use to a waiting caller
REFUSAL = 0.5  # seconds for a server to find our certificate wanting
MAX_AT_ONCE = 100  # connections


class _Target(NamedTuple):
    """One server at one address; `text` is what it is called. That a drained one is away may be meant."""

    fqdn: str
    transport: str
    address: str
    port: int
    text: str
    place: str
    drained: bool

    def verdict(self, grade: Grade, text: str) -> Verdict:
        if self.drained and grade == "FAIL":
            return Verdict("note", f"pool {self.fqdn}", f"{self.text}{text} (it is drained)")
        return Verdict(grade, f"pool {self.fqdn}", f"{self.text}{text}")


class _Asking(NamedTuple):
    """How it is asked. `tls` is None where the files for it are no good."""

    tls: TlsContexts | None
    room: asyncio.Semaphore


async def pools(config: Config, asker: Asker) -> list[Verdict]:
    """Whether each server of each pool takes connections, and by TLS proves the pool's name and accepts ours."""
    locator = Locator(engine_settings(config, bytes(32)).reach)
    wanted = [(pool, to, name) for pool in config.pools for to, name in destinations(pool).items()]
    found = await locate(locator, asker, [to for _, to, _ in wanted], 0.0)
    items = [item for pool, to, name in wanted for item in _items(pool, name, found[to])]
    items += [item for pool in config.pools for item in _strangers(pool, [found[to] for to in destinations(pool)])]
    asking = _Asking(_contexts(config), asyncio.Semaphore(MAX_AT_ONCE))
    return list(await asyncio.gather(*(_judge(asking, item) for item in items)))


def _contexts(config: Config) -> TlsContexts | None:
    try:
        return TlsContexts(tls_settings(config))
    except TlsError:  # the certificates have their verdict
        return None


def _items(pool: Pool, name: str, found: Located | NotLocated) -> Iterator[_Target | Verdict]:
    """The servers at one destination, and what is to be said of it already. `name` is the configuration's for it."""
    subject, place = f"pool {pool.fqdn}", "pool.servers" if pool.servers else "its zone"
    if isinstance(found, NotLocated):
        text = f"{name}: {found.text}" if pool.servers else found.text
        yield Verdict("FAIL", subject, f"{text}; correct {place}")
        return
    targets: dict[_Target, None] = {}
    for service in found.services:
        known_as = name if pool.servers else host_port(service.host, service.port)
        for address in (address for family in service.families for address in family):
            hop = Hop(service.transport, address, service.port)
            text = str(hop) if is_address(service.host) else f"{hop} ({known_as})"
            drained = is_among(hop, pool.drained)
            targets[_Target(pool.fqdn, hop.transport, hop.host, hop.port, text, place, drained)] = None
    yield from targets
    yield from (Verdict("note", subject, remark) for remark in found.remarks)


def _strangers(pool: Pool, found: list[Located | NotLocated]) -> Iterator[Verdict]:
    """What `standby` and `drained` name and is no server of the pool: one that was meant takes calls as before."""
    located = [one for one in found if isinstance(one, Located)]
    if len(located) < len(found):
        return  # who knows
    servers = {str(server) for server in pool.servers}
    services = [service for one in located for service in one.services]
    hops = [Hop(one.transport, address, one.port) for one in services for family in one.families for address in family]
    for key, names in (("standby", pool.standby), ("drained", pool.drained)):
        for name in sorted(names - servers):
            if not any(is_among(hop, frozenset({name})) for hop in hops):
                yield Verdict(
                    "note", f"pool {pool.fqdn}", f"{key}: {name} is none of its servers; correct or remove it"
                )


async def _judge(asking: _Asking, item: _Target | Verdict) -> Verdict:
    if isinstance(item, Verdict):
        return item
    if item.transport == "UDP":
        return item.verdict("note", " was not asked: UDP has no connections")
    if item.transport == "TLS" and asking.tls is None:
        return item.verdict("note", " was not asked: the files for TLS are not usable")
    async with asking.room:
        return await _ask(asking.tls, item)


async def _ask(tls: TlsContexts | None, target: _Target) -> Verdict:
    try:
        secure = tls.client(tls.identity(target.fqdn)) if tls is not None and target.transport == "TLS" else None
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await _connect(target, secure)
    except TimeoutError:
        return target.verdict("FAIL", f" took no connection within {CONNECT_TIMEOUT:g} s")
    except ssl.SSLError as error:
        return target.verdict("FAIL", f": {reason_of(error)}")
    except OSError as error:
        return target.verdict("FAIL", f": {_reason(error)}; start it, or correct {target.place}")


def _reason(error: OSError) -> str:
    """What happened, for a person."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return reason_of(error)
    return os.strerror(error.errno)  # asyncio's own text repeats the address


async def _connect(target: _Target, secure: ssl.SSLContext | None) -> Verdict:
    """Raises OSError."""
    name = target.fqdn if secure is not None else None
    reader, writer = await asyncio.open_connection(target.address, target.port, ssl=secure, server_hostname=name)
    try:
        connection = writer.get_extra_info("ssl_object")
        if connection is None:
            return target.verdict("ok", " takes connections")
        if not proves(certified_names(connection), target.fqdn):
            wildcard = f"its certificate is for {target.fqdn} by a wildcard only, not used in SIP"
            return target.verdict("FAIL", f": {wildcard}")
        if connection.version() == "TLSv1.3" and not await _is_accepted(reader):
            return target.verdict("FAIL", " closed right after the TLS handshake; it may want a certificate")
        return _tls_verdict(target, connection)
    finally:
        writer.transport.abort()  # enough is known; a TLS goodbye could take its time
        with suppress(OSError):
            await writer.wait_closed()


async def _is_accepted(reader: asyncio.StreamReader) -> bool:
    """With TLS 1.3 a server looks at our certificate when the handshake is over for us. Raises SSLError when it says
    what is wrong with it."""
    try:
        async with asyncio.timeout(REFUSAL):
            return bool(await reader.read(1))
    except TimeoutError:
        return True  # it waits for what we have to say
    except ConnectionResetError:
        return False


def _tls_verdict(target: _Target, connection: ssl.SSLObject) -> Verdict:
    ends = str((connection.getpeercert() or {}).get("notAfter", ""))
    left = ssl.cert_time_to_seconds(ends) - time.time()
    if left < WARN_AHEAD.total_seconds():
        soon = f"its certificate expires soon, days left: {int(left // 86_400)}"
        return target.verdict("note", f" takes connections, but {soon}")
    return target.verdict("ok", " takes connections")
