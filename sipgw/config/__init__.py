"""The configuration file: TOML, checked once, every error reported at once, frozen values out.

`config/sipgw.toml` documents every key; `tables` holds the models that it is checked against.
"""

from sipgw.config.load import Config, ConfigError, default_config, load_config, parse_config
from sipgw.config.tables import Admin, Auth, Directory, Gateway, Limits, Log, Registrar, Store, Timers, Tls
from sipgw.config.values import ListenAddress, Network, TlsFiles, parse_listen

__all__ = [
    "Admin",
    "Auth",
    "Config",
    "ConfigError",
    "Directory",
    "Gateway",
    "Limits",
    "ListenAddress",
    "Log",
    "Network",
    "Registrar",
    "Store",
    "Timers",
    "Tls",
    "TlsFiles",
    "default_config",
    "load_config",
    "parse_config",
    "parse_listen",
]
