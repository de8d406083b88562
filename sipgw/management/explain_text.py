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
    who = "trusted as everybody is" if found.trusted_sender else "not a trusted peer"
    steps = [f"{subject:{WIDTH}}{said}" for subject, said in _steps(found, config)]
    result = [f"{subject:{WIDTH}}{said}" for subject, said in _result(found, config)]
    parts = [[f"{found.method} {found.uri} from {found.sender}, {who}"], steps, result]
    return "\n\n".join("\n".join(map(_printable, part)) for part in parts if part)


def _printable(line: str) -> str:
    """What a peer has sent, or a zone has, must not move the cursor."""
    return "".join(char if char.isprintable() else "?" for char in line)


def _steps(found: Explanation, config: Config) -> Iterator[Line]:
    yield from _gateway(found, config)
    yield from _domain(found, config)
    yield from _endpoint(found, config)
    for at, one in enumerate(found.bindings):
        yield "" if at else "signed in", _binding(one)
    if found.pool is not None:
        yield "pool", _pool(found.pool)
    for at, question in enumerate(found.questions):
        yield "" if at else "DNS", _question(question)
    for at, remark in enumerate(found.pool.remarks if found.pool is not None else ()):
        yield "" if at else "missing", remark
    yield from _tries(found)


def _gateway(found: Explanation, config: Config) -> Iterator[Line]:
    one = found.gateway
    if one is None:
        yield "gateway", "none runs on this store: health and connections are not known"
        return
    looks = f"every {config.health.interval:g} s" if config.health.interval else "by calls alone"
    yield "gateway", f"pid {one.pid}, runs on this store since {_when(one.since, found.at)}, tries its pools {looks}"
    if one.source != (str(config.source.absolute()) if config.source is not None else ""):
        yield "", f"but not by this configuration: it has read {one.source or 'none, and goes by the built-in one'}"
    elif one.behind:
        yield "", f"but this configuration has changed since it was read; kill -HUP {one.pid} has it read again"


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
    if one.pool_fqdn.lower() not in {pool.fqdn.lower() for pool in config.pools}:
        leads += ", which is not configured"
    return f"{one.sip_address}{name}, {made}, {leads}"


def _binding(one: BindingPart) -> str:
    path = f", along {one.path}" if one.path else ""
    agent = f", {one.user_agent}" if one.user_agent else ""
    return f"{one.contact}, q {one.q:g}, for another {one.expires_in} s, from {one.source}{path}{agent}"


def _pool(pool: PoolPart) -> str:
    if pool.servers:
        return f"{pool.fqdn}, its servers as configured: {' '.join(pool.servers)}"
    return f"{pool.fqdn}, no servers configured: the name service tells them, those of one priority drawn by lot"


def _question(one: Question) -> str:
    if one.failure:
        return f"{one.question}: {one.failure}"
    return f"{one.question}: {', '.join(one.records)} (TTL {one.ttl:g} s)"


def _tries(found: Explanation) -> Iterator[Line]:
    for number, one in enumerate(found.destinations):
        at_once = number and found.destinations[number - 1].turn == one.turn
        yield from _destination(one, "at once" if at_once else "then" if number else "tried", found.at)
    for at, server in enumerate(found.pool.drained if found.pool is not None else ()):
        yield "" if at else "not tried", _server(server, found.at)


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
        return "the user's own connection, " + ("which stands" if server.health == "up" else "if it still stands")
    if server.role == "drained":
        return "drained: no new dialogs"
    return server.role if server.role in ("active", "standby") else ""


def _health(server: Server, now: float) -> str:
    if server.health == "not known":
        return "health not known"
    if server.health == "up" and server.role == "connection":
        return ""
    if server.health == "up":
        return f"up since {_when(server.since, now)}" if server.since is not None else "up, no failure seen"
    if server.health != "down" or server.since is None:
        return ""
    text = f"down since {_when(server.since, now)}: {server.reason}"
    if server.until is None:
        return text
    return f"{text}; tried again " + (f"in {_span(server.until - now)}" if server.until > now else "now")


def _place(server: Server) -> str:
    place = server.place
    if place is None:
        return ""
    if not (place.priority or place.weight):
        return place.host
    return f"{place.host} (choice {place.rank + 1}, priority {place.priority}, weight {place.weight})"


def _result(found: Explanation, config: Config) -> Iterator[Line]:
    yield from _decision("result", found.decision, found, config)
    if found.trusted is not None:
        yield from _decision("trusted", found.trusted, found, config)


def _decision(subject: str, one: Decision, found: Explanation, config: Config) -> Iterator[Line]:
    by = "to a trusted peer: " if subject == "trusted" else ""
    if one.kind == "dropped":
        yield subject, f"{by}dropped: an ACK gets no answer, and this one belongs to no dialog"
    elif one.kind == "forwarded":
        yield subject, f"{by}forwarded{_patience(found, config)}"
    elif one.kind == "expected":
        yield subject, f"{by}sent on, though nothing works that it is sent to; expected: {one.status} {one.reason}"
    elif one.kind == "answered":
        yield subject, f"{by}answered here: {one.status} {one.reason}"
    else:
        yield subject, f"{by}refused: {one.status} {one.reason}"
    if one.diagnostics:
        yield "", f"ms-diagnostics {one.diagnostics} {one.text}"
    if one.detail:
        yield "because", one.detail
    if one.unless:
        yield "unless", one.unless
    if one.todo:
        yield "to do", one.todo


def _patience(found: Explanation, config: Config) -> str:
    """How the servers of a pool are gone through."""
    servers = [server for destination in found.destinations for server in destination.servers]
    if found.pool is None or not servers:
        return ""
    if found.method != "INVITE":  # of others a server may think for as long as it likes (RFC 4320 §4.1)
        return "; after a server that cannot be reached, or says nothing for too long, the next one is tried"
    seconds = f"{config.timers.first_response:g} s"
    if len(servers) == 1:
        return f"; without a first answer within {seconds} the caller gets 504"
    return f"; a server without a first answer within {seconds} is given up for the next, after the last it is 504"


def _when(at: float, now: float) -> str:
    """`2026-11-23 04:11:02 UTC (3 min ago)`"""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC ({_span(now - at)} ago)"


def _span(seconds: float) -> str:
    """In the largest unit of which there is more than one."""
    size, unit = next(((size, unit) for size, unit in _STEPS if seconds >= 2 * size), (1, "s"))
    return f"{max(0, int(seconds // size))} {unit}"
