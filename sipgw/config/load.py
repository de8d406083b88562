"""From a file to a Config."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sipgw.config.locator import Lines
from sipgw.config.problems import Location, describe, problem, shown, unknown
from sipgw.config.rules import Tables, broken_rules, service_uri
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
    Table,
    Timers,
    Tls,
    Trace,
)
from sipgw.config.values import TlsFiles
from sipgw.registry import Endpoint, Pool, Registry

EMBEDDED: Mapping[str, Any] = {  # what runs without a file, beside the tables' own defaults
    "pool": [{"fqdn": "pcpool.contoso.com", "servers": ["tcp:127.0.0.1:5041"]}],
    "endpoint": [
        {
            "sip_address": "sip:ocschat@contoso.com",
            "pool_fqdn": "pcpool.contoso.com",
            "display_name": "Legacy Group Chat",
        }
    ],
}
_TABLES: Mapping[str, type[Table]] = {
    "gateway": Gateway,
    "tls": Tls,
    "store": Store,
    "auth": Auth,
    "directory": Directory,
    "admin": Admin,
    "log": Log,
    "trace": Trace,
    "limits": Limits,
    "registrar": Registrar,
    "health": Health,
    "timers": Timers,
}
_EMBEDDED_NAME = "embedded defaults"
T = TypeVar("T", bound=Table)


class ConfigError(Exception):
    """A configuration that cannot be used. `problems` are lines: `file:line: key: what is wrong; what to write`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """A valid configuration. `source` is None for the embedded defaults; every path is absolute."""

    source: Path | None
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
    pools: tuple[Pool, ...]
    endpoints: tuple[Endpoint, ...]
    pool_tls: Mapping[str, TlsFiles]  # by fqdn
    lines: Lines  # of its keys in the file

    def problem(self, location: Location, text: str) -> str:
        """What is wrong with a key, as it is told."""
        name = self.source if self.source is not None else _EMBEDDED_NAME
        return problem(name, self.lines.of(location), location, text)

    @property
    def uses_tls(self) -> bool:
        """Whether a listener or a pool's server speaks TLS."""
        servers = [server.transport for pool in self.pools for server in pool.servers]
        by_name = any(not pool.servers for pool in self.pools)  # the zone may say TLS, and the default is TLS
        return by_name or "TLS" in servers or any(address.transport == "TLS" for address in self.gateway.listen)

    def registry(self) -> Registry:
        """A new registry of the declared pools and endpoints, with nothing stored."""
        return Registry(self.pools, self.endpoints, domains=self.gateway.domains)


def load_config(path: Path | None) -> Config:
    """Read a configuration file; the embedded defaults for None. Raises ConfigError."""
    if path is None:
        return default_config()
    try:
        text = read_text(path)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; name a configuration file"]) from None
    return _parse(read_toml(text, path), path, Lines(text))


def read_text(path: Path) -> str:
    """Of a TOML file. Raises OSError, or ConfigError for what is no text."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([problem(path, line, (), "not UTF-8, which TOML has to be")]) from None


def read_toml(text: str, path: Path) -> dict[str, Any]:
    """What the text of a file says. Raises ConfigError, which tells the place, and not what stands there."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        line = int(found[1]) if found is not None else max(1, len(text.splitlines()))
        raise ConfigError([problem(path, line, (), f"not TOML: {error}")]) from None
    except RecursionError:
        raise ConfigError([f"{path}: not TOML: arrays or tables are in one another too deep"]) from None


def default_config() -> Config:
    """The embedded defaults; the store lies in the current folder."""
    return _parse(EMBEDDED, None, Lines())


def parse_config(data: Mapping[str, Any], source: Path) -> Config:
    """Check what the file `source` says; relative paths start at its folder. Raises ConfigError."""
    return _parse(data, source, Lines())


def _parse(data: Mapping[str, Any], source: Path | None, lines: Lines) -> Config:
    reader = _Reader(data, source.absolute().parent if source is not None else Path.cwd())
    tables = reader.tables()
    for location, text in broken_rules(tables):
        reader.report(location, text)
    if reader.problems:
        name = source if source is not None else _EMBEDDED_NAME
        raise ConfigError([problem(name, lines.of(location), location, text) for location, text in reader.problems])
    return _config(tables, source, lines)


class _Reader:
    """Checks table after table and collects what is wrong, at most one line for a place."""

    def __init__(self, data: Mapping[str, Any], folder: Path) -> None:
        self._data = data
        self._context = {"folder": folder}
        self._broken: set[Location] = set()
        self.problems: list[tuple[Location, str]] = []

    def report(self, location: Location, text: str) -> None:
        if not any(location[:depth] in self._broken for depth in range(1, len(location) + 1)):
            self.problems.append((location, text))

    def tables(self) -> Tables:
        known = [*_TABLES, "pool", "endpoint"]
        for name in self._data:
            if name not in known:
                self.report((name,), unknown(name, known))
        single = {name: self._table((name,), model, self._data.get(name, {})) for name, model in _TABLES.items()}
        return Tables(
            **single,  # type: ignore[arg-type]
            pools=self._array("pool", PoolTable),
            endpoints=self._array("endpoint", EndpointTable),
            broken=self._broken,
        )

    def _array(self, name: str, model: type[T]) -> list[T | None]:
        items = self._data.get(name, [])
        if not isinstance(items, list):
            self.report((name,), f"is {shown(items)}; write [[{name}]]")
            self._broken.add((name,))
            return []
        return [self._table((name, at), model, item) for at, item in enumerate(items)]

    def _table(self, location: Location, model: type[T], data: Any) -> T | None:
        """The table; with the defaults in place of what is broken; None when what is broken has no default."""
        try:
            return model.model_validate(data, context=self._context)
        except ValidationError as error:
            faults = error.errors(include_url=False)
        places = [fault["loc"] for fault in faults]
        for fault in faults:
            around = len(fault["loc"])
            if not any(len(place) > around and place[:around] == fault["loc"] for place in places):  # it only follows
                self.report((*location, *fault["loc"]), describe(fault, model))
        wrong = {fault["loc"][0] for fault in faults if fault["loc"]}
        self._broken |= {(*location, key) for key in wrong} if wrong else {location}
        rest = {key: value for key, value in data.items() if key not in wrong} if wrong else {}
        try:
            return model.model_validate(rest, context=self._context)
        except ValidationError:
            return None


def _config(tables: Tables, source: Path | None, lines: Lines) -> Config:
    return Config(
        source=source,
        lines=lines,
        **{name: getattr(tables, name) for name in _TABLES},
        pools=tuple(_pool(pool, at + 1, tables.gateway) for at, pool in enumerate(tables.pools) if pool is not None),
        endpoints=tuple(_endpoint(endpoint) for endpoint in tables.endpoints if endpoint is not None),
        pool_tls={pool.fqdn: pool.files(tables.tls.files) for pool in tables.pools if pool is not None},
    )


def _pool(table: PoolTable, position: int, gateway: Gateway) -> Pool:
    uri = service_uri(table, position, gateway.domains[0])
    return Pool(table.fqdn, table.servers, uri, frozenset(table.standby), frozenset(table.drained))


def _endpoint(table: EndpointTable) -> Endpoint:
    return Endpoint(table.sip_address, table.pool_fqdn, table.display_name, declared=True, enabled=table.enabled)
