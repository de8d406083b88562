"""Endpoints and pools: which contact objects lead to which Persistent Chat pool. No I/O.

What an administrator manages with the *-CsPersistentChatEndpoint cmdlets.
"""

from sipgw.registry.address import address_key, check_display_name, parse_address
from sipgw.registry.errors import (
    AlreadyExists,
    Ambiguous,
    BadAddress,
    BadDisplayName,
    Declared,
    HeldByUser,
    NoServer,
    NotFound,
    RegistryError,
    ServersUnknown,
    UnknownPool,
)
from sipgw.registry.model import Endpoint, Pool, Server
from sipgw.registry.pool_state import PoolState
from sipgw.registry.registry import Registry, already_exists

__all__ = [
    "AlreadyExists",
    "Ambiguous",
    "BadAddress",
    "BadDisplayName",
    "Declared",
    "Endpoint",
    "HeldByUser",
    "NoServer",
    "NotFound",
    "Pool",
    "PoolState",
    "Registry",
    "RegistryError",
    "Server",
    "ServersUnknown",
    "UnknownPool",
    "address_key",
    "already_exists",
    "check_display_name",
    "parse_address",
]
