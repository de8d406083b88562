"""What differs between two configurations."""

from typing import Any

from sipgw.config import Config

_TABLES = (
    *("gateway", "tls", "store", "auth", "directory", "admin", "log", "trace"),
    *("limits", "registrar", "health", "timers", "pools", "endpoints"),
)
Values = dict[str, str | None]


def values_changed(before: Config, after: Config) -> tuple[Values, Values]:
    """The values that differ, as texts by their keys, before and after; None for one that is not there. Pools and
    endpoints are told as wholes."""
    old, new = _values(before), _values(after)
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return {key: old.get(key) for key in keys}, {key: new.get(key) for key in keys}


def _values(config: Config) -> dict[str, str]:
    values: dict[str, str] = {}
    for table in _TABLES:
        held = getattr(config, table)
        if isinstance(held, tuple):
            values |= {f"{table.removesuffix('s')} {_name(one)}": str(one) for one in held}
        else:
            values |= {f"{table}.{key}": str(value) for key, value in held}
    return values


def _name(one: Any) -> str:
    return str(getattr(one, "sip_address", "") or one.fqdn)
