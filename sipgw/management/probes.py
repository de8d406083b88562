"""What `sipgw check` tries on this machine: the store, the ports. Nothing is changed by asking."""

import errno
import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from sipgw.config import Config, ListenAddress
from sipgw.registry import Registry
from sipgw.server.ears import bind
from sipgw.server.running import Running
from sipgw.server.store import Store, StoreError
from sipgw.server.workers.sockets import own_addresses

Grade = Literal["ok", "note", "FAIL"]


class Verdict(NamedTuple):
    """ "ok", "note" for what may be meant, "FAIL" for what will not work."""

    grade: Grade
    subject: str
    text: str


def store(config: Config, registry: Registry) -> Iterator[Verdict]:
    """Whether it can be opened and written, and whether its endpoints fit the configuration. The registry, which has
    what is configured, gets what is stored."""
    path = config.store.path
    if not path.exists():
        usable = os.access(path.parent, os.W_OK | os.X_OK)
        text = f"{path} will be made" if usable else f"{path} cannot be made; make the folder {path.parent} writable"
        yield Verdict("ok" if usable else "FAIL", "store", text)
        return
    try:
        opened = Store.open(path)
        try:
            opened.check_writable()
            registry.replace_stored(opened.load_endpoints())
            registry.replace_states(opened.load_pool_states())
        finally:
            opened.close()
    except StoreError as error:
        yield Verdict("FAIL", "store", str(error))
        return
    made = sum(not endpoint.declared for endpoint in registry.endpoints())
    yield Verdict("ok", "store", f"{path} is writable; endpoints made by command: {made}")
    for problem in registry.misfits():
        yield Verdict("FAIL", "store", problem)
    for left in registry.leftovers():
        yield Verdict("note", "store", left)


def ports(config: Config, running: Running | None) -> Iterator[Verdict]:
    """Whether each listen address can be bound; `running` is the gateway that runs on this store, if any."""
    for address in config.gateway.listen:
        try:
            ears = bind([address], config.gateway.fqdn)
        except OSError as error:
            yield _unbound(address, error, running)
            continue
        for ear in ears:
            ear.sock.close()
        yield Verdict("ok", "gateway.listen", f"{address} is free")


def workers(config: Config, running: Running | None) -> Iterator[Verdict]:
    """Whether several workers find a core each, and their ports for what they send to pools."""
    gateway, cores = config.gateway, len(os.sched_getaffinity(0))
    if gateway.workers == 1:
        return
    few = gateway.workers > cores
    advice = f"{gateway.workers} share {cores}, which is slower than one each; write {cores} or less"
    text = advice if few else f"{gateway.workers} of {cores} cores"
    yield Verdict("note" if few else "ok", "gateway.workers", text)
    if not gateway.worker_port or running is not None:
        return
    for transport, host, port in (address for addresses in own_addresses(config) for address in addresses):
        address = ListenAddress(transport, host, port)
        try:
            bind([address], gateway.fqdn)[0].sock.close()
        except OSError as error:
            yield Verdict("FAIL", "gateway.worker_port", f"{address}: {_port_problem(error, address)}")


def _unbound(address: ListenAddress, error: OSError, running: Running | None) -> Verdict:
    if error.errno == errno.EADDRINUSE and running is not None and str(address) in running.listening:
        text = f"{address}: in use by the gateway that runs on this store (pid {running.pid})"
        return Verdict("note", "gateway.listen", text)
    return Verdict("FAIL", "gateway.listen", f"{address}: {_port_problem(error, address)}")


def _port_problem(error: OSError, address: ListenAddress) -> str:
    if error.errno == errno.EADDRINUSE:
        return "in use by another program, or by a gateway that has another store"
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {address.port}; take one above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return str(error.strerror)
