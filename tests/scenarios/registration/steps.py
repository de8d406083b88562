"""The steps that registration scenarios are made of."""

import re

from sipgw.message import Request, Response
from tests.harness import DOMAIN, Party, reply

BOB = f"sip:bob@{DOMAIN}"
LYNC = ("Event: registration", "Supported: gruu-10, adhoclist, msrtc-event-categories")
INSTANCE = "urn:uuid:00000000-0000-1000-8000-00000000000"


def registers(
    party: Party,
    *lines: str,
    cseq: int = 0,
    call_id: str = "",
    status: int = 200,
    to: str = "",
    uri: str = f"sip:{DOMAIN}",
) -> Response:
    """Send a REGISTER with these lines and take its answer. Without `cseq` it comes after all before it."""
    party._serial += 1
    number, name = cseq or 100 + party._serial, call_id or "r"
    party >> party.request("REGISTER", uri, *lines, to=to or party.uri, cseq=number, call_id=name)
    answer: Response = party << status
    return answer


def refused(
    party: Party,
    *lines: str,
    status: int,
    because: str = "",
    cseq: int = 0,
    call_id: str = "",
    to: str = "",
    uri: str = f"sip:{DOMAIN}",
) -> Response:
    """A REGISTER that changes nothing and says why."""
    before = party.world.engine.sizes().bindings
    answer = registers(party, *lines, status=status, cseq=cseq, call_id=call_id, to=to, uri=uri)
    assert party.world.engine.sizes().bindings == before
    assert because in (answer.first("warning") or answer.first("ms-diagnostics") or "")
    return answer


def contact(number: int = 1, *params: str) -> str:
    return ";".join([f"Contact: <sip:desk{number}@198.51.100.30>", *params])


def flow(instance: int, reg_id: int | None = None, uri: str = "sip:bob@198.51.100.30", *params: str) -> str:
    """A Contact as a client of RFC 5626 writes it."""
    tail = [] if reg_id is None else [f"reg-id={reg_id}"]
    return ";".join([f"Contact: <{uri}>", f'+sip.instance="<{INSTANCE}{instance}>"', *tail, *params])


def uris(party: Party) -> list[str]:
    """The bound contacts, in the order in which a query shows them (§10.2.3)."""
    answer = registers(party, call_id="query")
    return [value.partition("<")[2].partition(">")[0] for value in answer.values("contact")]


def reaches(caller: Party, uri: str, desk: Party, *headers: str) -> Request:
    """A MESSAGE to a URI comes out at one desk, and its answer comes back."""
    caller >> caller.request("MESSAGE", uri, *headers)
    message: Request = desk << "MESSAGE"
    desk >> reply(message, 200)
    caller << 200
    desk.nothing()
    return message


def misses(caller: Party, uri: str, status: int) -> Response:
    """A MESSAGE to a URI is answered by the gateway."""
    caller >> caller.request("MESSAGE", uri)
    answer: Response = caller << status
    return answer


def param(answer: Response, name: str, at: int = 0) -> str:
    """A quoted parameter of a Contact of a 200."""
    found = re.search(rf';{re.escape(name)}="([^"]*)"', answer.values("contact")[at])
    assert found, f"no {name} in {answer.values('contact')}"
    return found[1]
