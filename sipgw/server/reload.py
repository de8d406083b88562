"""What a running gateway may be told anew, and what only a new process can take over."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from sipgw.config import Config, ConfigError, ListenAddress, TlsFiles, load_config
from sipgw.config.problems import Location
from sipgw.events import address_text
from sipgw.observability.log import get_logger
from sipgw.server.ears import Address, Unbound
from sipgw.server.tls import TlsError

# Both ends of them are elsewhere: in messages that come back, in a file that is open, in a socket of another program.
FIXED = (
    ("gateway", "fqdn"),
    ("gateway", "workers"),
    ("gateway", "worker_port"),
    ("store", "path"),
    ("admin", "listen"),
)
_KEYS = {("store", "path"): ("store", "url")}


def told(config: Config, error: OSError) -> list[str]:
    """What is wrong with a configuration that nothing was found wrong with before it met this machine, a line each."""
    if isinstance(error, Unbound):
        return [config.problem(_place(config, *failure), reason) for failure, reason in _named(error)]
    if isinstance(error, TlsError):
        return [config.problem(_of_file(config, str(error)), str(error))]
    return [f"{config.source}: {error}" if config.source is not None else str(error)]


def _named(error: Unbound) -> Iterator[tuple[Address, str]]:
    for address, reason in error.failures:
        yield address, f"{address_text(*address)}: {reason}"


def _place(config: Config, transport: str, host: str, port: int) -> Location:
    address = ListenAddress(transport, host, port)
    if address not in config.gateway.listen:
        return ("gateway", "worker_port")
    return ("gateway", "listen", config.gateway.listen.index(address))


def _of_file(config: Config, text: str) -> Location:
    """The key whose file a text begins with; () for none."""
    named: list[tuple[Location, Path | None]] = [(("tls", key), getattr(config.tls, key)) for key in TlsFiles._fields]
    for at, pool in enumerate(config.pools):
        files = config.pool_tls[pool.fqdn]
        named += [(("pool", at, key), file) for key, file in zip(TlsFiles._fields, files, strict=True)]
    return next((place for place, file in named if file is not None and text.startswith(str(file))), ())


def warn_of(problems: Iterable[str]) -> None:
    """Of what is stored and of no use by the configuration that has just been read."""
    for problem in problems:
        get_logger().warning("endpoint not usable", reason=problem)


def again(config: Config) -> Config:
    """The configuration as its file is now. Raises ConfigError, also for changes that need a restart."""
    if config.source is None:
        raise ConfigError(["embedded defaults: there is no file to read again; start with --config FILE"])
    new = load_config(config.source)
    problems = [
        new.problem(_KEYS.get((table, key), (table, key)), f"changes only with a restart; put it back to {old}")
        for table, key in FIXED
        if (old := getattr(getattr(config, table), key)) != getattr(getattr(new, table), key)
    ]
    if problems:
        raise ConfigError(problems)
    return new
