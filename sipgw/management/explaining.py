"""Finds out what would happen to a request: a rehearsal's doings, and all that is known of those it comes across."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sipgw.core.failures import NO_USER, NOT_SIGNED_IN
from sipgw.core.gruu import is_gruu
from sipgw.core.location import Binding
from sipgw.core.pool_servers import is_among
from sipgw.core.route import Route, Target
from sipgw.events import Flow, Hop
from sipgw.locating import Answer, Located, NotLocated
from sipgw.locating import Destination as Wanted
from sipgw.locating.destination import is_address
from sipgw.locating.result import Service
from sipgw.management.advice import advice
from sipgw.management.expectation import GONE, expected
from sipgw.management.explanation import (
    BindingPart,
    Decision,
    Destination,
    DomainPart,
    EndpointPart,
    Explanation,
    GatewayPart,
    Place,
    PoolPart,
    Question,
    Role,
    Server,
)
from sipgw.management.locate import destinations
from sipgw.management.rehearsal import Doings, Rehearsal
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Response
from sipgw.message.uri import SipUri, parse_uri
from sipgw.message.values import host_port, parse_params, unquote
from sipgw.registry import Endpoint, Pool

Places = dict[Hop, Place | None]


async def explain(rehearsal: Rehearsal, method: str, uri: str, sender: str) -> Explanation:
    """Rehearse a request from somebody who is not trusted, and from a trusted peer where there can be one."""
    flow, target = rehearsal.stranger(), _sip_uri(uri)
    data = request_bytes(method, uri, sender, flow)
    try:
        route = await rehearsal.route(data, flow)
    except MalformedMessage:  # the engine says so too
        route = Route()
    decision = _doubted(_decision(await rehearsal.perform(data, flow), target), target, rehearsal)
    explaining = _Explaining(rehearsal, method, target, route if decision.kind == "forwarded" else Route())
    destinations = explaining.destinations()
    return Explanation(
        method=method,
        uri=uri,
        sender=sender,
        trusted_sender=rehearsal.engine.router.trusts(flow),
        at=rehearsal.wall,
        gateway=_gateway(rehearsal),
        domain=explaining.domain(),
        endpoint=explaining.endpoint(),
        pool=explaining.pool_part(),
        questions=[_question(answer) for answer in rehearsal.heard.values()],
        bindings=explaining.bindings(),
        destinations=destinations,
        decision=expected(decision, method, destinations, target),
        trusted=await _trusted(rehearsal, method, uri, sender, decision),
    )


def request_bytes(method: str, uri: str, sender: str, flow: Flow) -> bytes:
    """A request as somebody at `flow` would send it, with what the methods in use need."""
    at = host_port(flow.host, flow.port)
    user = sender.partition(":")[2].partition("@")[0]
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{flow.transport} {at};branch=z9hG4bKexplain{flow.cid}",
        "Max-Forwards: 70",
        f"From: <{sender}>;tag=explain{flow.cid}",
        f"To: <{sender if method == 'REGISTER' else uri}>",
        f"Call-ID: explain{flow.cid}@{at}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:{user}@{at};transport={flow.transport.lower()}>",
        *(["Event: presence"] if method == "SUBSCRIBE" else []),
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "\r\n"]).encode()


async def _trusted(rehearsal: Rehearsal, method: str, uri: str, sender: str, otherwise: Decision) -> Decision | None:
    """What a trusted peer gets, None when that is nothing else or nobody can be one."""
    peer = rehearsal.trusted_peer()
    if peer is None:
        return None
    doings = await rehearsal.perform(request_bytes(method, uri, sender, peer), peer)
    found = _decision(doings, _sip_uri(uri))
    return found if (found.kind, found.status) != (otherwise.kind, otherwise.status) else None


def _sip_uri(text: str) -> SipUri | None:
    try:
        return parse_uri(text)
    except MalformedMessage:
        return None


def _decision(doings: Doings, uri: SipUri | None) -> Decision:
    response = doings.response
    if response is None:
        return Decision("forwarded" if doings.forwarded else "dropped")
    if response.status < 300:
        return Decision("answered", response.status, response.reason)
    number, text, detail = _diagnostics(response)
    todo = advice(response.status, number, uri, detail)
    return Decision("refused", response.status, response.reason, number, text, detail, todo)


def _doubted(decision: Decision, uri: SipUri | None, rehearsal: Rehearsal) -> Decision:
    """A user who is known and has no endpoint gets another answer, and the gateway may know more users than we do."""
    doubts = rehearsal.users.doubts
    if decision.diagnostics != NO_USER.id or uri is None or not uri.user or is_gruu(uri) or not doubts:
        return decision
    if rehearsal.registry.find(uri.user, uri.host) is not None:
        return decision  # it is an endpoint, and nobody's address
    other = f"then it is {NOT_SIGNED_IN.status}, ms-diagnostics {NOT_SIGNED_IN.id}"
    return replace(decision, unless=f"{', or '.join(doubts)}: {other}")


def _diagnostics(response: Response) -> tuple[int, str, str]:
    """Id, text and detail of ms-diagnostics; without that header the text of Warning."""
    value = response.first("ms-diagnostics")
    if value is None:
        return 0, "", unquote((response.first("warning") or "").partition(" ")[2].partition(" ")[2])
    number, _, tail = value.partition(";")
    params = {key: unquote(text or "") for key, text in parse_params(tail)}
    return int(number) if number.isdecimal() else 0, params.get("reason", ""), params.get("detail", "")


def _gateway(rehearsal: Rehearsal) -> GatewayPart | None:
    running = rehearsal.running
    if running is None:
        return None
    behind = False
    with suppress(OSError):
        behind = bool(running.source) and Path(running.source).stat().st_mtime > running.configured
    return GatewayPart(running.pid, running.since, running.source, behind, list(running.listening))


def _question(answer: Answer) -> Question:
    """With its records in the order of a zone file."""
    records = [f"{one.priority} {one.weight} {one.port} {one.target}" for one in sorted(answer.srv)]
    records += [
        f'{one.order} {one.preference} "{one.flags}" "{one.service}" {one.replacement}' for one in sorted(answer.naptr)
    ]
    failure = answer.failure + (f" ({answer.detail})" if answer.detail else "")
    return Question(str(answer.question), [*records, *answer.addresses], answer.ttl, failure)


class _Explaining:
    """What is known of those that one request comes across; `uri` is None for what is not SIP."""

    def __init__(self, rehearsal: Rehearsal, method: str, uri: SipUri | None, route: Route) -> None:
        self._rehearsal = rehearsal
        self._method = method
        self._uri = uri
        self._route = route
        self._pool = self._find_pool()
        self._found = self._bindings()
        self._places = self._find_places() if self._pool is not None else {}

    def _find_pool(self) -> Pool | None:
        if self._route.groups:
            return self._route.groups[0][0].pool
        uri = self._uri
        return self._rehearsal.registry.pool_for(uri.user, uri.host) if uri is not None and uri.user else None

    def domain(self) -> DomainPart | None:
        if self._uri is None:
            return None
        served = self._uri.host in self._rehearsal.config.gateway.domains
        return DomainPart(self._uri.host, served, self._rehearsal.engine.router.is_self(self._uri))

    def endpoint(self) -> EndpointPart | None:
        uri = self._uri
        found = self._rehearsal.registry.find(uri.user, uri.host) if uri is not None and uri.user else None
        return _endpoint_part(found) if found is not None else None

    def bindings(self) -> list[BindingPart]:
        return [self._binding(one) for one in self._found]

    def _bindings(self) -> list[Binding]:
        """Those of the user that the URI names, where it names one."""
        uri, location, now = self._uri, self._rehearsal.engine.location, self._rehearsal.now
        if uri is None or not uri.user or self._pool is not None or self._method == "REGISTER":
            return []
        return location.by_gruu(uri, now) if is_gruu(uri) else location.bindings(uri.aor, now)

    def _binding(self, one: Binding) -> BindingPart:
        left = round(one.expires_at - self._rehearsal.now)
        return BindingPart(one.contact, one.q, left, one.received, one.user_agent, one.path)

    def pool_part(self) -> PoolPart | None:
        pool = self._pool
        if pool is None:
            return None
        found = [self._find(to) for to in destinations(pool)]
        remarks = [remark for one in found if isinstance(one, Located) for remark in one.remarks]
        remarks += [one.text for one in found if isinstance(one, NotLocated)] if self._places else []
        drained = [self._pool_server(hop, pool) for hop in self._places if is_among(hop, pool.drained)]
        return PoolPart(pool.fqdn, [str(server) for server in pool.servers], remarks, drained)

    def _find_places(self) -> Places:
        """Every server of the pool at every address, and where the zone has it, if the zone was asked."""
        assert self._pool is not None
        found: Places = {}
        for to in destinations(self._pool):
            located = self._find(to)
            for service in located.services if isinstance(located, Located) else ():
                found |= _at_addresses(service, to.verify_name)
        return found

    def _find(self, to: Wanted) -> Located | NotLocated | None:
        return self._rehearsal.engine.locator.find(to, self._rehearsal.now)

    def destinations(self) -> list[Destination]:
        """What is tried, in order; what has the same turn is sent to at once."""
        groups = enumerate(self._route.groups, 1)
        return [self._destination(turn, target) for turn, group in groups for target in group]

    def _destination(self, turn: int, target: Target) -> Destination:
        hops = [*target.hops, *(hop for other in target.others for hop in other.hops)]
        return Destination(turn, target.label, target.uri or "", target.route, [self._server(hop) for hop in hops])

    def _server(self, hop: Flow | Hop) -> Server:
        if isinstance(hop, Flow):
            stands = self._rehearsal.standing is not None and hop.cid
            return Server(str(hop), "connection" if hop.cid else "user", health="up" if stands else "")
        if self._pool is not None:
            return self._pool_server(hop, self._pool)
        server = Server(str(hop), "user" if self._found else "server", hop.server_name)
        if self._rehearsal.standing is not None and self._came_from(hop):
            return replace(server, health="down", since=self._rehearsal.wall, reason=GONE)
        return server

    def _came_from(self, hop: Hop) -> bool:
        """Whether a client came from there by a connection: with it, its port is gone too."""
        at = hop.transport, hop.host, hop.port
        return hop.reliable and any(at == one.source and not one.path for one in self._found)

    def _pool_server(self, hop: Hop, pool: Pool) -> Server:
        role: Role = "active"
        if is_among(hop, pool.drained):
            role = "drained"
        elif is_among(hop, pool.standby):
            role = "standby"
        server = Server(str(hop), role, hop.server_name, self._places.get(hop), "not known")
        running = self._rehearsal.running
        if running is None:
            return server
        known = running.servers.get(hop)
        if known is None:
            return replace(server, health="up")
        if known.up:
            return replace(server, health="up", since=known.since)
        return replace(server, health="down", since=known.since, reason=known.reason, until=known.until or None)


def _at_addresses(service: Service, verify_name: str) -> Places:
    place = None
    if not is_address(service.host):
        place = Place(service.host, service.rank, service.priority, service.weight)
    name = verify_name if service.transport == "TLS" else ""
    addresses = (address for family in service.families for address in family)
    return {Hop(service.transport, address, service.port, name): place for address in addresses}


def _endpoint_part(one: Endpoint) -> EndpointPart:
    return EndpointPart(one.sip_address, one.display_name, one.declared, one.enabled, one.pool_fqdn)
