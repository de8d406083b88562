"""The cmdlets on a gateway that runs: endpoints by its API, so that they are in effect at once and it says who holds an
address; states of pools by its store, which it follows."""

from sipgw.auth.accounts import Account
from sipgw.config import Config
from sipgw.management.api_client import GatewayClient
from sipgw.management.cmdlets.store_backend import StoreBackend
from sipgw.registry import Endpoint, PoolState, Registry
from sipgw.registry.pool_state import Change


class ApiBackend:
    """See `Backend`."""

    rehearses = False

    def __init__(self, config: Config, gateway: GatewayClient) -> None:
        self.config = config
        self._gateway = gateway
        self._store = StoreBackend(config)

    def registry(self) -> Registry:
        endpoints = self._gateway.endpoints()
        declared = [one for one in endpoints if one.declared]
        stored = [one for one in endpoints if not one.declared]
        registry = Registry(self.config.pools, declared, stored, self.config.gateway.domains)
        registry.replace_states(self._store.registry().states.values())
        return registry

    def add_endpoint(self, endpoint: Endpoint) -> None:
        self._gateway.new_endpoint(endpoint.sip_address, endpoint.pool_fqdn, endpoint.display_name)

    def remove_endpoint(self, identity: str) -> Endpoint:
        return self._gateway.remove_endpoint(self.registry().remove(identity).sip_address)

    def change_pool(self, fqdn: str, change: Change) -> tuple[PoolState, PoolState]:
        return self._store.change_pool(fqdn, change)

    def accounts(self) -> list[Account]:
        return self._store.accounts()

    def enable_user(self, uri: str, enabled: bool) -> None:
        self._store.enable_user(uri, enabled)
