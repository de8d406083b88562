"""REGISTER as a Front End takes it ([MS-SIPREGE]): the checks before and the headers after the registrar's work."""

from sipgw.core.failures import NO_ENDPOINT_ID, NO_GRUU, WRONG_EVENT, Failure
from sipgw.core.location import Binding, gruu_of
from sipgw.message.message import Request
from sipgw.message.values import parse_name_addr, quote

EVENT_PACKAGES = (
    "vnd-microsoft-provisioning",
    "vnd-microsoft-roaming-contacts",
    "vnd-microsoft-roaming-ACL",
    "presence",
    "presence.wpending",
    "vnd-microsoft-roaming-self",
    "vnd-microsoft-provisioning-v2",
)
KEEP_ALIVE = 300  # seconds between a client's double CRLFs; well inside the idle limits of NAT boxes and of ourselves


def check(request: Request) -> Failure | None:
    """What a Front End refuses. Only a REGISTER that carries Event is a Lync client's; a plain phone's passes."""
    supported = request.tokens("supported")
    event = request.first("event")
    if "msrtc-event-categories" in supported and "gruu-10" not in supported:
        return NO_GRUU
    if event is None:
        return None
    if event.partition(";")[0].strip().lower() != "registration":
        return WRONG_EVENT
    has_epid = bool(parse_name_addr(request.first("from") or "").params.get("epid"))
    has_instance = any("+sip.instance" in value.lower() for value in request.lines_of("contact"))
    return None if has_epid or has_instance else NO_ENDPOINT_ID


def answer_headers(request: Request, bindings: list[Binding], granted: int, fresh: bool, now: float) -> list[str]:
    """Header lines of the 200: what RFC 3261 §10.3 step 8 asks for, and what a Lync client needs to go on.

    `granted` is the interval of the binding that this request made, 0 when it removed one. pidgin-sipe needs Expires as
    a header of its own and compares each Supported line as a whole, so the tags are not joined into a list.
    """
    lines = [_contact_line(binding, now) for binding in bindings]
    lines += [
        f"Expires: {granted}",
        f"Allow-Events: {','.join(EVENT_PACKAGES)}",
        "Supported: msrtc-event-categories",
        "Supported: adhoclist",
        "Server: RTC/4.0",  # clients choose their dialect by this: Lync Server 2010
    ]
    if "ms-keep-alive" in request.index:
        lines.append(f"ms-keep-alive: UAS; tcp=no; hop-hop=yes; end-end=no; timeout={KEEP_ALIVE}")
    if fresh:  # on a refresh it would tell the client that its dialogs are dead ([MS-SIPREGE] §3.1.1.5.1)
        lines.append('presence-state: register-action="added"')
    return lines


def _contact_line(binding: Binding, now: float) -> str:
    parts = [f"Contact: <{binding.contact}>;expires={max(0, round(binding.expires_at - now))}"]
    if binding.q != 1.0:
        parts.append(f"q={binding.q:g}")
    if binding.instance:
        parts.append(f"+sip.instance={quote(f'<{binding.instance}>')}")
    if binding.reg_id:
        parts.append(f"reg-id={binding.reg_id}")
    if binding.identity:
        parts.append(f'gruu="{gruu_of(binding.aor, binding.identity)}"')
    return ";".join(parts)
