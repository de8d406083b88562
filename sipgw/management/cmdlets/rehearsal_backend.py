"""A working copy for `--what-if`: later lines find what earlier ones would have changed, and nothing is changed."""

from dataclasses import replace

from sipgw.auth.accounts import Account
from sipgw.config import Config
from sipgw.management.cmdlets.backend import Backend
from sipgw.registry import Endpoint, PoolState, Registry
from sipgw.registry.pool_state import Change


class RehearsalBackend:
    """See `Backend`. What it begins with is read when it is first asked for."""

    rehearses = True

    def __init__(self, real: Backend) -> None:
        self._real = real
        self._endpoints: list[Endpoint] | None = None
        self._states: dict[str, PoolState] = {}
        self._enabled: dict[str, bool] = {}

    @property
    def config(self) -> Config:
        return self._real.config

    def registry(self) -> Registry:
        if self._endpoints is None:
            now = self._real.registry()
            self._endpoints, self._states = now.endpoints(), dict(now.states)
        declared = [one for one in self._endpoints if one.declared]
        stored = [one for one in self._endpoints if not one.declared]
        registry = Registry(self.config.pools, declared, stored, self.config.gateway.domains)
        registry.replace_states(self._states.values())
        return registry

    def add_endpoint(self, endpoint: Endpoint) -> None:
        registry = self.registry()
        registry.add(endpoint)
        self._endpoints = registry.endpoints()

    def remove_endpoint(self, identity: str) -> Endpoint:
        registry = self.registry()
        removed = registry.remove(identity)
        self._endpoints = registry.endpoints()
        return removed

    def change_pool(self, fqdn: str, change: Change) -> tuple[PoolState, PoolState]:
        before = self.registry().states.get(fqdn.lower(), PoolState(fqdn.lower()))
        after = self._states[fqdn.lower()] = change(before)
        return before, after

    def accounts(self) -> list[Account]:
        return [replace(one, enabled=self._enabled.get(one.uri, one.enabled)) for one in self._real.accounts()]

    def enable_user(self, uri: str, enabled: bool) -> None:
        self._enabled[uri] = enabled
