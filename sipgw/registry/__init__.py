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
    NotFound,
    RegistryError,
    UnknownPool,
)
from sipgw.registry.model import Endpoint, Pool, Server
from sipgw.registry.registry import Registry, already_exists

__all__ = [
    "AlreadyExists",
    "Ambiguous",
    "BadAddress",
    "BadDisplayName",
    "Declared",
    "Endpoint",
    "HeldByUser",
    "NotFound",
    "Pool",
    "Registry",
    "RegistryError",
    "Server",
    "UnknownPool",
    "address_key",
    "already_exists",
    "check_display_name",
    "parse_address",
]
