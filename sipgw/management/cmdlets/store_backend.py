"""The cmdlets on the store of a configuration. A gateway that runs on it follows within a second."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict

from sipgw.auth.accounts import Account
from sipgw.config import Config
from sipgw.management.cmdlets.accounts import read_accounts, set_enabled
from sipgw.registry import Endpoint, PoolState, Registry
from sipgw.registry.pool_state import Change
from sipgw.server.audit import Entry, audited, command_line_user
from sipgw.server.store import Store


class StoreBackend:
    """See `Backend`. Asking makes no file."""

    rehearses = False

    def __init__(self, config: Config) -> None:
        self.config = config

    def registry(self) -> Registry:
        registry = self.config.registry()
        if self.config.store.path.exists():
            with self._open() as store:
                registry.replace_stored(store.load_endpoints())
                registry.replace_states(store.load_pool_states())
        return registry

    def add_endpoint(self, endpoint: Endpoint) -> None:
        with self._open() as store, self._audited("endpoint.new", endpoint.sip_address) as entry:
            self._stored(store).add(endpoint)
            store.add_endpoint(endpoint, time.time())
            entry.after = asdict(endpoint)

    def remove_endpoint(self, identity: str) -> Endpoint:
        with self._open() as store:
            removed = self._stored(store).remove(identity)
            with self._audited("endpoint.remove", removed.sip_address) as entry:
                store.remove_endpoint(removed.sip_address)
                entry.before = asdict(removed)
        return removed

    def change_pool(self, fqdn: str, change: Change) -> tuple[PoolState, PoolState]:
        with self._open() as store, self._audited("pool-state.set", fqdn) as entry:
            before, after = store.change_pool_state(fqdn, change)
            entry.before, entry.after = _told(before), _told(after)
        return before, after

    def accounts(self) -> list[Account]:
        return read_accounts(self.config)

    def enable_user(self, uri: str, enabled: bool) -> None:
        set_enabled(self.config, uri, enabled)

    def _stored(self, store: Store) -> Registry:
        registry = self.config.registry()
        registry.replace_stored(store.load_endpoints())
        return registry

    def _audited(self, what: str, subject: str) -> AbstractContextManager[Entry]:
        return audited(self.config.store.path, command_line_user(), what, subject)

    @contextmanager
    def _open(self) -> Iterator[Store]:
        store = Store.open(self.config.store.path)
        try:
            yield store
        finally:
            store.close()


def _told(state: PoolState) -> dict[str, object]:
    names = {"active": sorted(state.active), "inactive": sorted(state.inactive)}
    return {"state": "FailedOver" if state.failed_over else "Normal", **names}
