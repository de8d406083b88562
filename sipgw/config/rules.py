"""Rules between keys. Each yields where the mistake is and what to do, and passes over what is broken in itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from pathlib import Path

from sipgw.config.problems import Location
from sipgw.config.tables import (
    Admin,
    Auth,
    Directory,
    EndpointTable,
    Gateway,
    Health,
    Limits,
    Log,
    PoolTable,
    Registrar,
    Store,
    Timers,
    Tls,
    Trace,
)
from sipgw.config.values import is_loopback, is_numeric

Findings = Iterator[tuple[Location, str]]


@dataclass
class Tables:
    """The file's tables. Broken keys have their defaults and are in `broken`; a [[pool]] or [[endpoint]] that lacks a
    required key is None."""

    gateway: Gateway
    tls: Tls
    store: Store
    auth: Auth
    directory: Directory
    admin: Admin
    log: Log
    trace: Trace
    limits: Limits
    registrar: Registrar
    health: Health
    timers: Timers
    pools: list[PoolTable | None]
    endpoints: list[EndpointTable | None]
    broken: set[Location] = field(default_factory=set)


def service_uri(pool: PoolTable, position: int, domain: str) -> str:
    """A pool's own contact object: as configured, else as Lync names service number `position` of the first site."""
    return pool.service_uri or f"sip:GC-1-PersistentChatService-{position}@{domain}"


def broken_rules(tables: Tables) -> Findings:
    """All findings, in the order of the file."""
    for rule in RULES:
        yield from rule(tables)


def _twice(values: Iterable[tuple[Location, str]], what: str) -> Findings:
    """Later occurrences of the same value."""
    seen: set[str] = set()
    for location, value in values:
        if value.lower() in seen:
            yield location, f"{value} {what} twice; remove one"
        seen.add(value.lower())


def _listens_once(tables: Tables) -> Findings:
    fixed = [str(address) for address in tables.gateway.listen if address.port]
    yield from _twice(((("gateway", "listen"), address) for address in fixed), "is there")


def _domains_once(tables: Tables) -> Findings:
    yield from _twice(((("gateway", "domains"), domain) for domain in tables.gateway.domains), "is there")


def _worker_ports(tables: Tables) -> Findings:
    """Each worker needs one for each host at which datagrams are heard."""
    gateway = tables.gateway
    needed = gateway.workers * len({item.host for item in gateway.listen if item.transport == "UDP"})
    highest = 65_536 - needed
    if gateway.worker_port > highest:
        advice = f"{gateway.workers} workers need {needed} ports from there on; write {highest} or less, or 0"
        yield ("gateway", "worker_port"), f"is {gateway.worker_port}; {advice}"


def _keytab(tables: Tables) -> Findings:
    if "kerberos" in tables.auth.schemes and tables.auth.keytab is None:
        need = f'auth.schemes has "kerberos"; name the file with the key of sip/{tables.gateway.fqdn}'
        yield ("auth", "keytab"), f"is missing, and {need}"


def _network_is_trusted(tables: Tables) -> Findings:
    """With no sign-in anybody who reaches a listener is whoever they say they are: that has to be meant."""
    open_to = _beyond_loopback(tables)
    if open_to and not tables.auth.schemes and not tables.auth.trust_network:
        risk = f"with schemes = [] whoever reaches {', '.join(open_to)} can act as any user"
        advice = "listen on 127.0.0.1, or write true if that network is trusted"
        yield ("auth", "trust_network"), f"is false, and {risk}; {advice}"


def _all_are_trusted(tables: Tables) -> Findings:
    """Every address there is, in one network or in several: then everybody may relay and assert what they like."""
    networks, open_to = tables.gateway.trusted_networks, _beyond_loopback(tables)
    four = collapse_addresses([each for each in networks if isinstance(each, IPv4Network)])
    six = collapse_addresses([each for each in networks if isinstance(each, IPv6Network)])
    everything = [each for each in (*map(str, four), *map(str, six)) if each.endswith("/0")]
    if everything and open_to and not tables.auth.trust_network:
        risk = f"with {everything[0]} whoever reaches {', '.join(open_to)} can act as any user, and relay anywhere"
        advice = "name your servers' networks, or write trust_network = true in [auth] if that is meant"
        yield ("gateway", "trusted_peers"), f"is everybody, and {risk}; {advice}"


def _beyond_loopback(tables: Tables) -> list[str]:
    return [str(address) for address in tables.gateway.listen if not address.is_loopback]


def _directory(tables: Tables) -> Findings:
    users, directory = tables.auth.users, tables.directory
    if isinstance(users, Path):
        return
    if not directory.base:
        yield ("directory", "base"), f'is missing, and auth.users is {users}; write one like "dc=contoso,dc=com"'
    host = users.partition("://")[2].rpartition(":")[0].strip("[]")
    if directory.password_file and users.startswith("ldap:") and directory.ca is None and not is_loopback(host):
        risk = "the password would cross the network in clear"
        yield ("directory", "ca"), f"is missing: {risk}; name the authorities for StartTLS, or write ldaps:// with them"


def _tls_files(tables: Tables) -> Findings:
    for address in tables.gateway.listen:
        if address.transport == "TLS":
            yield from _needed(tables, ("certificate", "private_key"), f"the listener {address}")
            break
    for at, pool in enumerate(tables.pools):
        if pool is not None and pool.ca is None and _speaks_tls(pool) and ("pool", at, "servers") not in tables.broken:
            yield from _needed(tables, ("ca",), f"pool {pool.fqdn}, which is reached by TLS,")
            break
    if tables.tls.certificate and not tables.tls.private_key:
        yield from _needed(tables, ("private_key",), "the certificate")


def _pool_pairs(tables: Tables) -> Findings:
    """A certificate and its key come together, and neither the gateway's key nor its certificate fits another's."""
    for at, pool in enumerate(tables.pools):
        if pool is not None and (pool.certificate is None) != (pool.private_key is None):
            missing, there = ("certificate", "key") if pool.certificate is None else ("private_key", "certificate")
            yield ("pool", at, missing), f"is missing, and the pool's {there} needs it; name a PEM file"


def _names_can_be_proved(tables: Tables) -> Findings:
    names = tables.gateway.trusted_names
    listens = any(address.transport == "TLS" for address in tables.gateway.listen)
    if names and not (listens and tables.tls.ca is not None and tables.tls.ask_clients):
        need = "a tls listener, tls.ca and tls.ask_clients = true"
        yield (
            ("gateway", "trusted_peers"),
            f"{names[0]} has to be proved by a certificate, for which there must be {need}",
        )


def _speaks_tls(pool: PoolTable) -> bool:
    return not pool.servers or any(server.transport == "TLS" for server in pool.servers)


def _needed(tables: Tables, keys: tuple[str, ...], by: str) -> Findings:
    for key in keys:
        if getattr(tables.tls, key) is None:
            yield ("tls", key), f"is missing, and {by} needs it; name a PEM file"


def _datagrams_can_leave(tables: Tables) -> Findings:
    """By UDP we send from where we listen, as that is where answers are sent to."""
    families = {":" in address.host for address in tables.gateway.listen if address.transport == "UDP"}
    if ("gateway", "listen") in tables.broken:
        return
    for at, pool in enumerate(tables.pools):
        for server in pool.servers if pool is not None else ():
            ipv6 = ":" in server.host
            if server.transport == "UDP" and (ipv6 not in families if is_numeric(server.host) else not families):
                one = "udp:[::]:5060" if ipv6 else "udp:0.0.0.0:5060"
                advice = f'add one like "{one}", or reach it by tcp or tls'
                yield ("pool", at, "servers"), f"gateway.listen has no address to send to {server} from; {advice}"


def _pools_once(tables: Tables) -> Findings:
    named = ((("pool", at, "fqdn"), pool.fqdn) for at, pool in enumerate(tables.pools) if pool is not None)
    yield from _twice(named, "is a pool")


def _addresses(tables: Tables) -> Iterator[tuple[Location, str]]:
    domain = tables.gateway.domains[0]
    for at, pool in enumerate(tables.pools):
        if pool is not None:
            yield ("pool", at, "service_uri"), service_uri(pool, at + 1, domain)
    for at, endpoint in enumerate(tables.endpoints):
        if endpoint is not None:
            yield ("endpoint", at, "sip_address"), endpoint.sip_address


def _addresses_once(tables: Tables) -> Findings:
    yield from _twice(_addresses(tables), "is a contact object")


def _addresses_served(tables: Tables) -> Findings:
    if ("gateway", "domains") in tables.broken:
        return
    for location, address in _addresses(tables):
        host = address.rpartition("@")[2]
        if host not in tables.gateway.domains:
            served = ", ".join(tables.gateway.domains)
            yield location, f"{address}: the domain {host} is not served here; add it to gateway.domains ({served})"


def _pools_known(tables: Tables) -> Findings:
    if None in tables.pools or any(location[0] == "pool" for location in tables.broken):
        return
    known = [pool.fqdn for pool in tables.pools if pool is not None]
    for at, endpoint in enumerate(tables.endpoints):
        if endpoint is not None and endpoint.pool_fqdn not in known:
            pools = ", ".join(known) or "none"
            yield ("endpoint", at, "pool_fqdn"), f"there is no [[pool]] {endpoint.pool_fqdn} (pools: {pools}); add it"


def _admin_has_token(tables: Tables) -> Findings:
    host, _ = tables.admin.listen
    if not is_loopback(host) and tables.admin.token_file is None:
        need = f"is missing, and admin.listen on {host} needs it"
        yield ("admin", "token_file"), f"{need}; name a file, or listen on 127.0.0.1"


def _intervals_in_order(tables: Tables) -> Findings:
    low, middle, high = tables.registrar.min_expires, tables.registrar.default_expires, tables.registrar.max_expires
    if not low <= middle <= high:
        order = f"between min_expires, which is {low}, and max_expires, which is {high}"
        yield ("registrar", "default_expires"), f"is {middle}; it has to lie {order}"


def _timers_in_order(tables: Tables) -> Findings:
    if tables.timers.t1 > tables.timers.t2:
        yield ("timers", "t1"), f"is {tables.timers.t1:g}; it has to be at most t2, which is {tables.timers.t2:g}"


RULES: tuple[Callable[[Tables], Findings], ...] = (
    _listens_once,
    _domains_once,
    _worker_ports,
    _tls_files,
    _pool_pairs,
    _names_can_be_proved,
    _datagrams_can_leave,
    _keytab,
    _directory,
    _network_is_trusted,
    _all_are_trusted,
    _pools_once,
    _addresses_once,
    _addresses_served,
    _pools_known,
    _admin_has_token,
    _intervals_in_order,
    _timers_in_order,
)
