"""New-, Get- and Remove-CsPersistentChatEndpoint."""

from collections.abc import Iterable
from uuid import NAMESPACE_URL, uuid5

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.accounts import check_no_user
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.directory_parameters import normal_dn, search, searched
from sipgw.management.cmdlets.errors import closest
from sipgw.management.cmdlets.items import Item
from sipgw.registry import Endpoint, Registry, UnknownPool, check_display_name, parse_address

KIND = "Microsoft.Rtc.Management.ADConnect.Schema.OCSPersistentChatContact"
PROPERTIES = ["Identity", "SipAddress", "DisplayName", "PersistentChatPoolFqdn", "Enabled", "Declared"]


def distinguished_name(endpoint: Endpoint) -> str:
    """Where Lync would keep the contact object; the same for an address at any time."""
    domain = endpoint.sip_address.rpartition("@")[2]
    components = ",".join(f"DC={label}" for label in domain.split("."))
    container = "CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration"
    return f"CN={{{uuid5(NAMESPACE_URL, endpoint.sip_address)}}},{container},{components}"


def endpoint_item(endpoint: Endpoint) -> Item:
    values = (
        distinguished_name(endpoint),
        endpoint.sip_address,
        endpoint.display_name,
        endpoint.pool_fqdn,
        endpoint.enabled,
        endpoint.declared,
    )
    return Item(KIND, dict(zip(PROPERTIES, values, strict=True)), source=endpoint)


def matching(registry: Registry, identity: str) -> list[Endpoint]:
    """By address, display name or distinguished name."""
    wanted = normal_dn(identity)
    if wanted.startswith("cn={"):
        return [one for one in registry.endpoints() if normal_dn(distinguished_name(one)) == wanted]
    return registry.matching(identity)


def _new(call: Call) -> Iterable[Item]:
    address = f"sip:{parse_address(call.get('SipAddress'))}"
    made = Endpoint(address, call.get("PersistentChatPoolFqdn"), check_display_name(call.get("DisplayName", "")))
    call.backend.registry().add(made)  # of a copy: says what is wrong before anybody is asked
    check_no_user(call.backend.config, address, call.warn, lambda config: call.backend.accounts())
    if not call.should(address):
        return []
    call.backend.add_endpoint(made)
    call.details(f"{address} now leads to {made.pool_fqdn}")
    return [endpoint_item(made)] if call.get("PassThru") else []


def _get(call: Call) -> Iterable[Item]:
    registry = call.backend.registry()
    found = matching(registry, call.get("Identity")) if call.given("Identity") else registry.endpoints()
    if call.given("Identity") and not found:
        raise _not_found(call, registry)
    if call.given("PersistentChatPoolFqdn"):
        fqdn = call.get("PersistentChatPoolFqdn")
        found = [one for one in found if one.pool_fqdn.lower() == fqdn]
        if not found and registry.pool(fqdn) is None:
            known = [pool.fqdn for pool in registry.pools]
            shown = ", ".join(known) or "none"
            raise UnknownPool(f"{fqdn} is not a configured pool{closest(fqdn, known)} (pools: {shown})")
    return searched(call, [endpoint_item(one) for one in found], PROPERTIES)


def _remove(call: Call) -> Iterable[Item]:
    registry = call.backend.registry()
    found = matching(registry, call.get("Identity"))
    if not found:
        raise _not_found(call, registry)
    one = found[0] if len(found) == 1 else registry.remove(call.get("Identity"))  # which says that there are several
    registry.remove(one.sip_address)
    if call.should(one.sip_address):
        call.backend.remove_endpoint(one.sip_address)
        call.details(f"{one.sip_address} is removed")
    return []


def _not_found(call: Call, registry: Registry) -> Exception:
    identity = call.get("Identity")
    names = [name for one in registry.endpoints() for name in (one.sip_address, one.display_name) if name]
    known = ", ".join(one.sip_address for one in registry.endpoints()) or "none"
    text = f'no endpoint has the identity "{identity}"{closest(identity, names)} (endpoints: {known})'
    return call.fail(text, "ManagementObjectNotFound")


_IDENTITY = ("Value", "Identity", "SipAddress")
CMDLETS = (
    Cmdlet(
        "New-CsPersistentChatEndpoint",
        "Make a contact object that leads to a pool.",
        _new,
        (
            Parameter("SipAddress", kinds.some_text, required=True),
            Parameter("PersistentChatPoolFqdn", kinds.fqdn, required=True),
            Parameter("DisplayName", kinds.text),
            Parameter("PassThru", SWITCH),
        ),
        changes=True,
    ),
    Cmdlet(
        "Get-CsPersistentChatEndpoint",
        "Show contact objects.",
        _get,
        (
            Parameter("Identity", kinds.some_text, position=0, piped=_IDENTITY),
            Parameter("PersistentChatPoolFqdn", kinds.fqdn),
            *search(*PROPERTIES),
        ),
    ),
    Cmdlet(
        "Remove-CsPersistentChatEndpoint",
        "Remove a contact object.",
        _remove,
        (
            Parameter("Identity", kinds.some_text, required=True, position=0, piped=_IDENTITY),
            Parameter("Force", SWITCH, unused="there is nothing to be forced"),
        ),
        changes=True,
    ),
)
