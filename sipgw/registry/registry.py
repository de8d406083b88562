"""The registry: finds the endpoint and the pool of an address, and keeps the rules of uniqueness."""

from collections.abc import Iterable

from sipgw.registry.address import address_key, parse_address
from sipgw.registry.errors import AlreadyExists, Ambiguous, BadAddress, Declared, NotFound, RegistryError, UnknownPool
from sipgw.registry.model import Endpoint, Pool
from sipgw.registry.pool_state import PoolState, applied


class Registry:
    """Declared endpoints, then stored ones; the pools that they lead to. `domains` are the SIP domains served here.

    `configured` are the pools as the configuration has them, `pools` the same as they are now, in `states`.

    Whether a user holds an address only the store and the location service know: they raise HeldByUser.
    """

    def __init__(
        self,
        pools: Iterable[Pool],
        declared: Iterable[Endpoint] = (),
        stored: Iterable[Endpoint] = (),
        domains: Iterable[str] = (),
    ) -> None:
        self.configured = tuple(pools)
        self.pools = self.configured
        self.states: dict[str, PoolState] = {}
        self._domains = frozenset(domain.lower() for domain in domains)
        self._pools = {pool.fqdn.lower(): pool for pool in self.pools}
        self._services = {parse_address(pool.service_uri): pool for pool in self.pools}
        self._declared = {endpoint.key: endpoint for endpoint in declared}
        self._stored: dict[str, Endpoint] = {}
        self.replace_stored(stored)

    def replace_stored(self, stored: Iterable[Endpoint]) -> None:
        """Take over what the store holds now. A declared endpoint hides a stored one of the same address."""
        self._stored = {endpoint.key: endpoint for endpoint in stored}

    def replace_states(self, states: Iterable[PoolState]) -> None:
        """Take over which servers of the pools are active now: from the next new dialog on that is gone by."""
        self.states = {state.pool_fqdn.lower(): state for state in states if not state.is_as_configured}
        self.pools = tuple(self._applied(pool) for pool in self.configured)
        self._pools = {pool.fqdn.lower(): pool for pool in self.pools}
        self._services = {parse_address(pool.service_uri): pool for pool in self.pools}

    def _applied(self, pool: Pool) -> Pool:
        state = self.states.get(pool.fqdn.lower())
        return applied(pool, state) if state is not None else pool

    def pool(self, fqdn: str) -> Pool | None:
        """The pool of this name as it is now."""
        return self._pools.get(fqdn.lower())

    def find(self, user: str, host: str) -> Endpoint | None:
        """The endpoint with this address, by user and host as they stand in a URI."""
        key = address_key(user, host)
        return self._declared.get(key) or self._stored.get(key)

    def pool_for(self, user: str, host: str) -> Pool | None:
        """The pool that an address leads to: as an enabled endpoint's, or as the pool's own contact object."""
        key = address_key(user, host)
        endpoint = self._declared.get(key) or self._stored.get(key)
        if endpoint is None:
            return self._services.get(key)
        return self._pools.get(endpoint.pool_fqdn.lower()) if endpoint.enabled else None

    def endpoints(self) -> list[Endpoint]:
        """All endpoints, declared ones first, each in the order in which they were made."""
        stored = [endpoint for key, endpoint in self._stored.items() if key not in self._declared]
        return [*self._declared.values(), *stored]

    def problems(self) -> list[str]:
        """What is stored and does not fit the configuration (any more), a line each."""
        return [*self.misfits(), *self.leftovers()]

    def misfits(self) -> list[str]:
        """Stored endpoints that lead nowhere, and what to do."""
        return [text for endpoint in self._stored.values() if (text := self._misfit(endpoint))]

    def leftovers(self) -> list[str]:
        """What is stored and counts for nothing at present, which does no harm."""
        twice = [endpoint for key, endpoint in self._stored.items() if key in self._declared]
        both = [f"{endpoint.sip_address} is stored and declared; the declaration counts" for endpoint in twice]
        gone = [fqdn for fqdn in self.states if fqdn not in self._pools]
        return both + [f"state of pool {fqdn} is stored: no such pool" for fqdn in gone]

    def _misfit(self, endpoint: Endpoint) -> str:
        if endpoint.key in self._declared:
            return ""
        wanted = f"put {endpoint.key.rpartition('@')[2]} back into gateway.domains"
        try:
            self._check_domain(endpoint)
            wanted = f"put the [[pool]] {endpoint.pool_fqdn} back"
            self._check_pool(endpoint)
        except RegistryError as error:
            remedy = f"{wanted} and reload, or sipgw endpoint remove {endpoint.sip_address}"
            return f"stored endpoint {endpoint.sip_address}: {error}; {remedy}"
        return ""

    def matching(self, identity: str) -> list[Endpoint]:
        """The endpoints whose address or display name this is; the way Get-CsPersistentChatEndpoint -Identity asks."""
        wanted = identity.strip().lower()
        bare = wanted.removeprefix("sip:")
        return [one for one in self.endpoints() if one.key == bare or (wanted and one.display_name.lower() == wanted)]

    def add(self, endpoint: Endpoint) -> None:
        """Add a stored endpoint. Raises BadAddress, UnknownPool or AlreadyExists."""
        self._check_domain(endpoint)
        self._check_pool(endpoint)
        holder = self._declared.get(endpoint.key) or self._stored.get(endpoint.key)
        if holder is not None:
            raise AlreadyExists(already_exists(holder))
        service = self._services.get(endpoint.key)
        if service is not None:
            raise AlreadyExists(f"{endpoint.sip_address} is the contact object of pool {service.fqdn} itself")
        self._stored[endpoint.key] = endpoint

    def remove(self, identity: str) -> Endpoint:
        """Remove and return the stored endpoint with this address or display name.

        Raises NotFound, Ambiguous or Declared.
        """
        found = self.matching(identity)
        if not found:
            raise NotFound(f'no endpoint has the address or display name "{identity}"')
        if len(found) > 1:
            addresses = ", ".join(endpoint.sip_address for endpoint in found)
            raise Ambiguous(f'"{identity}" is the display name of {addresses}; name one by its address')
        endpoint = found[0]
        if endpoint.declared:
            raise Declared(f"{endpoint.sip_address} is declared in the configuration file; remove it there")
        del self._stored[endpoint.key]
        return endpoint

    def _check_domain(self, endpoint: Endpoint) -> None:
        host = endpoint.key.rpartition("@")[2]
        if host not in self._domains:
            served = ", ".join(sorted(self._domains)) or "none"
            raise BadAddress(f"{endpoint.sip_address}: the domain {host} is not served here (domains: {served})")

    def _check_pool(self, endpoint: Endpoint) -> None:
        if endpoint.pool_fqdn.lower() not in self._pools:
            known = ", ".join(pool.fqdn for pool in self.pools) or "none"
            raise UnknownPool(f"{endpoint.pool_fqdn} is not a configured pool (pools: {known})")


def already_exists(holder: Endpoint) -> str:
    """The text of AlreadyExists for an address that `holder` has."""
    where = "declared in the configuration file" if holder.declared else "in the store"
    return f"{holder.sip_address} exists already, {where}: it leads to {holder.pool_fqdn}"
