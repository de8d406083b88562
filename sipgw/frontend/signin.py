"""REGISTER as a Front End takes it ([MS-SIPREGE]): the checks before and the headers after the registrar's work."""

from collections.abc import Callable
from email.utils import formatdate

from sipgw.core.failures import NO_ENDPOINT_ID, NO_GRUU, WRONG_EVENT, Failure
from sipgw.core.gruu import microsoft_gruu, public_gruu
from sipgw.core.location import Binding, LocationService
from sipgw.core.registrar import Change
from sipgw.events import Flow
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


class Granting:
    """What the 200 to a REGISTER says: what RFC 3261 §10.3 step 8 asks for, and what a Lync client needs to go on.

    `new_nonce` gives 12 hex digits that were not used before. `service_route` are URIs (RFC 3608). `wall_offset` added
    to the engine's clock makes the time of day, None leaves Date out.
    """

    def __init__(
        self,
        location: LocationService,
        new_nonce: Callable[[], str],
        service_route: tuple[str, ...] = (),
        wall_offset: float | None = None,
    ) -> None:
        self._location = location
        self._new_nonce = new_nonce
        self._service_route = ", ".join(f"<{uri}>" for uri in service_route)
        self._wall_offset = wall_offset

    def contacts(self, request: Request, bindings: list[Binding], now: float) -> list[str]:
        """A Contact line for every binding, with GRUUs of RFC 5627 where the client takes them."""
        gruu = "gruu" in request.tokens("supported")
        return [self._contact(binding, gruu, now) for binding in bindings]

    def _contact(self, binding: Binding, gruu: bool, now: float) -> str:
        parts = [f"Contact: <{binding.contact}>;expires={max(0, round(binding.expires_at - now))}"]
        if binding.q != 1.0:
            parts.append(f"q={binding.q:g}")
        if binding.instance:
            parts.append(f"+sip.instance={quote(f'<{binding.instance}>')}")
        if binding.reg_id:
            parts.append(f"reg-id={binding.reg_id}")
        if binding.identity:
            parts.append(f'gruu="{microsoft_gruu(binding.aor, binding.identity)}"')
        if gruu and binding.instance:
            parts.append(f'pub-gruu="{public_gruu(binding.aor, binding.instance)}"')
            parts.append(f'temp-gruu="{self._location.temporary_gruu(binding, self._new_nonce())}"')
        return ";".join(parts)

    def headers(self, request: Request, change: Change, granted: int, flow: Flow, now: float) -> list[str]:
        """All other header lines.

        `granted` is the interval of the binding that this request made, 0 when it removed one. pidgin-sipe needs
        Expires as a header of its own and compares each Supported line as a whole, so the tags are not joined into a
        list.
        """
        lines = [
            f"Expires: {granted}",
            f"Allow-Events: {','.join(EVENT_PACKAGES)}",
            "Supported: msrtc-event-categories",
            "Supported: adhoclist",
            "Server: RTC/4.0",  # clients choose their dialect by this: Lync Server 2010
        ]
        if self._wall_offset is not None:
            lines.append(f"Date: {formatdate(now + self._wall_offset, usegmt=True)}")
        if self._service_route:
            lines.append(f"Service-Route: {self._service_route}")
        if "ms-keep-alive" in request.index:
            lines.append(f"ms-keep-alive: UAS; tcp=no; hop-hop=yes; end-end=no; timeout={KEEP_ALIVE}")
        if change.fresh:  # on a refresh it would tell the client that its dialogs are dead ([MS-SIPREGE] §3.1.1.5.1)
            lines.append('presence-state: register-action="added"')
        return lines + _extensions(request, change, flow)


def _extensions(request: Request, change: Change, flow: Flow) -> list[str]:
    """What clients of RFC 3327 and RFC 5626 look for. A client that does not know Path is not shown it."""
    lines = []
    if "path" in request.index and "path" in request.tokens("supported"):
        lines.append(f"Path: {', '.join(request.values('path'))}")
    if any(binding.reg_id for binding in change.added):
        lines.append("Require: outbound")
        if flow.reliable and not change.added[0].path:  # the keep-alive is with the first hop, so that tells its own
            lines.append(f"Flow-Timer: {KEEP_ALIVE}")
    return lines
