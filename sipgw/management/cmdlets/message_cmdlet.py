"""Test-CsPersistentChatMessage: a synthetic transaction through the gateway."""

import asyncio
from collections.abc import Iterable

from sipgw.config import Config, ListenAddress, parse_listen
from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.items import Credential, Item
from sipgw.management.cmdlets.transaction import Outcome, Transaction, run_transaction
from sipgw.registry import Registry, Server, parse_address
from sipgw.server.running import read_running

KIND = "Microsoft.Rtc.SyntheticTransactions.TaskOutput"
DEFAULT_PORT = 5061  # of a Registrar, by TLS
LABELS = {"TargetFqdn": "Target Fqdn", "Error": "Error Message"}
_TRANSPORTS = ("TCP", "UDP", "TLS")  # in this order: no certificate is made for a loopback address
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_NO_SETUP = "there are no watcher nodes to be set up"
_NO_VARIABLE = "-Verbose shows the steps"


def _run(call: Call) -> Iterable[Item]:
    registry = call.backend.registry()
    wanted = _transaction(call, registry)
    target = call.get("TargetFqdn", call.backend.config.gateway.fqdn)
    call.details(f"{wanted.sender} and {wanted.receiver} by way of {wanted.contact_object} at {wanted.server}")
    if not call.should(wanted.contact_object) or call.backend.rehearses:  # what is said would stay in the room
        return []
    outcome = asyncio.run(run_transaction(wanted))
    for step in outcome.steps:
        call.details(step)
    call.failed = not outcome.good
    return [_item(target, wanted, outcome)]


def _transaction(call: Call, registry: Registry) -> Transaction:
    sender = _user(call, "SenderSipAddress", "TestUser1SipAddress")
    receiver = _user(call, "ReceiverSipAddress", "TestUser2SipAddress")
    if sender == receiver:
        raise call.fail("the sender and the receiver have to be two users", "SameUser")
    room = call.get("ChatRoomUri", "").rpartition("\\")[2]
    credentials = _credentials(call)
    server, contact_object = _server(call, registry), _contact_object(call, registry, sender)
    logins = {
        user: (one.name, _password(call, one, end))
        for user, end in ((sender, "Sender"), (receiver, "Receiver"))
        if (one := credentials.get(end))
    }
    return Transaction(server, contact_object, sender, receiver, room, call.backend.config.tls.ca, logins=logins)


def _password(call: Call, credential: Credential, end: str) -> str:
    if credential.password is not None or call.backend.rehearses:
        return credential.password or ""
    return call.host.password(credential.name, f"SIPGW_{end.upper()}_PASSWORD")


def _credentials(call: Call) -> dict[str, Credential]:
    """Of the sender and the receiver, where they sign in with a password. Raises CmdletError."""
    wanted = call.get("Authentication", "Negotiate" if call.given("SenderCredential") else "TrustedServer")
    if wanted not in ("TrustedServer", "Negotiate"):
        raise call.fail(f"-Authentication {wanted} is not understood; TrustedServer and Negotiate are", "NotUnderstood")
    if wanted == "TrustedServer":
        return {}
    missing = [f"-{end}Credential" for end in ("Sender", "Receiver") if not call.given(f"{end}Credential")]
    if missing:
        raise call.fail(f"-Authentication Negotiate needs {' and '.join(missing)}, names of accounts", "NoCredential")
    return {end: call.get(f"{end}Credential") for end in ("Sender", "Receiver")}


def _user(call: Call, name: str, other: str) -> str:
    written = call.get(name) or call.get(other)
    if written is None:
        raise call.fail(f"-{name} has to be given", "MissingMandatoryParameter")
    return f"sip:{parse_address(written)}"


def _contact_object(call: Call, registry: Registry, sender: str) -> str:
    """As given; else an endpoint of the pool that is the target; else the first endpoint; else a pool's own. One of the
    sender's own domain goes first: that is where its client would look."""
    if call.given("ContactObject"):
        return f"sip:{parse_address(call.get('ContactObject'))}"
    target = call.get("TargetFqdn", "").lower()
    domain = sender.rpartition("@")[2]
    enabled = [one for one in registry.endpoints() if one.enabled]
    endpoints = sorted(enabled, key=lambda one: one.key.rpartition("@")[2] != domain)
    of_target = [one for one in endpoints if one.pool_fqdn.lower() == target]
    if of_target or (endpoints and registry.pool(target) is None):
        return (of_target or endpoints)[0].sip_address
    pool = registry.pool(target) or next(iter(registry.pools), None)
    if pool is None:
        raise call.fail("there is neither an endpoint nor a pool that could be asked", "NoPool")
    return pool.service_uri


def _server(call: Call, registry: Registry) -> Server:
    """This gateway, where it listens; or a server of that name elsewhere."""
    config = call.backend.config
    target, port = call.get("TargetFqdn", "").lower(), call.get("RegistrarPort")
    if target not in ("", "localhost", "127.0.0.1", config.gateway.fqdn.lower()) and registry.pool(target) is None:
        port = port or DEFAULT_PORT
        return Server("TLS" if port == DEFAULT_PORT else "TCP", target, port)
    listening = [one for one in _listening(config) if one.port and port in (None, one.port)]
    if not listening:
        shown = ", ".join(map(str, _listening(config)))
        where = f"not at port {port}" if port else "and no port to try it at is configured"
        raise call.fail(f"the gateway listens at {shown}, {where}", "NotListening")
    chosen = min(listening, key=lambda one: _TRANSPORTS.index(one.transport))
    host = config.gateway.fqdn if chosen.transport == "TLS" else _LOOPBACK.get(chosen.host, chosen.host)
    return Server(chosen.transport, host, chosen.port)


def _listening(config: Config) -> list[ListenAddress]:
    running = read_running(config.store.path)
    if running is not None:
        return [parse_listen(text) for text in running.listening]
    return list(config.gateway.listen)


def _item(target: str, wanted: Transaction, outcome: Outcome) -> Item:
    advice = f"`sipgw explain INVITE {wanted.contact_object} --from {wanted.sender}` and `sipgw check` tell more"
    values = {
        "TargetFqdn": target,
        "Result": "Success" if outcome.good else "Failure",
        "Latency": _time_span(outcome.latency),
        "Error": outcome.error,
        "Diagnosis": "" if outcome.good else f"while {outcome.step}; {advice}",
    }
    return Item(KIND, values, LABELS, outcome)


def _time_span(seconds: float) -> str:
    """As .NET writes it: hours, minutes, seconds and ten-millionths."""
    whole, ticks = divmod(round(seconds * 10_000_000), 10_000_000)
    text = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{text}.{ticks:07}" if ticks else text


CMDLETS = (
    Cmdlet(
        "Test-CsPersistentChatMessage",
        "Let two emulated clients talk to each other through the gateway, in a real room.",
        _run,
        (
            Parameter("TargetFqdn", kinds.fqdn, ("t",), position=0),
            Parameter("SenderSipAddress", kinds.some_text, ("sa",)),
            Parameter("ReceiverSipAddress", kinds.some_text, ("ra",)),
            Parameter("SenderCredential", kinds.account, ("sc",)),
            Parameter("ReceiverCredential", kinds.account, ("rc",)),
            Parameter(
                "Authentication", kinds.one_of("TrustedServer", "Negotiate", "ClientCertificate", "LiveID"), ("Ath",)
            ),
            Parameter("RegistrarPort", kinds.port, ("rp",)),
            Parameter("ChatRoomUri", kinds.some_text),
            Parameter("ContactObject", kinds.some_text),
            Parameter("Setup", kinds.truth_given, unused=_NO_SETUP),
            Parameter("TestUser1SipAddress", kinds.some_text),
            Parameter("TestUser2SipAddress", kinds.some_text),
            Parameter("OutLoggerVariable", kinds.some_text, ("olv",), unused=_NO_VARIABLE),
            Parameter("OutVerboseVariable", kinds.some_text, ("ovv",), unused=_NO_VARIABLE),
            Parameter("Force", SWITCH, unused="there is nothing to be forced"),
        ),
    ),
)
