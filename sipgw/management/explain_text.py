"""An explanation as lines for people."""

from collections.abc import Iterator
from datetime import UTC, datetime

from sipgw.config import Config
from sipgw.management.explanation import (
    BindingPart,
    Decision,
    Destination,
    EndpointPart,
    Explanation,
    PoolPart,
    Question,
    Server,
)

WIDTH = 10  # of the words on the left
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
Line = tuple[str, str]  # what it is about, "" to go on; what is said


def text_of(found: Explanation, config: Config) -> str:
    """All of it, one step a line."""
    lines = [f"{found.method} {found.uri} from {found.sender}", ""]
    for subject, said in _steps(found, config):
        lines.append(f"{subject:{WIDTH}}{said}".rstrip())
    return "\n".join(lines)


def _steps(found: Explanation, config: Config) -> Iterator[Line]:
    yield from _domain(found, config)
    yield from _endpoint(found, config)
    for at, one in enumerate(found.bindings):
        yield "" if at else "signed in", _binding(one)
    if found.pool is not None:
        yield "pool", _pool(found.pool)
    for at, question in enumerate(found.questions):
        yield "" if at else "DNS", _question(question)
    for remark in found.pool.remarks if found.pool is not None else ():
        yield "", f"so there is less than there could be: {remark}"
    if found.pool is not None and (found.destinations or found.pool.drained):
        yield "health", _knowledge(found, config)
    yield from _tries(found)
    yield from _result(found, config)


def _domain(found: Explanation, config: Config) -> Iterator[Line]:
    if found.domain is None:
        return
    if found.domain.own:
        yield "domain", f"{found.domain.name}: the gateway itself"
    elif found.domain.served:
        yield "domain", f"{found.domain.name} is served here"
    else:
        yield "domain", f"{found.domain.name} is not served here (gateway.domains: {', '.join(config.gateway.domains)})"


def _endpoint(found: Explanation, config: Config) -> Iterator[Line]:
    if found.endpoint is not None:
        yield "endpoint", _endpoint_text(found.endpoint, config)
    elif found.pool is not None and found.domain is not None and found.domain.served:
        yield "endpoint", "none has this address: it is the pool's own contact object"
    elif found.domain is not None and found.domain.served and not found.domain.own:
        yield "endpoint", "none has this address" + (", so it is a user's" if found.bindings else "")


def _endpoint_text(one: EndpointPart, config: Config) -> str:
    name = f' "{one.display_name}"' if one.display_name else ""
    made = f"declared in {config.source or 'the built-in configuration'}" if one.declared else "made in the store"
    leads = f"leads to {one.pool_fqdn}" if one.enabled else f"not enabled; it would lead to {one.pool_fqdn}"
    return f"{one.sip_address}{name}, {made}, {leads}"


def _binding(one: BindingPart) -> str:
    path = f", along {one.path}" if one.path else ""
    agent = f", {one.user_agent}" if one.user_agent else ""
    return f"{one.contact}, q {one.q:g}, for another {one.expires_in} s, from {one.source}{path}{agent}"


def _pool(pool: PoolPart) -> str:
    if pool.servers:
        return f"{pool.fqdn}, its servers as configured: {' '.join(pool.servers)}"
    return f"{pool.fqdn}, no servers configured: the name service tells them"


def _question(one: Question) -> str:
    if one.failure:
        return f"{one.question}: {one.failure}"
    return f"{one.question}: {', '.join(one.records)} (TTL {one.ttl:g} s)"


def _knowledge(found: Explanation, config: Config) -> str:
    if found.gateway is None:
        return "not known: no gateway runs on this store"
    probes = f"asks every {config.health.interval:g} s" if config.health.interval else "learns from calls alone"
    since = _when(found.gateway.since, found.at)
    return f"as the gateway knows it that runs on this store (pid {found.gateway.pid}, since {since}); it {probes}"


def _tries(found: Explanation) -> Iterator[Line]:
    for number, one in enumerate(found.destinations):
        at_once = number and found.destinations[number - 1].turn == one.turn
        yield from _destination(one, "at once" if at_once else "then" if number else "tried", found.at)
    for at, server in enumerate(found.pool.drained if found.pool is not None else ()):
        yield "" if at else "not tried", f"   {_server(server, found.at)}"


def _destination(one: Destination, subject: str, now: float) -> Iterator[Line]:
    for number, server in enumerate(one.servers, 1):
        uri = f", as {one.request_uri}" if one.request_uri else ""
        path = f", along {one.path}" if one.path else ""
        yield subject if number == 1 else "", f"{number}. {_server(server, now)}{uri}{path}"


def _server(server: Server, now: float) -> str:
    facts = [_role(server), _health(server, now), _place(server)]
    if server.proves:
        facts.append(f"has to prove {server.proves}")
    return ", ".join([server.server, *(fact for fact in facts if fact)])


def _role(server: Server) -> str:
    if server.role == "connection":
        return "the user's own connection, if it still stands"
    if server.role == "drained":
        return "drained: no new dialogs"
    return server.role if server.role in ("active", "standby") else ""


def _health(server: Server, now: float) -> str:
    if server.health == "up":
        return f"up again since {_when(server.since, now)}" if server.since is not None else "up"
    if server.health != "down" or server.since is None:
        return ""
    text = f"down since {_when(server.since, now)} because of: {server.reason}"
    if server.until is None:
        return text
    return f"{text}; tried again " + (f"in {_span(server.until - now)}" if server.until > now else "now")


def _place(server: Server) -> str:
    place = server.place
    if place is None:
        return ""
    if not (place.priority or place.weight):
        return place.host
    return f"{place.host} (priority {place.priority}, weight {place.weight})"


def _result(found: Explanation, config: Config) -> Iterator[Line]:
    yield "", ""
    yield "result", _decision(found.decision, found, config)
    if found.decision.todo:
        yield "to do", found.decision.todo
    if found.trusted is not None:
        yield "trusted", f"a trusted peer would get something else: {_decision(found.trusted, found, config)}"


def _decision(one: Decision, found: Explanation, config: Config) -> str:
    if one.kind == "dropped":
        return "dropped: an ACK gets no answer, and this one belongs to no dialog"
    if one.kind == "answered":
        return f"answered here: {one.status} {one.reason}"
    if one.kind == "refused":
        diagnostics = f", ms-diagnostics {one.diagnostics} {one.text}" if one.diagnostics else ""
        return f"refused: {one.status} {one.reason}{diagnostics}" + (f"; {one.detail}" if one.detail else "")
    if found.pool is None:
        return "forwarded"
    wait = f"each server has {config.timers.first_response:g} s for a first answer before the next one is tried"
    servers = [server for destination in found.destinations for server in destination.servers]
    if servers and all(server.health == "down" for server in servers):
        return f"forwarded, though all servers are down: unless one is back, the caller gets 504 or 503; {wait}"
    return f"forwarded; {wait}"


def _when(at: float, now: float) -> str:
    """`2026-11-23 04:11:02 UTC (3 min ago)`"""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC ({_span(now - at)} ago)"


def _span(seconds: float) -> str:
    """In the largest unit of which there is more than one."""
    size, unit = next(((size, unit) for size, unit in _STEPS if seconds >= 2 * size), (1, "s"))
    return f"{max(0, int(seconds // size))} {unit}"
