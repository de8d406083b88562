"""What `sipgw check` tries: the store, the certificates, the ports, the pools. Nothing is changed by asking."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from sipgw.config import Config, ListenAddress
from sipgw.registry import Pool, Server
from sipgw.server.shell import bind
from sipgw.server.store import Store, StoreError

CONNECT_TIMEOUT = 3.0  # seconds; a server that is slower to take a connection is no use to a waiting caller
_UNUSABLE = (9, 10, 62, 64)  # X509_V_ERR: not yet valid, expired, another host name, another address


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


def certificates(config: Config) -> Iterator[Verdict]:
    """Whether the files can be read and belong together, and whether the certificate proves the gateway's name."""
    tls = config.tls
    if tls.ca is not None:
        yield _ca_verdict(tls.ca)
    if tls.certificate is None or tls.private_key is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.private_key, password="")  # no prompt for an encrypted key
    except (OSError, ssl.SSLError) as error:
        yield Verdict("FAIL", "tls.certificate", _pair_problem(error, tls.certificate, tls.private_key))
        return
    yield Verdict("ok", "tls.certificate", f"{tls.certificate} and {tls.private_key} belong together")
    if tls.ca is not None:
        yield _name_verdict(context, tls.ca, config.gateway.fqdn)


def _ca_verdict(ca: Path) -> Verdict:
    try:
        count = len(_client_context(ca).get_ca_certs())
    except (OSError, ssl.SSLError) as error:
        return Verdict("FAIL", "tls.ca", f"{ca}: {_reason(error)}; name a readable file of PEM certificates")
    return Verdict("ok", "tls.ca", f"{ca}: authorities: {count}")


def _client_context(ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    return context


def _pair_problem(error: OSError, certificate: Path, key: Path) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{key} is not the key of {certificate}; name the files that were made together"
    return f"{certificate} and {key}: {_reason(error)}; name readable, unencrypted PEM files"


def _reason(error: OSError) -> str:
    """What happened, for a person; OpenSSL's own words are its reason codes."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not in PEM form").replace("_", " ").lower()
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)  # asyncio's own text repeats the address


def _name_verdict(server: ssl.SSLContext, ca: Path, fqdn: str) -> Verdict:
    """What a client that trusts `ca` would say to our certificate."""
    try:
        _handshake(server, _client_context(ca), fqdn)
    except ssl.SSLCertVerificationError as error:
        grade: Literal["note", "FAIL"] = "FAIL" if error.verify_code in _UNUSABLE else "note"
        return Verdict(grade, "tls.certificate", f"for {fqdn} and tls.ca: {error.verify_message.rstrip('.')}")
    return Verdict("ok", "tls.certificate", f"is valid for {fqdn} to whoever trusts tls.ca")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, fqdn: str) -> None:
    """A TLS handshake in memory. Raises SSLCertVerificationError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [
        client.wrap_bio(to_client, to_server, server_hostname=fqdn),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


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


async def pools(config: Config) -> list[Verdict]:
    """Whether each server of each pool takes connections, and by TLS proves the pool's name."""
    asked = [_ask(config, pool, server) for pool in config.pools for server in pool.servers]
    return list(await asyncio.gather(*asked))


async def _ask(config: Config, pool: Pool, server: Server) -> Verdict:
    subject = f"pool {pool.fqdn}"
    if server.transport == "UDP":
        return Verdict("note", subject, f"{server} was not asked: UDP has no connections")
    try:
        secure = _pool_context(config) if server.transport == "TLS" else None
        name = pool.fqdn if secure is not None else None
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(server.host, server.port, ssl=secure, server_hostname=name)
            writer.transport.abort()  # enough is known; a TLS goodbye could take its time
            with suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        return Verdict("FAIL", subject, f"{server} took no connection within {CONNECT_TIMEOUT:g} s")
    except ssl.SSLCertVerificationError as error:
        return Verdict("FAIL", subject, f"{server}: its certificate: {error.verify_message.rstrip('.')}")
    except OSError as error:
        return Verdict("FAIL", subject, f"{server}: {_reason(error)}; start it, or correct pool.servers")
    return Verdict("ok", subject, f"{server} takes connections")


def _pool_context(config: Config) -> ssl.SSLContext:
    assert config.tls.ca is not None  # a rule of the configuration
    context = _client_context(config.tls.ca)
    if config.tls.certificate is not None:
        context.load_cert_chain(config.tls.certificate, config.tls.private_key, password="")
    return context
