"""What the gateway decided where its log says nothing, read from what came in and what went out."""

import re
from collections.abc import Iterable

from sipgw.events import Send
from sipgw.observability.trace_ring import TracedCall, Turn

_TO_TAG = re.compile(rb"(?im)^(?:to|t)[ \t]*:[^\r\n]*;[ \t]*tag[ \t]*=")
_CSEQ = re.compile(rb"(?im)^cseq[ \t]*:[ \t]*(\d+)[ \t]+(\S+)")
_VIA = re.compile(rb"(?im)^(?:via|v)[ \t]*:([^\r\n]*)")
_ROUTE = re.compile(rb"(?im)^route[ \t]*:")
DROPPED_ACK = "dropped: an ACK gets no answer, and its route set is not, or no longer, valid"
_CANCEL = "answered here, and carried to whatever the request was sent to"
_QUIET = "nothing is sent for now: a copy of what has been seen, or it waits for a name or for the store"


def decision(turn: Turn) -> str:
    """In a few words; "" where the messages speak for themselves."""
    data = turn.data
    if data.startswith(b"SIP/"):
        return _of_response(turn)
    method = data.partition(b" ")[0]
    onward = [str(one.to) for one in turn.outputs if isinstance(one, Send) and one.data.startswith(method + b" ")]
    if onward:
        how = "inside its dialog, by its route set" if _TO_TAG.search(data) else "sent on"
        return f"{how}: to {', '.join(onward)}"
    if method == b"ACK":
        return "taken: the refusal has arrived"
    if not any(isinstance(one, Send) for one in turn.outputs):
        return _QUIET
    if method == b"CANCEL":
        return _CANCEL
    final = next((one.data for one in turn.outputs if isinstance(one, Send) and _is_final(one.data)), None)
    return f"answered here: {_status(final)}" if final is not None else ""


def _of_response(turn: Turn) -> str:
    if turn.outputs or turn.data[8:9] == b"1":
        return ""
    if not is_for_us(turn.data):
        return "kept: other targets may have a better answer, or it is a copy"
    cseq = _CSEQ.search(turn.data)
    method = cseq[2].decode("latin-1") if cseq is not None else "request"
    if method != "OPTIONS":
        return f"taken: the {method} that the gateway has sent itself is answered"
    if is_busy(turn.data):
        return "probe answered: the server takes no calls now"
    return "probe answered: the server works"


def is_for_us(response: bytes) -> bool:
    """Whether a response answers a request of our own: it has no Via but ours (RFC 3261 §18.1.2)."""
    vias = _VIA.findall(response.partition(b"\r\n\r\n")[0])
    return len(vias) == 1 and b"," not in vias[0]


def is_busy(response: bytes) -> bool:
    """A probe with this answer takes the server for down; any other final one shows that it works."""
    return response.startswith(b"SIP/2.0 503")


def is_probe(call: TracedCall) -> bool:
    """Whether it is an OPTIONS that the gateway has asked a pool's server with, and not one that somebody has sent."""
    first = next(call.turns)
    return not first.data and any(isinstance(one, Send) and one.data.startswith(b"OPTIONS ") for one in first.outputs)


def dropped_acks(turns: Iterable[Turn]) -> frozenset[int]:
    """Which turns are ACKs that could not be brought to anybody: inside a dialog, along a Route, and to no refusal, as
    those end here."""
    refused: set[bytes] = set()
    found = []
    for at, turn in enumerate(turns):
        if _is_lost(turn.data) and not turn.outputs and _number(turn.data) not in refused:
            found.append(at)
        for output in turn.outputs:
            if isinstance(output, Send) and _is_final(output.data) and output.data[8:9] >= b"3":
                refused.add(_number(output.data))
    return frozenset(found)


def _is_lost(data: bytes) -> bool:
    """Whether it is an ACK that should have gone on, by a Route inside a dialog."""
    return data.startswith(b"ACK ") and _ROUTE.search(data) is not None and _TO_TAG.search(data) is not None


def _number(data: bytes) -> bytes:
    """Of CSeq."""
    found = _CSEQ.search(data)
    return found[1] if found is not None else b""


def _is_final(data: bytes) -> bool:
    return data.startswith(b"SIP/2.0 ") and data[8:9] != b"1"


def _status(data: bytes) -> str:
    return data[8 : data.find(b"\r\n")].decode("utf-8", "replace")
