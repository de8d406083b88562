"""The sockets of all workers. The supervisor keeps them open: what comes for a worker that has died waits for the next,
and the kernel goes on dividing among as many as before."""

import socket
from itertools import count, repeat

from sipgw.config import Config, ListenAddress
from sipgw.server.ears import Ears, Unbound, bind
from sipgw.server.workers.wire import ListenerData

Address = tuple[str, str, int]


class Sockets:
    """One of each address for each worker, and UDP addresses that are one worker's alone."""

    def __init__(self, config: Config) -> None:
        """Raises OSError."""
        self._workers = config.gateway.workers
        self._shared: dict[ListenAddress, list[Ears]] = {}
        self._own: list[list[Ears]] = []
        try:
            self.add(config, config.gateway.listen)
            self._bind_own(config)
        except BaseException:
            self.close()
            raise

    def add(self, config: Config, addresses: tuple[ListenAddress, ...]) -> None:
        """All or none. Raises Unbound."""
        added: dict[ListenAddress, list[Ears]] = {}
        unbound: list[Unbound] = []
        try:
            for item in addresses:
                try:
                    address = (item.transport, item.host, item.port)
                    added[item] = bind_group(address, config.gateway.fqdn, self._workers)
                except Unbound as error:
                    unbound.append(error)
            if unbound:
                raise Unbound(unbound[0].errno, [failure for error in unbound for failure in error.failures])
        except BaseException:
            _close([ear for group in added.values() for ear in group])
            raise
        self._shared.update(added)

    def _bind_own(self, config: Config) -> None:
        for addresses in own_addresses(config):
            self._own.append(bind(addresses, config.gateway.fqdn))

    def drop(self, addresses: list[ListenAddress]) -> None:
        for item in addresses:
            _close(self._shared.pop(item, []))

    def listeners(self, addresses: tuple[ListenAddress, ...]) -> tuple[ListenerData, ...]:
        return tuple(ListenerData.of(self._shared[item][0].listener) for item in addresses)

    @property
    def own(self) -> tuple[tuple[ListenerData, ...], ...]:
        return tuple(tuple(ListenerData.of(ear.listener) for ear in ears) for ears in self._own)

    def of_worker(self, number: int, addresses: tuple[ListenAddress, ...], own: bool = True) -> list[socket.socket]:
        """Its sockets at these addresses, then its own."""
        shared = [self._shared[item][number].sock for item in addresses]
        return [*shared, *(ear.sock for ear in self._own[number])] if own else shared

    def close(self) -> None:
        _close([ear for group in [*self._shared.values(), *self._own] for ear in group])


def own_addresses(config: Config) -> list[list[Address]]:
    """For each worker one at each host that datagrams are heard at, with port 0 for one that is free."""
    gateway = config.gateway
    hosts = list(dict.fromkeys(item.host for item in gateway.listen if item.transport == "UDP"))
    ports = count(gateway.worker_port) if gateway.worker_port else repeat(0)
    return [[("UDP", host, next(ports)) for host in hosts] for _ in range(gateway.workers)]


def bind_group(address: Address, name: str, many: int) -> list[Ears]:
    """As many sockets at one address. Raises OSError, also where somebody else of this user has bound it so: then some
    of what comes would go there."""
    transport, host, port = address
    if port:
        bind([address], name)[0].sock.close()
    ears: list[Ears] = []
    try:
        for _ in range(many):
            ears += bind([(transport, host, port)], name, shared=True)
            port = ears[0].listener.port
    except BaseException:
        _close(ears)
        raise
    return ears


def _close(ears: list[Ears]) -> None:
    for ear in ears:
        ear.sock.close()
