"""What the registry holds. Frozen: a change of configuration makes new ones."""

from dataclasses import dataclass

from sipgw.message.values import host_port


@dataclass(frozen=True)
class Server:
    """One server of a pool. `transport` is "UDP", "TCP" or "TLS"; `host` an address or a name."""

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport.lower()}:{host_port(self.host, self.port)}"


@dataclass(frozen=True)
class Pool:
    """A Persistent Chat pool: its servers in order of preference and its own contact object (`sip:user@host`).

    Without servers the name service is asked for them. `standby` and `drained` hold servers that are used only when no
    other works, and for no new dialog: as `transport:address:port`, or an address for all of its ports.
    """

    fqdn: str
    servers: tuple[Server, ...]
    service_uri: str
    standby: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Endpoint:
    """A contact object: requests to `sip_address` go to the pool `pool_fqdn`.

    `sip_address` is normal: `sip:`, user and domain in lower case. A declared one stands in the configuration file, the
    others in the store. One that is not enabled is there and answers that it is not.
    """

    sip_address: str
    pool_fqdn: str
    display_name: str = ""
    declared: bool = False
    enabled: bool = True

    @property
    def key(self) -> str:
        """What it is found by: `user@host`."""
        return self.sip_address.removeprefix("sip:")
