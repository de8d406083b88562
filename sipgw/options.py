"""What the emulated pools and the emulated client are told on the command line."""

from dataclasses import dataclass, field
from pathlib import Path

from sipgw.config import ListenAddress
from sipgw.registry import Server


@dataclass(frozen=True)
class PoolOptions:
    """`data` None keeps rooms and history in memory; `rooms_file` is a TOML file, `rooms` are further names.

    `certificate` and `private_key` are for TLS. With `ca` whoever connects needs a certificate of its authorities.
    `service_uri` is where clients are sent by the lookup answer, "" for the one that a gateway gives its first pool.
    """

    listen: tuple[ListenAddress, ...]
    domain: str
    data: Path | None = None
    rooms_file: Path | None = None
    rooms: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    ca: Path | None = None
    service_uri: str = ""


@dataclass(frozen=True)
class LookupOptions:
    """A legacy pool: `services` Lookup services, all signed in as `register`, and a Channel service for each of
    `channel_uris`; the rooms as in PoolOptions. `via` is the Front End. URIs are `sip:user@host`.

    `login`, `password`, `auth` and `ca` are as in ClientOptions; each Channel service has an account of its own.
    """

    register: str
    via: Server
    services: int = 1
    channel_uris: tuple[str, ...] = ()
    data: Path | None = None
    rooms_file: Path | None = None
    rooms: tuple[str, ...] = ()
    ca: Path | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    auth: str = "auto"

    @property
    def domain(self) -> str:
        return self.register.rpartition("@")[2]


@dataclass(frozen=True)
class ClientOptions:
    """What a client does, in this order: sign in, list rooms, join, show history, say, wait for what it expects.

    `user` and `contact_object` are `sip:user@host`; `timeout` is in seconds, for the whole run; `ca` is a PEM file that
    the server's certificate is checked against. With `login` it answers challenges with that account name and
    `password`; `auth` is the scheme, "ntlm", "kerberos" or "digest", "auto" for the one that suits best.
    """

    user: str
    server: Server
    contact_object: str
    join: tuple[str, ...] = ()
    say: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    history: bool = False
    list_rooms: bool = False
    timeout: float = 30.0
    ca: Path | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    auth: str = "auto"
