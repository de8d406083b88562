"""Whether the servers of the pools, wherever the name service has them, answer and are who they should be."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from sipgw.config import Config
from sipgw.core.pool_servers import is_among
from sipgw.events import Hop
from sipgw.locating import Located, Locator, NotLocated
from sipgw.locating.destination import is_address
from sipgw.management.locate import Asker, destinations, locate
from sipgw.management.options_probe import CLOSED, Silent, ask_datagram, ask_stream
from sipgw.management.probes import Grade, Verdict
from sipgw.message.values import host_port
from sipgw.registry import Pool, Registry
from sipgw.registry.pool_state import active_servers, inactive_servers
from sipgw.server.certificates import WARN_AHEAD
from sipgw.server.running import ServerState, read_running
from sipgw.server.settings import engine_settings
from sipgw.server.tls import TlsContexts, TlsError, certified_names, proves, tls_settings
from sipgw.server.tls_reasons import reason_of

CONNECT_TIMEOUT = 3.0  # seconds; a server that is slower to take a connection is no use to a waiting caller
MAX_PATIENCE = 10.0  # seconds for an answer to OPTIONS, whatever timers.first_response allows a call
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

    @property
    def hop(self) -> Hop:
        """What the gateway knows it by."""
        return Hop(self.transport, self.address, self.port, self.fqdn if self.transport == "TLS" else "")

    def verdict(self, grade: Grade, text: str) -> Verdict:
        if self.drained and grade == "FAIL":
            return Verdict("note", f"pool {self.fqdn}", f"{self.text}{text} (it is drained)")
        return Verdict(grade, f"pool {self.fqdn}", f"{self.text}{text}")


class _Asking(NamedTuple):
    """How it is asked: `tls` is None where the files for it are no good; `fqdn` is who asks, `patience` the seconds for
    an answer, `known` what the gateway that runs knows of servers."""

    tls: TlsContexts | None
    room: asyncio.Semaphore
    fqdn: str
    patience: float
    known: Mapping[Hop, ServerState]


async def pools(config: Config, asker: Asker, registry: Registry | None = None) -> list[Verdict]:
    """Whether each server of each pool answers OPTIONS, and by TLS proves the pool's name and accepts ours; and what
    the gateway that runs on the store has to say of them. `registry` has the pools as they are by command."""
    chosen = registry.pools if registry is not None else tuple(config.pools)
    locator = Locator(engine_settings(config, bytes(32)).reach)
    wanted = [(pool, to, name) for pool in chosen for to, name in destinations(pool).items()]
    found = await locate(locator, asker, [to for _, to, _ in wanted], 0.0)
    items = [item for pool, to, name in wanted for item in _items(pool, name, found[to])]
    items += [item for pool in chosen for item in _strangers(pool, [found[to] for to in destinations(pool)])]
    running = read_running(config.store.path)
    asking = _Asking(
        _contexts(config),
        asyncio.Semaphore(MAX_AT_ONCE),
        config.gateway.fqdn,
        min(config.timers.first_response, MAX_PATIENCE),
        running.servers if running is not None else {},
    )
    judged = await asyncio.gather(*(_judge(asking, item) for item in items))
    targets = [item for item in items if isinstance(item, _Target)]
    return [*judged, *(one for pool in chosen for one in _by_command(pool, targets, registry))]


def _by_command(pool: Pool, targets: list[_Target], registry: Registry | None) -> Iterator[Verdict]:
    """What a command has set for a pool, and whether anything is left that takes new dialogs."""
    subject = f"pool {pool.fqdn}"
    state = registry.states.get(pool.fqdn.lower()) if registry is not None else None
    back = f"sipgw pool-state set {pool.fqdn} --normal"
    own = [target for target in targets if target.fqdn == pool.fqdn]
    if own and all(target.drained for target in own):
        remedy = back if state is not None else "take one out of pool.drained, and reload"
        yield Verdict("FAIL", subject, f"no active server: all are drained, and no new dialog is taken; {remedy}")
    elif state is not None:
        name = "FailedOver" if state.failed_over else "set"
        active, inactive = " ".join(active_servers(pool)) or "-", " ".join(inactive_servers(pool)) or "-"
        said = f"{name} by command: active {active}, inactive {inactive}"
        yield Verdict("note", subject, f"{said}; {back} puts it back as configured")


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
            drained = is_among(hop, pool.drained) or name in pool.drained
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
    if item.transport == "TLS" and asking.tls is None:
        return item.verdict("note", " was not asked: the files for TLS are not usable")
    async with asking.room:
        return _with_health(await _ask(asking, item), asking.known.get(item.hop), item)


def _with_health(found: Verdict, known: ServerState | None, target: _Target) -> Verdict:
    """A server that answers us and is down for the gateway: it may just have come back, so that this is no failure."""
    if known is None or known.up or found.grade != "ok":
        return found
    since = datetime.fromtimestamp(known.since, UTC)
    down = f"the gateway that runs has it down since {since:%Y-%m-%d %H:%M:%S} UTC: {known.reason}"
    return found._replace(grade="note", text=f"{found.text}, but {down}")


async def _ask(asking: _Asking, target: _Target) -> Verdict:
    tls = asking.tls
    try:
        if target.transport == "UDP":
            async with asyncio.timeout(asking.patience):
                return _answered(target, *await ask_datagram(target.address, target.port, asking.fqdn))
        secure = tls.client(tls.identity(target.fqdn)) if tls is not None and target.transport == "TLS" else None
        return await _connect(target, secure, asking)
    except TimeoutError:
        silent = "takes connections, but " if target.transport != "UDP" else ""
        return target.verdict("FAIL", f" {silent}did not answer OPTIONS within {asking.patience:g} s; {_RESTART}")
    except Silent as error:
        return target.verdict("FAIL", f" takes connections, but {error}; {_RESTART}")
    except ssl.SSLError as error:
        return target.verdict("FAIL", f": {reason_of(error)}")
    except OSError as error:
        return target.verdict("FAIL", f": {_reason(error)}; start it, or correct {target.place}")


_RESTART = "look at it, or name another server"


def _answered(target: _Target, status: int, reason: str) -> Verdict:
    """Any answer shows that SIP is spoken there; 503 is that it takes no calls (§21.5.4), to the gateway as well."""
    words = " ".join(f"{status} {reason}".split())
    if status == 503:
        return target.verdict("FAIL", f" answers OPTIONS with {words}: it takes no calls; look at its load")
    return target.verdict("ok", f" answers OPTIONS with {words}")


def _reason(error: OSError) -> str:
    """What happened, for a person."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return reason_of(error)
    return os.strerror(error.errno)  # asyncio's own text repeats the address


async def _connect(target: _Target, secure: ssl.SSLContext | None, asking: _Asking) -> Verdict:
    """Raises OSError; TimeoutError where the connection stands and nothing is said over it."""
    name = target.fqdn if secure is not None else None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_connection(
                target.address, target.port, ssl=secure, server_hostname=name
            )
    except TimeoutError:
        return target.verdict("FAIL", f" took no connection within {CONNECT_TIMEOUT:g} s")
    try:
        connection = writer.get_extra_info("ssl_object")
        if connection is not None and not proves(certified_names(connection), target.fqdn):
            wildcard = f"its certificate is for {target.fqdn} by a wildcard only, not used in SIP"
            return target.verdict("FAIL", f": {wildcard}")
        async with asyncio.timeout(asking.patience):
            found = await _options(reader, writer, target, asking.fqdn)
        return _tls_verdict(found, connection) if connection is not None else found
    finally:
        writer.transport.abort()  # enough is known; a TLS goodbye could take its time
        with suppress(OSError):
            await writer.wait_closed()


async def _options(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: _Target, fqdn: str) -> Verdict:
    """With TLS 1.3 a server looks at our certificate when the handshake is over for us: what is wrong with it is then
    an SSLError here, or a connection that is closed without a word."""
    try:
        return _answered(target, *await ask_stream(reader, writer, target.transport, fqdn))
    except (ConnectionResetError, BrokenPipeError):
        pass
    except Silent as error:
        if str(error) != CLOSED:
            raise
    hint = "it may want a certificate" if target.transport == "TLS" else _RESTART
    return target.verdict("FAIL", f" closed the connection when it was asked with OPTIONS; {hint}")


def _tls_verdict(found: Verdict, connection: ssl.SSLObject) -> Verdict:
    """The same, but for a certificate that ends soon."""
    ends = str((connection.getpeercert() or {}).get("notAfter", ""))
    left = ssl.cert_time_to_seconds(ends) - time.time()
    if found.grade != "ok" or left >= WARN_AHEAD.total_seconds():
        return found
    soon = f"its certificate expires soon, days left: {int(left // 86_400)}"
    return found._replace(grade="note", text=f"{found.text}, but {soon}")
