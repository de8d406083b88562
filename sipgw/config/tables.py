"""The tables of the configuration file. `config/sipgw.toml` tells what each key is for; a test compares the two."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator

from sipgw.config.values import (
    ListenAddress,
    Network,
    TlsFiles,
    parse_admin_listen,
    parse_collector,
    parse_display_name,
    parse_endpoint_address,
    parse_file,
    parse_listen,
    parse_name,
    parse_path,
    parse_peer,
    parse_route_uri,
    parse_server,
    parse_server_name,
    parse_service_uri,
    parse_store,
    parse_users,
)
from sipgw.registry import Server

Name = Annotated[str, PlainValidator(parse_name)]
Address = Annotated[str, PlainValidator(parse_endpoint_address)]
OptionalFile = Annotated[Path | None, PlainValidator(parse_file)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=100_000_000)]
AsArray = Field(strict=False)  # strict mode would want a tuple, and TOML gives lists


class Table(BaseModel):
    """A TOML table: unknown keys and values of another type are errors, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Gateway(Table):
    fqdn: Name = "sipgw.contoso.com"
    domains: Annotated[tuple[Name, ...], AsArray, Field(min_length=1)] = ("contoso.com",)
    listen: Annotated[
        tuple[Annotated[ListenAddress, PlainValidator(parse_listen)], ...], AsArray, Field(min_length=1)
    ] = (ListenAddress("UDP", "127.0.0.1", 5060), ListenAddress("TCP", "127.0.0.1", 5060))
    trusted_peers: Annotated[tuple[Annotated[Network | str, PlainValidator(parse_peer)], ...], AsArray] = ()
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    worker_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    recurse_redirects: bool = False

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return tuple(peer for peer in self.trusted_peers if not isinstance(peer, str))

    @property
    def trusted_names(self) -> tuple[str, ...]:
        """Names that a certificate has to prove."""
        return tuple(peer for peer in self.trusted_peers if isinstance(peer, str))


class Tls(Table):
    certificate: OptionalFile = None
    private_key: OptionalFile = None
    ca: OptionalFile = None
    ask_clients: bool = True

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.certificate, self.private_key, self.ca)


class Store(Table):
    path: Path = Field("sqlite:sipgw.db", alias="url", validate_default=True)

    _read = field_validator("path", mode="plain")(parse_store)


class Auth(Table):
    schemes: Annotated[tuple[Literal["ntlm", "kerberos", "digest"], ...], AsArray] = ()
    users: Path | str = Field("users.toml", validate_default=True)
    digest_algorithms: Annotated[tuple[Literal["SHA-256", "SHA-512-256", "MD5"], ...], AsArray, Field(min_length=1)] = (
        "SHA-256",
        "SHA-512-256",
    )
    keytab: OptionalFile = None
    trust_network: bool = False
    max_challenges: Annotated[int, Field(ge=4, le=1000)] = 16
    clock_skew: Annotated[float, Field(ge=1, le=86_400)] = 900.0
    association_lifetime: Annotated[float, Field(ge=1, le=86_400)] = 28_800.0
    association_idle: Annotated[float, Field(ge=1, le=86_400)] = 3_600.0
    max_associations: Count = 100_000

    _read = field_validator("users", mode="plain")(parse_users)

    @property
    def users_file(self) -> Path | None:
        """None where users are in a directory."""
        return self.users if isinstance(self.users, Path) else None


class Directory(Table):
    base: str = ""
    bind_dn: str = ""
    password_file: OptionalFile = None
    ca: OptionalFile = None
    filter: str = "(&(objectClass=person)(msRTCSIP-PrimaryUserAddress=sip:*))"
    netbios_domain: str = ""
    nt_hash_attribute: str = ""
    refresh: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    keep: Annotated[float, Field(ge=60, le=31_536_000)] = 86_400.0
    max_users: Count = 100_000


class PoolTable(Table):
    fqdn: Name = Field(examples=["pcpool.contoso.com"])
    servers: Annotated[tuple[Annotated[Server, PlainValidator(parse_server)], ...], AsArray] = ()
    service_uri: Annotated[str, PlainValidator(parse_service_uri)] = ""
    standby: Annotated[tuple[Annotated[str, PlainValidator(parse_server_name)], ...], AsArray] = ()
    drained: Annotated[tuple[Annotated[str, PlainValidator(parse_server_name)], ...], AsArray] = ()
    certificate: OptionalFile = None
    private_key: OptionalFile = None
    ca: OptionalFile = None

    def files(self, own: TlsFiles) -> TlsFiles:
        """What is used towards this pool: its own, and the gateway's where it has none."""
        certificate, private_key, ca = own
        if self.certificate is not None:
            certificate, private_key = self.certificate, self.private_key
        return TlsFiles(certificate, private_key, self.ca or ca)


class EndpointTable(Table):
    sip_address: Address = Field(examples=["sip:ocschat@contoso.com"])
    pool_fqdn: Name = Field(examples=["pcpool.contoso.com"])
    display_name: Annotated[str, PlainValidator(parse_display_name)] = ""
    enabled: bool = True


class Admin(Table):
    listen: Annotated[tuple[str, int], PlainValidator(parse_admin_listen)] = ("127.0.0.1", 8060)
    token_file: OptionalFile = None


class Log(Table):
    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: Annotated[Path | None, PlainValidator(parse_path)] = None


class Trace(Table):
    enabled: bool = True
    calls: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    max_bytes: Annotated[int, Field(ge=65_536, le=1 << 33)] = 16_777_216
    rate: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    bodies: bool = False
    hep: Annotated[tuple[str, int] | None, PlainValidator(parse_collector)] = None
    hep_id: Annotated[int, Field(ge=1, le=4_294_967_295)] = 2_001


class Limits(Table):
    max_header_bytes: Annotated[int, Field(ge=2048, le=1 << 20)] = 16_384
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 26)] = 262_144
    max_headers: Annotated[int, Field(ge=32, le=10_000)] = 256
    max_transactions: Count = 500_000
    max_connections: Count = 10_000
    max_connections_per_peer: Annotated[int, Field(ge=0, le=100_000_000)] = 1_000
    max_bindings: Count = 1_000_000
    max_bindings_per_user: Annotated[int, Field(ge=1, le=64)] = 8
    max_requests_per_source: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    max_requests_per_user: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    ban: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    max_delay: Annotated[float, Field(gt=0, le=10)] = 0.1
    gather: Annotated[float, Field(ge=0, le=0.1)] = 0.001


class Health(Table):
    interval: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    rise: Annotated[int, Field(ge=1, le=100)] = 2
    fall: Annotated[int, Field(ge=1, le=100)] = 2


class Registrar(Table):
    default_expires: Annotated[int, Field(ge=1, le=86_400)] = 600
    min_expires: Annotated[int, Field(ge=1, le=3_600)] = 300
    max_expires: Annotated[int, Field(ge=1, le=86_400)] = 900
    service_route: Annotated[tuple[Annotated[str, PlainValidator(parse_route_uri)], ...], AsArray] = ()


class Timers(Table):
    t1: Seconds = 0.5
    t2: Seconds = 4.0
    t4: Seconds = 5.0
    timer_c: Annotated[float, Field(gt=180, le=86_400)] = 181.0
    first_response: Seconds = 3.0
    connect: Seconds = 2.0
    idle: Seconds = 3600.0
