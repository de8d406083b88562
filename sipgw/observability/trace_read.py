"""A traced call for readers: its steps in order, what it was about, and whether it failed.

Everything that is told here has lost its secrets.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sipgw.events import Flow, Hop, Listener, Log, Send
from sipgw.message.errors import MalformedMessage
from sipgw.message.message import Request
from sipgw.message.parser import parse_message
from sipgw.message.uri import parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.observability.ladder import label
from sipgw.observability.log import hide_secrets
from sipgw.observability.redaction import is_spoken, redacted
from sipgw.observability.trace_decisions import DROPPED_ACK, decision, dropped_acks, is_busy, is_for_us, is_probe
from sipgw.observability.trace_ring import TracedCall, Turn

_STATUS = re.compile(rb"SIP/2\.0 (\d{3}) ([^\r\n]*)")
_CSEQ = re.compile(rb"(?im)^cseq[ \t]*:[ \t]*(\d+[ \t]+\S+)")
_DIAGNOSTICS = re.compile(rb"(?im)^(?:ms-diagnostics|warning)[ \t]*:[ \t]*([^\r\n]*)")
_HARMLESS = frozenset((401, 407, 423, 487))  # a challenge, a try with a longer interval, a call that was cancelled


@dataclass(frozen=True)
class Step:
    """A message, `kind` "in" or "out", or a "decision", in the `turn` with this number. `at` by the wall clock.
    `local` and `peer` are addresses as `tcp:127.0.0.1:5060`, `local` "" where it is not known; `connection` is its id,
    0 for a datagram. `data` has lost its secrets, `label` is it in a few words. A decision has `level` and `label`, and
    `fields` with what it was about."""

    turn: int
    at: float
    kind: str
    label: str
    local: str = ""
    peer: str = ""
    connection: int = 0
    data: bytes = b""
    level: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What a call was about. `status` is the final response to its first request, 0 for none; `failure` is what went
    wrong first, "" for nothing; `diagnostics` is the id in ms-diagnostics, 0 without one."""

    call_id: str
    began: float
    touched: float
    method: str
    uri: str
    sender: str
    receiver: str
    status: int
    reason: str
    failure: str
    diagnostics: int
    matched: str
    messages: int


@dataclass(frozen=True)
class Lens:
    """How calls are looked at: `offset` added to the engine's clock gives the wall's; `bodies` shows what people say;
    `listeners` are ours."""

    offset: float
    bodies: bool
    listeners: tuple[Listener, ...] = ()

    def local(self, peer: Flow | Hop) -> str:
        """Our end of the way to a peer, "" where the system chose it."""
        if isinstance(peer, Flow) and peer.listener is not None:
            return str(peer.listener)
        if peer.transport != "UDP":
            return ""
        ipv6 = ":" in peer.host
        same = (one for one in self.listeners if one.transport == "UDP" and (":" in one.host) == ipv6)
        return str(next(same, ""))

    def shown(self, data: bytes) -> bytes:
        """A message as others may see it."""
        return redacted(data, self.bodies)

    def message(self, number: int, at: float, kind: str, data: bytes, peer: Flow | Hop) -> Step:
        connection = peer.cid if isinstance(peer, Flow) else 0
        what = label(data, speech=self.bodies or not is_spoken(data))
        return Step(number, at + self.offset, kind, what, self.local(peer), str(peer), connection, self.shown(data))


def steps_of(call: TracedCall, lens: Lens) -> Iterator[Step]:
    """In the order in which things happened."""
    dropped = dropped_acks(call.turns)
    for at, (number, turn) in enumerate(zip(call.numbers, call.turns, strict=True)):
        yield from _turn(number, turn, lens, at in dropped)


def _turn(number: int, turn: Turn, lens: Lens, is_dropped: bool) -> Iterator[Step]:
    at = turn.now + lens.offset
    if turn.data and turn.flow is not None:
        yield lens.message(number, turn.now, "in", turn.data, turn.flow)
        if is_dropped:
            yield Step(number, at, "decision", DROPPED_ACK, level="warning")
        elif not any(type(one) is Log for one in turn.outputs) and (said := decision(turn)):
            yield Step(number, at, "decision", said, level="info")
    for output in turn.outputs:
        if isinstance(output, Send):
            yield lens.message(number, turn.now, "out", output.data, output.to)
        elif isinstance(output, Log):
            fields = {name: str(value) for name, value in hide_secrets(None, "", dict(output.fields)).items()}
            yield Step(number, at, "decision", told(output.event, fields), level=output.level, fields=fields)


def told(event: str, fields: dict[str, str]) -> str:
    """A line of the log as the decision that it is."""
    if event == "forwarded":
        return f"matched {fields.get('matched', '')}; sent on to {fields.get('to', '')}"
    if event == "request failed":
        matched = f"matched {fields['matched']}; " if fields.get("matched") else ""
        return f"{matched}refused: {_refusal(fields)}"
    rest = ", ".join(f"{name} {value}" for name, value in fields.items() if name != "call_id" and value)
    return f"{event}: {rest}" if rest else event


_KNOWN = frozenset(("method", "uri", "from", "call_id", "source", "status", "reason", "matched"))


def _refusal(fields: dict[str, str]) -> str:
    details = "; ".join(f"{name} {value}" for name, value in fields.items() if name not in _KNOWN)
    text = f"{fields.get('status', '')} {fields.get('reason', '')}"
    return f"{text} ({details})" if details else text


# what a call was about


def summary_of(call: TracedCall, lens: Lens) -> Summary:
    first = next(call.turns)
    request = first_request(call)
    status, reason = _final(call, request.method.encode() if request is not None else b"")
    failure, diagnostics = failure_of(call)
    return Summary(
        call_id=call.call_id.decode("latin-1"),
        began=first.now + lens.offset,
        touched=call.touched + lens.offset,
        method=request.method if request is not None else "",
        uri=request.uri if request is not None else "",
        sender=address_in(request, "from"),
        receiver=address_in(request, "to"),
        status=status,
        reason=reason,
        failure=failure,
        diagnostics=diagnostics,
        matched=matched_in(call),
        messages=sum(1 for turn in call.turns for _ in _messages(turn)),
    )


def _messages(turn: Turn) -> Iterator[bytes]:
    if turn.data:
        yield turn.data
    yield from (output.data for output in turn.outputs if isinstance(output, Send))


def first_request(call: TracedCall) -> Request | None:
    """The first request that is here, None where there is none that can be read."""
    for turn in call.turns:
        for data in _messages(turn):
            if not data.startswith(b"SIP/"):
                try:
                    message = parse_message(data)
                except MalformedMessage:
                    continue
                if isinstance(message, Request):
                    return message
    return None


def address_in(request: Request | None, name: str) -> str:
    """The address in From or To as `user@host` in lower case, "" where there is none."""
    if request is None:
        return ""
    try:
        return parse_uri(parse_name_addr(request.first(name) or "").uri).aor.lower()
    except MalformedMessage:
        return ""


def matched_in(call: TracedCall) -> str:
    """What the request was for, as the log has it: `endpoint sip:...`, `user sip:...`."""
    for turn in call.turns:
        for output in turn.outputs:
            if isinstance(output, Log) and output.fields.get("matched"):
                return str(output.fields["matched"])
    return ""


def _responses(call: TracedCall) -> Iterator[tuple[bytes, int, str, bytes]]:
    """CSeq, status, reason and the whole of each final response that went out, or came in for a request of our own."""
    for turn in call.turns:
        found = [output.data for output in turn.outputs if isinstance(output, Send)]
        if turn.data.startswith(b"SIP/2.0 ") and is_for_us(turn.data):
            found.insert(0, turn.data)
        for data in found:
            if data.startswith(b"SIP/2.0 ") and data[8:9] != b"1":
                status, cseq = _STATUS.match(data), _CSEQ.search(data)
                if status is not None:
                    told = cseq[1] if cseq is not None else b""
                    yield told, int(status[1]), status[2].decode("utf-8", "replace"), data


def _final(call: TracedCall, method: bytes) -> tuple[int, str]:
    """The final response to the first request, the last one where it was asked again with credentials."""
    found = 0, ""
    for cseq, status, reason, _ in _responses(call):
        method = method or cseq.partition(b" ")[2]
        if cseq.partition(b" ")[2] == method:
            found = status, reason
            if status not in _HARMLESS:
                break
    return found


def failure_of(call: TracedCall) -> tuple[str, int]:
    """What went wrong first and the id of its ms-diagnostics; ("", 0) where nothing did."""
    if is_probe(call):
        return _failure_of_probe(call), 0
    dropped = dropped_acks(call.turns)
    for at, turn in enumerate(call.turns):
        if at in dropped:
            return DROPPED_ACK, 0
        for output in turn.outputs:
            if isinstance(output, Log) and output.event in ("request failed", "sign-in failed"):
                fields = {name: str(value) for name, value in hide_secrets(None, "", dict(output.fields)).items()}
                if output.event == "sign-in failed":
                    return told(output.event, fields), 0
                return _refusal(fields), _id(fields.get("reason", "").encode())
            if isinstance(output, Send):
                failed = _failed(output.data)
                if failed is not None:
                    return failed
    return "", 0


def _failure_of_probe(call: TracedCall) -> str:
    """Of a server it says nothing that it turns OPTIONS down: it is there. 503 does, and so does no answer."""
    for turn in call.turns:
        if turn.data.startswith(b"SIP/") and is_busy(turn.data):
            return "probe failed: " + turn.data[8 : turn.data.find(b"\r\n")].decode("utf-8", "replace")
        for output in turn.outputs:
            if isinstance(output, Log) and output.event == "probe failed":
                return f"probe failed: {output.fields['reason']}"
    return ""


def _failed(data: bytes) -> tuple[str, int] | None:
    status = _STATUS.match(data)
    if status is None or int(status[1]) < 400 or int(status[1]) in _HARMLESS:
        return None
    said = _DIAGNOSTICS.search(data)
    text = f"{int(status[1])} {status[2].decode('utf-8', 'replace')}"
    if said is None:
        return text, 0
    return f"{text}: {said[1].decode('utf-8', 'replace')}", _id(said[1])


def _id(reason: bytes) -> int:
    """The number that ms-diagnostics begins with; Warning has one of three digits there."""
    found = re.match(rb"(\d{4,5})\b", reason)
    return int(found[1]) if found is not None else 0


Filter = Callable[[TracedCall], bool]


def is_of_user(address: str) -> Filter:
    """Calls in which From or To is this address, `sip:` or not."""
    wanted = address.lower().removeprefix("sip:")

    def matches(call: TracedCall) -> bool:
        request = first_request(call)
        return wanted in (address_in(request, "from"), address_in(request, "to"))

    return matches


def is_of_endpoint(address: str) -> Filter:
    """Calls to this endpoint, `sip:` or not."""
    wanted = address.lower().removeprefix("sip:")

    def matches(call: TracedCall) -> bool:
        if matched_in(call).lower() == f"endpoint sip:{wanted}":
            return True
        request = first_request(call)
        return request is not None and wanted in (_aor(request.uri), address_in(request, "to"))

    return matches


def _aor(uri: str) -> str:
    try:
        return parse_uri(uri).aor.lower()
    except MalformedMessage:
        return ""


def is_call(call: TracedCall) -> bool:
    """Of somebody, and no probe of ours."""
    return not is_probe(call)


def has_failed(call: TracedCall) -> bool:
    return bool(failure_of(call)[0])
