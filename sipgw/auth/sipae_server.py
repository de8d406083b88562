"""The server's side of [MS-SIPAE] (§3.3): sign-in by NTLM or Kerberos, and from then on a signature on each message.

Who a request says that it is from has to be compared with the account by whoever lets it in.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from email.utils import mktime_tz, parsedate_tz
from math import ceil, inf
from random import Random

from sipgw.auth.accounts import Account, key_of
from sipgw.auth.answer import Answer
from sipgw.auth.lockout import Lockout
from sipgw.auth.mechanism import Claim, Continue, Failed, Handshake, Mechanism, Proven
from sipgw.auth.sipae_associations import Association, AssociationLimits, Associations, FlowKey, flow_key
from sipgw.auth.sipae_buffer import signing_buffer
from sipgw.auth.sipae_endpoint import endpoint_agrees, epid_of
from sipgw.auth.sipae_handshakes import HandshakeLimits, Handshakes
from sipgw.auth.sipae_wire import (
    CARRIERS,
    REALM,
    Credentials,
    Signature,
    challenge_line,
    handshake_line,
    read_credentials,
    signature_line,
)
from sipgw.events import Flow
from sipgw.message.errors import MalformedMessage
from sipgw.message.heads import line_value
from sipgw.message.message import Request, Response
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr

_UNCHALLENGED = ("ACK", "CANCEL")  # RFC 3261 §22.1: they cannot be sent again, so they begin nothing
_UNSIGNED = (100, 401)  # of this hop alone, and for a client whose keys may not be ours any more
_INFO = ("authentication-info", "proxy-authentication-info")
_TAKEN_FOR_OURS = frozenset({*_INFO, *CARRIERS})  # the real client reads the first of these, whichever scheme it names


@dataclass(frozen=True)
class SipaeSettings:
    """Seconds, and how many. An association lasts for `lifetime`: then the next REGISTER is challenged, as the real
    client signs in anew on that alone, and `grace` later it is gone, as after `idle` without a message. `clock_skew` is
    how far a client's clock may be off; `wall_offset` added to the engine's clock gives the time of day."""

    lifetime: float = 28_800.0
    grace: float = 900.0
    idle: float = 3_600.0
    max_associations: int = 100_000
    max_per_user: int = 256
    clock_skew: float = 900.0
    wall_offset: float = 0.0
    handshakes: HandshakeLimits = field(default_factory=HandshakeLimits)


class SipaeServer:
    """`counters` gets names that start with `sipae_`."""

    def __init__(
        self,
        mechanisms: Sequence[Mechanism],
        settings: SipaeSettings,
        lockout: Lockout,
        random: Random,
        counters: Counter[str],
    ) -> None:
        self.settings = settings
        self._mechanisms = {mechanism.scheme: mechanism for mechanism in mechanisms}
        self._targets = {each.scheme.lower(): (each.scheme, each.targetname) for each in mechanisms}
        self._lockout = lockout
        self._random = random
        self._counters = counters
        kept = settings.max_associations, settings.max_per_user
        limits = AssociationLimits(settings.lifetime, settings.grace, settings.idle, *kept)
        self._associations = Associations(limits, counters)
        self._handshakes = Handshakes(settings.handshakes, counters)

    def challenges(self, status: int, now: float) -> list[str]:
        """Header lines for a 401 or 407, one for each mechanism."""
        return [challenge_line(status, *target) for target in self._targets.values()]

    def judge(self, request: Request, flow: Flow, now: float) -> Account | Answer | None:
        """The account that a request has proved, or how to answer it; None where it has no credentials for a scheme of
        ours. An answer with 401 or 407 and without header lines is one in which all schemes are to be offered."""
        if not any(carrier in request.index for carrier in CARRIERS):
            return None
        try:
            credentials = read_credentials(request, self._targets)
            return None if credentials is None else self._judge(request, credentials, flow, now)
        except MalformedMessage as error:
            return Answer(400, (), error.reason)

    def _judge(self, request: Request, credentials: Credentials, flow: Flow, now: float) -> Account | Answer:
        status = 401 if request.method == "REGISTER" else 407
        if not credentials.ours:
            return Answer(status, (), "credentials for another realm or targetname")
        if "date" in request.index and self._is_skewed(request, now):
            return Answer(403, (), "Date of the client is too far off", skewed=True)
        if not credentials.shakes:
            return self._check_request(request, credentials, flow, now, status)
        if request.method in _UNCHALLENGED:
            return Answer(status, (), f"a handshake in {request.method}")
        if not endpoint_agrees(request):
            return Answer(400, (), "+sip.instance is not made from epid")
        return self._shake(request, credentials, flow, now, status)

    def _is_skewed(self, request: Request, now: float) -> bool:
        try:
            date = parsedate_tz(request.first("date") or "")
            told = mktime_tz(date) if date is not None else None
        except (ValueError, OverflowError, TypeError, IndexError):
            told = None
        return told is not None and abs(told - now - self.settings.wall_offset) > self.settings.clock_skew

    def _shake(
        self, request: Request, credentials: Credentials, flow: Flow, now: float, status: int
    ) -> Account | Answer:
        token, version, signature = credentials.token(), credentials.version(), credentials.signature()
        handshake = self._handshake(credentials, flow, now)
        if handshake is None:
            return self._refused(status, "unknown", "no such handshake")
        step = handshake.step(token, now)
        if isinstance(step, Continue):
            opaque = credentials.opaque or self._new_opaque()
            self._handshakes.put(opaque, handshake, credentials.scheme, flow, now)
            target = self._targets[credentials.scheme.lower()]
            return Answer(status, (handshake_line(status, *target, opaque, step.token),))
        outcome = self._try(step, flow, now) if isinstance(step, Claim) else step
        if isinstance(outcome, Failed):
            uri = step.uri if isinstance(step, Claim) else ""
            return self._failed(outcome, step.name, uri, flow, now, status)
        if isinstance(outcome, Answer):
            return outcome
        association = self._associate(request, credentials, version, outcome, flow, now)
        return self._accept(request, association, signature, flow, now, status)

    def _handshake(self, credentials: Credentials, flow: Flow, now: float) -> Handshake | None:
        if credentials.opaque:
            return self._handshakes.take(credentials.opaque, credentials.scheme, flow, now)
        return self._mechanisms[credentials.scheme].begin()

    def _new_opaque(self) -> str:
        """Eight hexadecimal digits, as Front Ends have them."""
        while (opaque := f"{self._random.getrandbits(32):08X}") in self._associations or opaque in self._handshakes:
            pass
        return opaque

    def _try(self, claim: Claim, flow: Flow, now: float) -> Proven | Failed | Answer:
        wait = self._lockout.wait(key_of(claim.name), flow.host, now)
        if wait:
            return Answer(403, (f"Retry-After: {ceil(wait)}",), "too many failed sign-ins", claim.name)
        barred, outcome = self._lockout.bars(claim.uri, flow.host, now), claim.judge()
        if barred and isinstance(outcome, Proven):
            return Failed("too many failed sign-ins by the names of this account", claim.name)
        return outcome

    def _failed(self, failed: Failed, name: str, uri: str, flow: Flow, now: float, status: int) -> Answer:
        self._counters["sipae_failed"] += 1
        if failed.guessed:
            self._lockout.failed(key_of(name), uri, flow.host, now)
        status = 403 if failed.skewed else status
        return Answer(status, (), failed.reason, failed.name, failed=True, skewed=failed.skewed)

    def _associate(
        self, request: Request, credentials: Credentials, version: int, proven: Proven, flow: Flow, now: float
    ) -> Association:
        return Association(
            credentials.opaque or self._new_opaque(),
            credentials.scheme,
            credentials.targetname,
            version,
            credentials.proxy,
            proven.account,
            proven.name,
            epid_of(request.first("from") or ""),
            flow_key(flow),
            proven.session,
            now,
            now,
            proven.token,
            inf if proven.lasts is None else now + proven.lasts,
        )

    def _accept(
        self,
        request: Request,
        association: Association,
        signature: Signature | None,
        flow: Flow,
        now: float,
        status: int,
    ) -> Account | Answer:
        """The end of a handshake, which from version 4 on is signed itself: but not by who has to see our last token
        first."""
        if association.version >= 4 and (signature is not None or not association.token):
            if signature is None or not _is_signed(request, association, signature):
                return self._refused(status, "bad_signature", "a bad signature in a handshake", association.user, True)
            association.window.take(signature.number)
        if not association.account.enabled:
            return Answer(403, (), "the account is disabled", association.user)
        self._lockout.succeeded(key_of(association.name), association.user, flow.host)
        self._associations.add(association, now)
        self._counters["sipae_signed_in"] += 1
        return association.account

    def _check_request(
        self, request: Request, credentials: Credentials, flow: Flow, now: float, status: int
    ) -> Account | Answer:
        """What is refused leaves the association as it is: anybody can send it."""
        signature = credentials.signature()
        association = self._association(credentials, flow, now)
        if association is None or not _is_of_endpoint(request, association.epid):
            return self._without_association(request, flow, status)
        if signature is None or not _is_signed(request, association, signature):
            return self._refused(status, "bad_signature", "a bad signature", association.user, True)
        if not association.window.take(signature.number):
            return self._refused(status, "replayed", "a request that was sent before", association.user)
        self._associations.use(association, now)
        if request.method == "REGISTER" and self._associations.is_due(association, now):
            return Answer(status, (), "the security association has come to its end", association.user)
        return association.account

    def _without_association(self, request: Request, flow: Flow, status: int) -> Answer:
        """The real client drops an unsigned 407 while it believes in its keys, and answers a 401 for ever. It signs in
        anew by itself only with a REGISTER or when its connection is gone."""
        answer = self._refused(status, "unknown", "no such security association")
        lost = request.method != "REGISTER" and not self._associations.of_flow(flow)
        return replace(answer, close=True) if lost else answer

    def _association(self, credentials: Credentials, flow: Flow, now: float) -> Association | None:
        """The one that a message names, where it is that of this flow, scheme and spelling of the targetname. It lasts
        for hours: it ends when the account that was proved has been disabled or removed meanwhile, or is another."""
        found = self._associations.find(credentials.opaque, now)
        if found is None or found.flow != flow_key(flow):
            return None
        if (found.scheme, found.targetname) != (credentials.scheme, credentials.targetname):
            return None
        if self._mechanisms[found.scheme].holds(found.name, found.account):
            return found
        self._associations.drop(found)
        self._counters["sipae_ended"] += 1
        return None

    def _refused(self, status: int, counted: str, reason: str, name: str = "", failed: bool = False) -> Answer:
        self._counters[f"sipae_{counted}"] += 1
        return Answer(status, (), reason, name, failed)

    def check_response(self, response: Response, flow: Flow, now: float) -> bool:
        """False for a response that is not to be listened to: with a bad signature, sent before, or without one from a
        client that signs its responses."""
        associations = tuple(self._associations.of_flow(flow))
        if not associations:
            return True
        refused = self._fault(response, associations, flow, now)
        if refused:
            self._counters[f"sipae_{refused}"] += 1
        return not refused

    def _fault(self, response: Response, associations: Sequence[Association], flow: Flow, now: float) -> str:
        try:
            credentials = read_credentials(response, self._targets)
            signature = credentials.signature() if credentials is not None else None
        except MalformedMessage:
            return "bad_signature"
        own = credentials if credentials is not None and credentials.ours else None
        association = self._association(own, flow, now) if own is not None else None
        if association is None or signature is None:  # which proves as little as none does
            sender = _of_user(associations, response.first("to") or "")
            return "unsigned" if sender is not None and sender.signs_responses else ""
        if not _is_signed(response, association, signature):
            return "bad_signature"
        association.signs_responses = True
        self._associations.use(association, now)
        fresh = association.window.take(signature.number)
        return "" if fresh or not flow.reliable else "replayed"  # on UDP a 2xx is repeated (RFC 3261 §13.3.1.4)

    def tell_flows(self, tell: Callable[[FlowKey, bool], None]) -> None:
        """See `Associations.tell`."""
        self._associations.tell = tell

    def signs_for(self, to: Flow) -> bool:
        """Whether a client has signed in on this flow."""
        return bool(self._associations.of_flow(to))

    def sign(self, message: Request | Response, to: Flow) -> None:
        """Sign what goes to a client that has signed in on this flow; all else stays as it is."""
        associations = self._associations.of_flow(to)
        if not associations:
            return
        if not _TAKEN_FOR_OURS.isdisjoint(message.names):
            _drop_signatures(message)
        if isinstance(message, Response) and message.status in _UNSIGNED:
            return
        association = associations[0]
        if len(associations) > 1:
            found = _of_user(associations, _header(message, "from" if isinstance(message, Response) else "to"))
            if found is None:
                return
            association = found
        self._add_signature(message, association)

    def _add_signature(self, message: Request | Response, association: Association) -> None:
        rand, num = f"{self._random.getrandbits(32):08X}", str(association.snum + 1)
        scheme, targetname = association.scheme, association.targetname
        data = signing_buffer(message, scheme, rand, num, REALM, targetname, association.version)
        if data is None:
            self._counters["sipae_not_signable"] += 1
            return
        association.snum += 1
        token, association.token = association.token, b""
        signature = association.session.sign(data)
        line = signature_line(scheme, targetname, association.opaque, signature, rand, num, association.proxy, token)
        message.add(line, _INFO[association.proxy])

    def connection_lost(self, flow: Flow) -> None:
        """Nobody can use what was agreed on over it."""
        self._associations.drop_flow(flow)

    def take_over(self, other: "SipaeServer") -> None:
        """Go on with who has signed in, after a change of configuration."""
        self._associations.take_over(other._associations)
        self._handshakes.take_over(other._handshakes)

    def sizes(self) -> dict[str, int]:
        """How much is kept in mind."""
        return {"associations": len(self._associations), "handshakes": len(self._handshakes)}


def _is_of_endpoint(request: Request, epid: str) -> bool:
    """In a dialog a client may leave its epid out."""
    value = request.first("from") or ""
    return value.endswith(f";epid={epid}") or epid_of(value) in ("", epid)


def _is_signed(message: Request | Response, association: Association, signature: Signature) -> bool:
    data = signing_buffer(
        message,
        association.scheme,
        signature.rand,
        signature.num,
        REALM,
        association.targetname,
        association.version,
    )
    return data is not None and association.session.verify(data, signature.value)


def _of_user(associations: Sequence[Association], address: str) -> Association | None:
    """The association of the user, and if it can be of the endpoint, in a From or To value; the only one in any case.
    None when there are several and none is the user's."""
    if len(associations) == 1:
        return associations[0]
    try:
        name = parse_name_addr(address)
        user = f"sip:{parse_uri(name.uri).aor}"
    except MalformedMessage:
        return None
    found = None
    for association in associations:
        if association.user == user:
            found = association
            if association.epid == name.params.get("epid"):
                break
    return found


def _header(message: Request | Response, name: str) -> str:
    """A header of a message whose index may be out of date."""
    return line_value(message.lines[message.names.index(name)]) if name in message.names else ""


def _drop_signatures(message: Request | Response) -> None:
    """Those of others, and one of ours where the same message goes out once more. By any of them, whoever writes to a
    client could have it look at that in place of our signature, and break off."""
    kept = [pair for pair in zip(message.lines, message.names, strict=True) if pair[1] not in _TAKEN_FOR_OURS]
    message.lines[:] = [line for line, _ in kept]
    message.names[:] = [name for _, name in kept]
    message.reindex()
