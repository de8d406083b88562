"""What `sipgw check` tries: the store, the ports, the pools. Nothing is changed by asking."""

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from sipgw.config import Config, ListenAddress
from sipgw.registry import Pool, Server
from sipgw.server.certificates import WARN_AHEAD
from sipgw.server.shell import bind
from sipgw.server.store import Store, StoreError
from sipgw.server.tls import TlsContexts, TlsError, certified_names, proves, tls_settings
from sipgw.server.tls_reasons import reason_of

CONNECT_TIMEOUT = 3.0  # seconds; a server that is slower to take a connection is no use to a waiting caller
REFUSAL = 0.5  # seconds for a server to find our certificate wanting


class Verdict(NamedTuple):
    """ "ok", "note" for what may be meant, "FAIL" for what will not work."""

    grade: Literal["ok", "note", "FAIL"]
    subject: str
    text: str


def store(config: Config) -> Iterator[Verdict]:
    """Whether it can be opened and written, and whether its endpoints fit the configuration."""
    path = config.store.path
    if not path.exists():
        usable = os.access(path.parent, os.W_OK | os.X_OK)
        text = f"{path} will be made" if usable else f"{path} cannot be made; make the folder {path.parent} writable"
        yield Verdict("ok" if usable else "FAIL", "store", text)
        return
    registry = config.registry()
    try:
        opened = Store.open(path)
        try:
            opened.check_writable()
            registry.replace_stored(opened.load_endpoints())
        finally:
            opened.close()
    except StoreError as error:
        yield Verdict("FAIL", "store", str(error))
        return
    yield Verdict("ok", "store", f"{path} is writable")
    for problem in registry.problems():
        yield Verdict("FAIL", "store", problem)


def ports(config: Config) -> Iterator[Verdict]:
    """Whether each listen address can be bound."""
    for address in config.gateway.listen:
        try:
            ears = bind([address], config.gateway.fqdn)
        except OSError as error:
            yield Verdict("FAIL", "gateway.listen", f"{address}: {_port_problem(error, address)}")
            continue
        for ear in ears:
            ear.sock.close()
        yield Verdict("ok", "gateway.listen", f"{address} is free")


def _port_problem(error: OSError, address: ListenAddress) -> str:
    if error.errno == errno.EADDRINUSE:
        return "in use, by a gateway that runs already or by another program"
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {address.port}; take one above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return str(error.strerror)


def _reason(error: OSError) -> str:
    """What happened, for a person."""
    if error.errno is None or isinstance(error, socket.gaierror | ssl.SSLError):
        return reason_of(error)
    return os.strerror(error.errno)  # asyncio's own text repeats the address


async def pools(config: Config) -> list[Verdict]:
    """Whether each server of each pool takes connections, and by TLS proves the pool's name and accepts ours."""
    try:
        tls = TlsContexts(tls_settings(config))
    except TlsError:  # the certificates have their verdict
        tls = None
    asked = [_ask(tls, pool, server) for pool in config.pools for server in pool.servers]
    return list(await asyncio.gather(*asked))


async def _ask(tls: TlsContexts | None, pool: Pool, server: Server) -> Verdict:
    subject = f"pool {pool.fqdn}"
    if server.transport == "UDP":
        return Verdict("note", subject, f"{server} was not asked: UDP has no connections")
    if server.transport == "TLS" and tls is None:
        return Verdict("note", subject, f"{server} was not asked: the files for TLS are not usable")
    try:
        secure = tls.client(tls.identity(pool.fqdn)) if tls is not None and server.transport == "TLS" else None
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await _connect(subject, server, secure, pool.fqdn)
    except TimeoutError:
        return Verdict("FAIL", subject, f"{server} took no connection within {CONNECT_TIMEOUT:g} s")
    except ssl.SSLError as error:
        return Verdict("FAIL", subject, f"{server}: {reason_of(error)}")
    except OSError as error:
        return Verdict("FAIL", subject, f"{server}: {_reason(error)}; start it, or correct pool.servers")


async def _connect(subject: str, server: Server, secure: ssl.SSLContext | None, fqdn: str) -> Verdict:
    """Raises OSError."""
    name = fqdn if secure is not None else None
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=secure, server_hostname=name)
    try:
        connection = writer.get_extra_info("ssl_object")
        if connection is None:
            return Verdict("ok", subject, f"{server} takes connections")
        if not proves(certified_names(connection), fqdn):
            return Verdict(
                "FAIL", subject, f"{server}: its certificate is for {fqdn} by a wildcard only, not used in SIP"
            )
        if connection.version() == "TLSv1.3" and not await _is_accepted(reader):
            return Verdict("FAIL", subject, f"{server} closed right after the TLS handshake; it may want a certificate")
        return _tls_verdict(subject, server, connection)
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


def _tls_verdict(subject: str, server: Server, connection: ssl.SSLObject) -> Verdict:
    ends = str((connection.getpeercert() or {}).get("notAfter", ""))
    left = ssl.cert_time_to_seconds(ends) - time.time()
    if left < WARN_AHEAD.total_seconds():
        text = f"{server} takes connections, but its certificate expires soon, days left: {int(left // 86_400)}"
        return Verdict("note", subject, text)
    return Verdict("ok", subject, f"{server} takes connections")
