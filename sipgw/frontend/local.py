"""The requests that this server answers itself: REGISTER, a user's SUBSCRIBE and SERVICE to itself, OPTIONS to us."""

from typing import TYPE_CHECKING

from sipgw.core import registrar
from sipgw.core.validation import check_require
from sipgw.events import Listener
from sipgw.frontend import notifications
from sipgw.frontend.notifier import PIGGYBACK, Notifier
from sipgw.frontend.registration import Registration
from sipgw.frontend.signin import EVENT_PACKAGES
from sipgw.message.build import response_to
from sipgw.message.message import Request
from sipgw.message.uri import SipUri, parse_uri
from sipgw.message.values import parse_name_addr
from sipgw.registry import Registry
from sipgw.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from sipgw.core.proxy import Proxy

ALLOWED = "REGISTER, SUBSCRIBE, SERVICE, OPTIONS"
OPEN = ("SUBSCRIBE", "SERVICE", "OPTIONS")
EXTENSIONS = registrar.EXTENSIONS | {"adhoclist", "categorylist", "ms-benotify", PIGGYBACK}
CAPABILITIES = (  # §11.2
    f"Allow: {ALLOWED}",
    "Accept: application/sdp",
    "Accept-Encoding: identity",
    "Accept-Language: en",
    f"Supported: {', '.join(sorted(registrar.EXTENSIONS))}",
)
MAX_SUBSCRIPTION = 7200  # seconds
_DOCUMENT = "application/{}+xml"


class FrontEnd:
    def __init__(self, proxy: "Proxy", registration: Registration, registry: Registry) -> None:
        self._proxy = proxy
        self._registration = registration
        self._registry = registry
        self._notifier = Notifier(proxy)

    def handle(self, transaction: ServerTransaction, now: float) -> None:
        """Answer a request that was routed to this server. Raises MalformedMessage or Refused."""
        method = transaction.method
        if method == "REGISTER":
            self._registration.handle(transaction, now)
        elif method in OPEN:
            check_require(transaction.request, EXTENSIONS)
            self._answer(transaction, method, now)
        else:
            self._proxy.answer(transaction, 405, now, (f"Allow: {ALLOWED}",))

    def _answer(self, transaction: ServerTransaction, method: str, now: float) -> None:
        if method == "SUBSCRIBE":
            self._subscribe(transaction, now)
        elif method == "SERVICE":
            self._proxy.answer(transaction, 200, now)  # publications are taken and not kept: there is no presence here
        else:
            self._proxy.answer(transaction, 200, now, CAPABILITIES)

    def _subscribe(self, transaction: ServerTransaction, now: float) -> None:
        """A subscription to oneself. The first notification rides on the 200 where the client takes it there
        (ms-piggyback-first-notify), else a NOTIFY follows.

        pidgin-sipe starts group chat only when it has processed the provisioning document.
        """
        request = transaction.request
        package = (request.first("event") or "").partition(";")[0].strip()
        if package.lower() not in {known.lower() for known in EVENT_PACKAGES}:
            self._proxy.answer(transaction, 489, now, (f"Allow-Events: {','.join(EVENT_PACKAGES)}",))
            return
        expires = _expires(request)
        body, content_type = self._document(request, package.lower())
        contact = f"Contact: <{self._contact(transaction.flow.listener, transaction.flow.transport)}>"
        routes = [f"Record-Route: {value}" for value in request.values("record-route")]  # RFC 3261 §12.1.1
        headers = [*routes, contact, f"Expires: {expires}"]
        if self._notifier.is_owed(request):
            response = response_to(request, 200, to_tag=self._notifier.new_tag(), headers=headers)
            transaction.respond(response, now)
            state = f"active;expires={expires}" if expires else "terminated;reason=timeout"
            notice = [contact, f"Event: {request.first('event')}", f"Subscription-State: {state}"]
            notice += [f"Content-Type: {content_type}"] if body else []
            self._notifier.notify(transaction, request, response, notice, body, now)
            return
        state = f"active;expires={expires}" if expires else "terminated;expires=0"
        headers += [f"Event: {package}", f"subscription-state: {state}", "ms-piggyback-cseq: 1"]
        headers += [f"Supported: ms-benotify, {PIGGYBACK}"]
        tag = self._proxy.layer.new_tag()
        response = response_to(request, 200, to_tag=tag, headers=headers, body=body.encode(), content_type=content_type)
        transaction.respond(response, now)

    def _document(self, request: Request, package: str) -> tuple[str, str]:
        """Body and content type of the first notification, empty where the package has nothing to tell."""
        if package == "vnd-microsoft-provisioning-v2":
            document = notifications.provisioning(self._registry, _user(request).host)
            return document, _DOCUMENT.format("vnd-microsoft-roaming-provisioning-v2")
        if package == "vnd-microsoft-roaming-contacts":
            return notifications.roaming_contacts(), _DOCUMENT.format(package)
        if package == "vnd-microsoft-roaming-self":
            user = _user(request)  # as it is written: what its escapes stand for may not be in XML
            return notifications.roaming_self(f"sip:{user.user or ''}@{user.host}"), _DOCUMENT.format(package)
        return "", ""

    def _contact(self, listener: Listener | None, transport: str) -> str:
        where = listener or self._proxy.router.own.listener_for(transport)
        sent_by = where.sent_by if where is not None else "invalid"
        return f"sip:{sent_by};transport={transport.lower()}"


def _user(request: Request) -> SipUri:
    return parse_uri(parse_name_addr(request.first("from") or "").uri)


def _expires(request: Request) -> int:
    text = request.first("expires")
    return min(int(text), MAX_SUBSCRIPTION) if text and text.isdecimal() and len(text) < 11 else MAX_SUBSCRIPTION
