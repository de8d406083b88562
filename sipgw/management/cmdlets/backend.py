"""What the cmdlets act on: a running gateway, or the store that it would run on."""

from typing import Protocol

from sipgw.auth.accounts import Account
from sipgw.config import Config
from sipgw.registry import Endpoint, PoolState, Registry
from sipgw.registry.pool_state import Change


class Backend(Protocol):
    """Each raises RegistryError for what is refused, StoreError or OSError for what fails."""

    @property
    def config(self) -> Config: ...

    @property
    def rehearses(self) -> bool:
        """Whether what is changed is changed in a working copy only."""
        ...

    def registry(self) -> Registry:
        """Endpoints and pools as they are now."""
        ...

    def add_endpoint(self, endpoint: Endpoint) -> None: ...

    def remove_endpoint(self, identity: str) -> Endpoint:
        """By its address or display name. Returns what is removed."""
        ...

    def change_pool(self, fqdn: str, change: Change) -> tuple[PoolState, PoolState]:
        """Returns what was set for the pool before, and what is set now."""
        ...

    def accounts(self) -> list[Account]:
        """The users of the file or the directory. Raises ConfigError, DirectoryError or OSError."""
        ...

    def enable_user(self, uri: str, enabled: bool) -> None:
        """Whether a user of the file may sign in. Raises ConfigError or OSError."""
        ...
