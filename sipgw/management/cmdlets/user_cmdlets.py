"""Get-, Enable- and Disable-CsUser, on the users that may sign in here."""

from collections.abc import Callable, Iterable

from sipgw.auth.accounts import Account
from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.directory_parameters import NO_DIRECTORY, search, searched
from sipgw.management.cmdlets.errors import closest
from sipgw.management.cmdlets.items import Item

KIND = "Microsoft.Rtc.Management.ADConnect.Schema.OCSADUser"
PROPERTIES = ["Identity", "SipAddress", "Names", "Enabled"]


def user_item(account: Account) -> Item:
    values = (account.names[0] if account.names else account.uri, account.uri, list(account.names), account.enabled)
    return Item(KIND, dict(zip(PROPERTIES, values, strict=True)), source=account)


def _matching(accounts: list[Account], identity: str) -> list[Account]:
    """By SIP address, or by a name that the user signs in with."""
    wanted = identity.strip().lower()
    bare = wanted.removeprefix("sip:")
    by_address = [one for one in accounts if one.uri.removeprefix("sip:") == bare]
    return by_address or [one for one in accounts if wanted in (name.lower() for name in one.names)]


def _found(call: Call) -> list[Account]:
    accounts = call.backend.accounts()
    if not call.given("Identity"):
        return accounts
    identity = call.get("Identity")
    found = _matching(accounts, identity)
    if not found:
        near = closest(identity, [name for one in accounts for name in (one.uri, *one.names)])
        where = call.backend.config.auth.users_file or call.backend.config.auth.users
        raise call.fail(f'no user has the identity "{identity}"{near} ({where})', "ManagementObjectNotFound")
    return found


def _get(call: Call) -> Iterable[Item]:
    return searched(call, [user_item(one) for one in _found(call)], PROPERTIES)


def _enabling(enabled: bool) -> Callable[[Call], Iterable[Item]]:
    def run(call: Call) -> Iterable[Item]:
        config = call.backend.config
        if config.auth.users_file is None:
            verb = "set" if enabled else "clear"
            advice = f"{verb} msRTCSIP-UserEnabled there with the directory's own tools, and the gateway follows"
            text = f"the users are in the directory {config.auth.users}, which sipgw only reads; {advice}"
            raise call.fail(text, "ReadOnlyDirectory")
        account = _found(call)[0]
        if account.enabled == enabled:
            call.warn(f"{account.uri} is {'enabled' if enabled else 'disabled'} already")
        elif call.should(account.uri):
            if enabled:
                _check_no_endpoint(call, account)
            call.backend.enable_user(account.uri, enabled)
            call.details(f"{account.uri} {'may sign in again' if enabled else 'may no longer sign in'}")
            account = Account(account.uri, account.names, enabled=enabled)
        return [user_item(account)] if call.get("PassThru") else []

    return run


def _check_no_endpoint(call: Call, account: Account) -> None:
    """An address-of-record is an endpoint or a user. Raises CmdletError."""
    held = next((one for one in call.backend.registry().endpoints() if one.sip_address == account.uri), None)
    if held is not None:
        advice = "remove that first, with Remove-CsPersistentChatEndpoint"
        text = f"{account.uri} is an endpoint, to {held.pool_fqdn}; {advice}"
        raise call.fail(text, "HeldByEndpoint")


_IDENTITY = ("Value", "SipAddress", "Identity")
_ONE = (
    Parameter("Identity", kinds.some_text, required=True, position=0, piped=_IDENTITY),
    Parameter("PassThru", SWITCH),
    Parameter("DomainController", kinds.fqdn, ("DC",), unused=NO_DIRECTORY),
)
CMDLETS = (
    Cmdlet(
        "Get-CsUser",
        "Show the users that may sign in.",
        _get,
        (Parameter("Identity", kinds.some_text, position=0, piped=_IDENTITY), *search(*PROPERTIES)),
    ),
    Cmdlet(
        "Disable-CsUser",
        "Let a user no longer sign in.",
        _enabling(False),
        _ONE,
        changes=True,
    ),
    Cmdlet(
        "Enable-CsUser",
        "Let a user sign in again.",
        _enabling(True),
        (
            *_ONE,
            Parameter("RegistrarPool", kinds.some_text, unused="there is one gateway"),
            Parameter("SipAddress", kinds.some_text, unused="the address stands in the user's entry"),
            Parameter("SipAddressType", kinds.some_text, unused="the address stands in the user's entry"),
            Parameter("SipDomain", kinds.some_text, unused="the address stands in the user's entry"),
        ),
        changes=True,
    ),
)
