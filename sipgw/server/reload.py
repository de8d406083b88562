"""What a running gateway may be told anew, and what only a new process can take over."""

from collections.abc import Iterable

from sipgw.config import Config, ConfigError, load_config
from sipgw.observability.log import get_logger

# Both ends of them are elsewhere: in messages that come back, in a file that is open, in a socket of another program.
FIXED = (
    ("gateway", "fqdn"),
    ("gateway", "workers"),
    ("gateway", "worker_port"),
    ("store", "path"),
    ("admin", "listen"),
)
_KEYS = {("store", "path"): "store.url"}


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
        f"{new.source}: {_KEYS.get((table, key), f'{table}.{key}')}: changes only with a restart; put it back to {old}"
        for table, key in FIXED
        if (old := getattr(getattr(config, table), key)) != getattr(getattr(new, table), key)
    ]
    if problems:
        raise ConfigError(problems)
    return new
