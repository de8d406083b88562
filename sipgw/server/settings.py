"""What the parts of a gateway need of its configuration."""

from hashlib import sha256
from typing import Any

from sipgw.config import Config
from sipgw.core.admission import Rates
from sipgw.core.aliases import Shown
from sipgw.core.health import HealthSettings
from sipgw.core.location import ROW
from sipgw.core.registrar import RegistrarSettings
from sipgw.engine import EngineSettings
from sipgw.locating import Reach
from sipgw.server.limits import ShellLimits
from sipgw.server.tls import tls_settings
from sipgw.transaction.timers import TimerValues

_EXPIRES_AT = ROW.index("expires_at")


def shell_limits(config: Config) -> ShellLimits:
    """What the shell needs of a configuration."""
    return ShellLimits(
        max_head=config.limits.max_header_bytes,
        max_body=config.limits.max_body_bytes,
        max_connections=config.limits.max_connections,
        max_per_peer=config.limits.max_connections_per_peer,
        idle=config.timers.idle,
        connect_timeout=config.timers.connect,
        max_delay=config.limits.max_delay,
        gather=config.limits.gather,
    )


def engine_settings(config: Config, secret: bytes, wall_offset: float | None = None) -> EngineSettings:
    """What the engine needs of a configuration."""
    timers = config.timers
    return EngineSettings(
        fqdn=config.gateway.fqdn,
        domains=frozenset(domain.lower() for domain in config.gateway.domains),
        secret=secret,
        trusted=config.gateway.trusted_networks,
        trusted_names=frozenset(config.gateway.trusted_names),
        shown=_shown(config),
        vouching=_vouching(config),
        timers=TimerValues(timers.t1, timers.t2, timers.t4, timers.timer_c),
        registrar=RegistrarSettings(
            config.registrar.default_expires,
            config.registrar.min_expires,
            config.registrar.max_expires,
            config.limits.max_bindings_per_user,
            config.registrar.service_route,
        ),
        max_transactions=config.limits.max_transactions,
        max_headers=config.limits.max_headers,
        max_body=config.limits.max_body_bytes,
        max_bindings=config.limits.max_bindings,
        first_response=timers.first_response,
        rates=Rates(config.limits.max_requests_per_source, config.limits.max_requests_per_user, config.limits.ban),
        health=HealthSettings(config.health.interval, config.health.rise, config.health.fall),
        reach=_reach(config),
        recurse=config.gateway.recurse_redirects,
        verbose=config.log.level in ("debug", "info"),
        wall_offset=wall_offset,
        realm=config.gateway.domains[0],
    )


def _shown(config: Config) -> Shown:
    """To whom we show a certificate when they ask for one."""
    pools = frozenset(fqdn for fqdn, files in config.pool_tls.items() if files.certificate is not None)
    return Shown(config.tls.certificate is not None, pools)


def _vouching(config: Config) -> str:
    """A digest of who vouches for which name, by what is in the files of authorities now."""
    named = [("", config.tls.ca), *sorted((fqdn, files.ca) for fqdn, files in config.pool_tls.items() if files.ca)]
    seen = sha256()
    for fqdn, ca in named:
        try:
            authorities = ca.read_bytes() if ca is not None else b""
        except OSError:
            authorities = b""  # TLS says what is wrong with it
        seen.update(f"{fqdn}\n{len(authorities)}\n".encode() + authorities)
    return seen.hexdigest()


def _reach(config: Config) -> Reach:
    """What a name may lead to: TLS where a CA can be held against it, UDP where we listen and so can send from, IPv6
    where we listen by it."""
    usable = {"TLS": bool(tls_settings(config).authorities), "TCP": True}
    usable["UDP"] = any(item.transport == "UDP" for item in config.gateway.listen)
    transports = tuple(transport for transport, can_be in usable.items() if can_be)
    ipv6 = any(":" in item.host for item in config.gateway.listen)
    return Reach(transports, ("AAAA", "A") if ipv6 else ("A",))


def shifted(row: tuple[Any, ...], seconds: float) -> tuple[Any, ...]:
    """A stored registration with its time by another clock."""
    values = list(row)
    values[_EXPIRES_AT] += seconds
    return tuple(values)
