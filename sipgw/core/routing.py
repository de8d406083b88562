"""Where a request goes (RFC 3261 §16.4, §16.5 and the order that the gateway fixes).

Own Route popped, then: inside a dialog by the flow token; R-URI domain served here, else refused; endpoint registry;
location service; nobody.
"""

from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Final

from sipgw.auth.accounts import Accounts
from sipgw.core.contact import request_uri, same_uri
from sipgw.core.failures import (
    FOREIGN_DOMAIN,
    NO_USER,
    NOT_ENABLED,
    NOT_SIGNED_IN,
    SERVERS_DOWN,
    STALE_ROUTE,
)
from sipgw.core.flow_token import FlowTokens, Side, checksum
from sipgw.core.gruu import is_gruu, is_temporary
from sipgw.core.location import Binding, LocationService
from sipgw.core.outbound import path_uri
from sipgw.core.own_addresses import OwnAddresses
from sipgw.core.pool_servers import PoolServers
from sipgw.core.route import Route, Target, add_target, not_located, only_secure, over_tls
from sipgw.core.trust import Network, is_trusted
from sipgw.events import Flow, Hop, Listener
from sipgw.locating import Destination, Locator, NotLocated, of_uri
from sipgw.locating.destination import is_address
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.uri import SipUri, parse_uri, sip_uri
from sipgw.message.values import host_port, parse_name_addr, split_list
from sipgw.registry import Pool, Registry

OTHER_SIDE: Final = "the other side of the dialog"
MAX_LOST: Final = 4096  # trusted peers' connections that are gone, the oldest of which is forgotten
MAX_SIDES: Final = 4096  # addresses of peers that the way to is known; a full table is emptied


@dataclass(frozen=True)
class RoutingSettings:
    """`domains` in lower case; `trusted` networks, and names proved by certificate, whose servers may relay to foreign
    domains. Pools are trusted by their names anyway."""

    fqdn: str
    domains: frozenset[str]
    trusted: tuple[Network, ...] = ()
    trusted_names: frozenset[str] = frozenset()


class Router:
    """Decides; holds nothing but references to the tables it looks things up in, and `own`, the addresses of ours.

    `flows` maps the id of every live connection to its flow, `lost` that of a trusted peer's which is gone to the
    address that it came from; `accounts` are the users, None where nobody knows them.
    """

    def __init__(
        self,
        settings: RoutingSettings,
        listeners: list[Listener],
        registry: Registry,
        location: LocationService,
        tokens: FlowTokens,
        locator: Locator,
        servers: PoolServers,
        random: Random,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._location = location
        self._tokens = tokens
        self._pools = {checksum(pool.fqdn): pool for pool in registry.pools}
        self.trusted_names = settings.trusted_names | {pool.fqdn for pool in registry.pools}
        self.accounts: Accounts | None = None
        self.flows: dict[int, Flow] = {}
        self.lost: dict[int, str] = {}
        self._locator = locator
        self.servers = servers
        self._random = random
        self._sides: dict[Side, Target] = {}
        self.own = OwnAddresses(settings.fqdn, listeners)

    def set_listeners(self, listeners: list[Listener]) -> None:
        """Go by other addresses of ours from now on."""
        self.own = OwnAddresses(self._settings.fqdn, listeners)
        self._sides = {}

    def route(self, request: Request, flow: Flow, now: float) -> Route:
        """Decide on a validated request. Pops our own Route values. Raises MalformedMessage for unreadable URIs."""
        token = self._pop_own_routes(request)
        if token:
            return self._inside_dialog(token, request, now)
        uri = parse_uri(request.uri)
        if "maddr" in uri.params:
            uri = self._without_own_maddr(request, uri)
        if "route" in request.index:
            return self._preloaded_route(request, flow, now)
        return self.route_uri(request, uri, flow, now)

    def route_uri(self, request: Request, uri: SipUri, flow: Flow, now: float) -> Route:
        """Decide by a URI alone (§16.5): the Request-URI, or a contact that a redirection has named."""
        if "maddr" not in uri.params and self.is_self(uri):
            return Route(local=True)
        if "maddr" in uri.params or uri.host not in self._settings.domains:
            route = self._elsewhere(uri, flow, now)
        else:
            route = self._in_domain(request, uri, now)
            route.ours = True
        return only_secure(route) if uri.scheme == "sips" else route

    def _without_own_maddr(self, request: Request, uri: SipUri) -> SipUri:
        """§16.4: a maddr that names us has done its work, and the port and transport with it."""
        maddr = (uri.params["maddr"] or "").lower()
        if maddr not in self._settings.domains and maddr not in self.own.hosts:
            return uri
        kept = [(key, value) for key, value in uri.params.items() if key not in ("maddr", "transport")]
        params = "".join(f";{key}" if value is None else f";{key}={value}" for key, value in kept)
        bare = parse_uri(sip_uri(uri.user, uri.host, scheme=uri.scheme, params=params))
        request.set_lines(bare.text, list(zip(request.lines, request.names, strict=True)))
        return bare

    def is_self(self, uri: SipUri) -> bool:
        """Whether a URI names this server and no user of it."""
        if uri.user is not None:
            return False
        return uri.host in self._settings.domains or host_port(uri.host, uri.port).lower() in self.own.names

    def _pop_own_routes(self, request: Request) -> str:
        """Remove Route values that name us (§16.4); the token that the last of them carries, "" without one.

        A strict router before us puts our Route into the Request-URI instead; that is put right first.
        """
        if ";lr" in request.uri and self._own_token(f"<{request.uri}>"):
            self._undo_strict_routing(request)
        token = ""
        while "route" in request.index:
            value = request.first("route") or ""
            own = self._own_token((split_list(value) or [""])[0] if "," in value else value)
            if own is None:
                break
            token = own or token
            request.drop_first("route")
        return token

    def _undo_strict_routing(self, request: Request) -> None:
        routes = request.values("route")
        if not routes:
            return
        ours = request.uri
        at = request.index["route"]
        kept = [(line, name) for line, name in zip(request.lines, request.names, strict=True) if name != "route"]
        kept[at:at] = [(f"Route: {value}", "route") for value in [f"<{ours}>", *routes[:-1]]]
        request.set_lines(parse_name_addr(routes[-1]).uri, kept)

    def _own_token(self, value: str) -> str | None:
        """The user part of a Route value that names us, None for somebody else's."""
        at, end = value.find("@"), value.find(">")
        if value.startswith("<sip:") and at > 0 and value[at + 1 : end] in self.own.suffixes:
            return value[5:at]
        uri = parse_uri(parse_name_addr(value).uri)
        if self.is_self(uri):
            return ""
        ours = host_port(uri.host, uri.port).lower() in self.own.names
        return (uri.user or "") if ours else None

    def _inside_dialog(self, token: str, request: Request, now: float) -> Route:
        try:
            side = self._tokens.towards(token, request.call_id, request.from_tag, request.to_tag)
        except ValueError:
            return Route(failure=STALE_ROUTE, details={"detail": "the flow token in Route is not ours for this dialog"})
        target = self._sides.get(side)
        if target is None or (side.host not in request.uri and not side.pool):
            target = self._party(side, request, now)
            if target is None:
                return Route(failure=STALE_ROUTE, details={"detail": "the connection is gone and its user is not back"})
        if ";gr" in request.uri and not request.uri.endswith(";gruu"):
            target = self._translated(target, request, now)
        return Route([[target]], in_dialog=True, token=token)

    def _party(self, side: Side, request: Request, now: float) -> Target | None:
        """How the other party is reached: by its connection; where its client is registered now, if it has lost that or
        the target of the dialog has another address (§12.2); at its address. None for nowhere."""
        live = self.flows.get(side.cid) if side.cid else None
        if live is not None:
            return Target([live], OTHER_SIDE)
        moved = self._registered(side, request, now) if not side.pool else None
        if moved is not None:
            return moved
        hop = self._dialled(side.cid, request, now) if side.cid else self._hop_of(side)
        return self._other_side(side, hop) if hop is not None else None

    def _registered(self, side: Side, request: Request, now: float) -> Target | None:
        """A live registration that the Request-URI names, by GRUU, or by its Contact under the address in To."""
        try:
            uri = parse_uri(request.uri)
            user = uri if is_gruu(uri) else parse_uri(parse_name_addr(request.first("to") or "").uri)
        except MalformedMessage:
            return None
        if is_gruu(uri):
            found = self._location.by_gruu(uri, now)
        else:
            found = [one for one in self._location.bindings(user.aor, now) if same_uri(one.contact, request.uri)]
        if any(binding.source[1:] == (side.host, side.port) for binding in found):
            return None  # it has not moved
        targets = [self._binding_target(binding, now) for binding in found if not binding.path]
        way = next((target for target in targets if isinstance(target, Target)), None)
        return Target(way.hops, OTHER_SIDE) if way is not None else None

    def _dialled(self, cid: int, request: Request, now: float) -> Flow | Hop | None:
        """A trusted peer that has lost its connection, where the next Route or else the Request-URI names the address
        that it had. By TLS there would have to be a name for it to prove."""
        if cid not in self.lost:
            return None
        routes = request.values("route")
        try:
            uri = parse_uri(parse_name_addr(routes[0]).uri if routes else request.uri)
        except MalformedMessage:
            return None
        if uri.host.strip("[]") != self.lost[cid] or "maddr" in uri.params:
            return None
        groups = self._to_uri(uri, now).groups
        hop = groups[0][0].hops[0] if groups else None
        return hop if hop is not None and hop.transport != "TLS" else None

    def connection_lost(self, flow: Flow) -> None:
        """Remember where a trusted peer was, for the dialogs that go on."""
        if self.trusts(flow):
            if len(self.lost) >= MAX_LOST:
                del self.lost[next(iter(self.lost))]
            self.lost[flow.cid] = flow.host

    def _translated(self, target: Target, request: Request, now: float) -> Target:
        """RFC 5627 §6.1: in place of a GRUU the Contact that it stands for, where that is whom the dialog is with."""
        uri = parse_uri(request.uri)
        found = self._location.by_gruu(uri, now) if is_gruu(uri) else []
        contact = next((one.contact for one in found if one.source[1] == target.hops[0].host), "")
        translation = request_uri(contact) if contact else None
        if translation is None:
            return target
        return Target(target.hops, target.label, uri=translation.text, member_of=target.member_of)

    def _other_side(self, side: Side, hop: Flow | Hop) -> Target:
        """The target that a side is; that of an address is kept, as it is the same for all dialogs with it."""
        member_of = self._pools.get(side.pool) if side.pool and isinstance(hop, Hop) else None
        target = Target([hop], OTHER_SIDE, member_of=member_of)
        if not side.cid:
            if len(self._sides) >= MAX_SIDES:
                self._sides.clear()
            self._sides[side] = target
        return target

    def _hop_of(self, side: Side) -> Flow | Hop | None:
        if side.datagram:
            return Flow("UDP", side.host, side.port, self.own.listener_for("UDP", ":" in side.host))
        if not side.transport:
            return None
        pool = self._pools.get(side.pool)
        if side.transport == "TLS" and pool is None:
            return None  # there is no name left to hold the server to
        return Hop(side.transport, side.host, side.port, pool.fqdn if pool and side.transport == "TLS" else "")

    def _preloaded_route(self, request: Request, flow: Flow, now: float) -> Route:
        """A Route that leads elsewhere, outside a dialog of ours: only a trusted peer may use us to get there."""
        if not self.trusts(flow):
            return Route(failure=FOREIGN_DOMAIN, details={"detail": "Route leads to another server"})
        route = self._to_uri(parse_uri(parse_name_addr(request.values("route")[0]).uri), now)
        return only_secure(route) if parse_uri(request.uri).scheme == "sips" else route

    def _in_domain(self, request: Request, uri: SipUri, now: float) -> Route:
        if request.method == "REGISTER":
            return Route(local=True)
        endpoint = self._registry.find(uri.user or "", uri.host)
        if endpoint is not None and not endpoint.enabled:
            return Route(failure=NOT_ENABLED, matched=endpoint.sip_address)
        pool = self._registry.pool_for(uri.user or "", uri.host)
        if pool is not None:
            return self._to_pool(pool, f"endpoint {endpoint.sip_address}" if endpoint else f"pool {pool.fqdn}", now)
        if endpoint is not None:  # made by command, and its pool has left the configuration since
            detail = f"{endpoint.sip_address} leads to pool {endpoint.pool_fqdn}, which is not configured"
            return Route(failure=NO_USER, details={"detail": detail}, matched=f"endpoint {endpoint.sip_address}")
        if self._addresses_own_service(request, uri):
            return Route(local=True)
        return self._to_user(uri, now)

    @staticmethod
    def _addresses_own_service(request: Request, uri: SipUri) -> bool:
        """SUBSCRIBE and SERVICE that users address to themselves are for the Front End."""
        if request.method not in ("SUBSCRIBE", "SERVICE"):
            return False
        return parse_uri(parse_name_addr(request.first("from") or "").uri).aor == uri.aor

    def _to_pool(self, pool: Pool, matched: str, now: float) -> Route:
        hops = self.servers.hops(pool, now)
        if isinstance(hops, Destination):
            return Route(unresolved=hops, matched=matched)
        if isinstance(hops, NotLocated):
            return not_located(hops, matched)
        if not hops:
            detail = f"every server of pool {pool.fqdn} is drained{self._by_whom(pool, now)}"
            return Route(failure=SERVERS_DOWN, details={"detail": detail}, matched=matched)
        return Route(groups=[[Target([*hops], f"pool {pool.fqdn}", pool=pool)]], matched=matched)

    def _by_whom(self, pool: Pool, now: float) -> str:
        """A server of the pool would take new dialogs, had not a command said otherwise."""
        configured = next(one for one in self._registry.configured if one.fqdn == pool.fqdn)
        return " by command" if configured is not pool and self.servers.hops(configured, now) else ""

    def _to_user(self, uri: SipUri, now: float) -> Route:
        """The endpoints of a user, best q first, or the one that a GRUU names (RFC 5627 §6.1)."""
        bindings = self._location.by_gruu(uri, now) if is_gruu(uri) else self._location.bindings(uri.aor, now)
        account = self.accounts.find(f"sip:{uri.aor}") if self.accounts is not None else None
        if account is not None and not account.enabled:
            return Route(failure=NOT_ENABLED, matched=account.uri)
        if not bindings:
            known = account is not None or (self._location.known(uri.aor) and not is_temporary(uri))
            detail = f"no endpoint and no live registration for {uri if is_gruu(uri) else uri.aor}"
            return Route(failure=NOT_SIGNED_IN if known else NO_USER, details={"detail": detail})
        found: list[list[Target]] = []
        flows: dict[str, Target] = {}
        for _, group in groupby(bindings, key=lambda binding: binding.q):
            targets: list[Target] = []
            for binding in group:
                target = self._binding_target(binding, now)
                if isinstance(target, Route):
                    return target
                if target is not None:
                    add_target(targets, flows, binding, target)
            found += [targets] if targets else []
        if not found:
            secure = all(binding.contact[:5].lower() == "sips:" for binding in bindings)
            kind = "TLS connection, which its sips contact asks for," if secure else "connection"
            return Route(failure=NOT_SIGNED_IN, details={"detail": f"{uri.aor} has no {kind} to reach it by"})
        return Route(groups=found, matched=f"user {uri.aor}")

    def _binding_target(self, binding: Binding, now: float) -> "Target | Route | None":
        """How a client is reached; a Route when a name in its Path has to be looked up first, None when not at all.

        Along its Path; by its own connection while that lives; else at the address of its Contact, if it registered by
        datagram. A flow (RFC 5626) is nothing but where the REGISTER came from. Without reg-id a datagram goes to the
        Contact's address when that is where the REGISTER came from, else back to the source: a Contact behind NAT is
        not reachable, and one that names a third party must not aim our traffic at it.
        """
        uri = request_uri(binding.contact)
        if uri is None:
            return None
        transport, host, port = binding.source
        hops: list[Flow | Hop] = []
        if binding.path:
            route = self._along(binding, now)
            if not route.groups:
                return route if route.unresolved else None
            hops = route.groups[0][0].hops
        elif binding.flow is not None:
            hops = [binding.flow]
        elif binding.reg_id:
            if transport != "UDP":
                return None
            hops = [Flow("UDP", host, port, self.own.listener_for("UDP", ":" in host))]
        else:
            dialled = uri.transport or transport
            if dialled not in ("UDP", "TCP"):
                return None  # nobody can dial back into a client's TLS connection
            hops = [Hop(dialled, host, (uri.port or 5060) if uri.host == host else port)]
        target = Target(hops, f"user {binding.aor}", uri=uri.text, route=binding.path)
        return over_tls(target) if uri.scheme == "sips" else target

    def _along(self, binding: Binding, now: float) -> Route:
        """To the first hop of a Path, as long as who named it is trusted (RFC 3327 §5.4). By TLS that may be for its
        certificate's sake, which is looked at with each REGISTER."""
        transport, host, port = binding.source
        if transport != "TLS" and not self.trusts(Flow(transport, host, port, None)):
            return Route()
        return self._to_uri(path_uri(binding.path, 0), now)

    def _elsewhere(self, uri: SipUri, flow: Flow, now: float) -> Route:
        """A Request-URI outside our domains: a pool server named by address, or a trusted peer that may relay."""
        pool = self._pool_at(uri, now)
        if pool is not None:
            return self._to_pool(pool, f"pool {pool.fqdn}", now)
        own = host_port(uri.host, uri.port).lower() in self.own.names
        if own and uri.user is not None:
            return Route(failure=NO_USER, details={"detail": f"{uri.host} serves {', '.join(self._settings.domains)}"})
        if self.trusts(flow):
            return self._to_uri(uri, now)
        return Route(failure=FOREIGN_DOMAIN, details={"detail": f"{uri.host} is not served here"})

    def _pool_at(self, uri: SipUri, now: float) -> Pool | None:
        """The pool that one of whose servers a URI names, by the name in the configuration or by address."""
        for pool in self._registry.pools:
            if any(server.host.lower() == uri.host and server.port == uri.port for server in pool.servers):
                return pool
            hops = self.servers.every(pool, now) if is_address(uri.host) else []
            if isinstance(hops, list) and any(hop.host == uri.host and hop.port == uri.port for hop in hops):
                return pool
        return None

    def _to_uri(self, uri: SipUri, now: float) -> Route:
        destination = of_uri(uri)
        found = self._locator.find(destination, now)
        if found is None:
            return Route(unresolved=destination)
        if isinstance(found, NotLocated):
            return not_located(found)
        return Route(groups=[[Target([Hop(*address) for address in found.order(self._random)], str(uri))]])

    def trusts(self, flow: Flow) -> bool:
        return is_trusted(flow, self._settings.trusted, self.trusted_names)

    def is_server(self, flow: Flow, now: float) -> bool:
        """Whether a peer is a server, which proves nothing by signing in: a trusted one, or a pool's, reached over a
        connection that we have dialled or sending its datagrams from where it is. That we have dialled somebody says
        nothing by itself: users name the addresses of their contacts as they like."""
        return self.trusts(flow) or self.is_pools(flow, now)

    def is_pools(self, flow: Flow, now: float) -> bool:
        """Whether a peer is a pool's server by where it is: one that we have dialled, or that sends its datagrams from
        there. One that has dialled us comes from any port."""
        if flow.listener is not None and flow.transport != "UDP":
            return False
        at = flow.transport, flow.host, flow.port
        for pool in self._registry.pools:
            hops = self.servers.every(pool, now)
            if isinstance(hops, list):
                for hop in hops:
                    if (hop.transport, hop.host, hop.port) == at:
                        return True
        return False

    def is_host_of_pool(self, host: str, now: float) -> bool:
        """Whether a pool's server is at this address, whatever the port."""
        known = (self.servers.every(pool, now) for pool in self._registry.pools)
        return any(hop.host == host for hops in known if isinstance(hops, list) for hop in hops)

    def is_inside(self, request: Request) -> bool:
        """Whether a request belongs to a dialog through us, which the token in its topmost Route proves."""
        if "route" not in request.index:
            return False
        try:
            token = self._own_token(split_list(request.values("route")[0])[0])
            self._tokens.towards(token or "", request.call_id, request.from_tag, request.to_tag)
        except (MalformedMessage, ValueError, IndexError):
            return False
        return True

    def is_of_dialog(self, request: Request, flow: Flow) -> bool:
        """Whether a request inside a dialog comes from the address of the pool's server that is its other side. After a
        restart of ours that server has to dial us, from whatever port, and our token in its route set says what it is:
        it leads to nobody but the user whom that dialog is with."""
        if not flow.cid or "route" not in request.index:  # anybody can send a datagram in another's name
            return False
        token = self._own_token(request.values("route")[0])
        try:
            side = self._tokens.sender(token or "", request.call_id, request.from_tag, request.to_tag)
        except ValueError:
            return False
        if side.host != flow.host or side.transport == "TLS":  # a TLS server shows a certificate
            return False
        return bool(side.pool) and self._pools.get(side.pool) is not None

    def senders(self, request: Request) -> list[Flow]:
        """The ways to its sender that our tokens in a request inside a dialog have."""
        found = []
        for value in (*request.values("route"), f"<{request.uri}>"):
            try:
                token = self._own_token(value) or ""
                side = self._tokens.sender(token, request.call_id, request.from_tag, request.to_tag)
            except ValueError:  # another's, or none
                continue
            found.append(Flow(side.transport or "TCP", side.host, side.port, None, side.cid))
        return found
