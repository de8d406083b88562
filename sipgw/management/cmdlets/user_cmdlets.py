"""Get-CsUser and Disable-CsUser, on the users that may sign in here."""

from collections.abc import Iterable

from sipgw.auth.accounts import Account
from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.accounts import disable, read_accounts
from sipgw.management.cmdlets.cmdlet import SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.directory_parameters import NO_DIRECTORY, SEARCH, searched
from sipgw.management.cmdlets.errors import closest
from sipgw.management.cmdlets.items import Item
from sipgw.server.audit import audited, command_line_user

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
    accounts = read_accounts(call.backend.config)
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


def _disable(call: Call) -> Iterable[Item]:
    config = call.backend.config
    path = config.auth.users_file
    if path is None:
        advice = "clear msRTCSIP-UserEnabled there with the directory's own tools, and the gateway follows"
        text = f"the users are in the directory {config.auth.users}, which sipgw only reads; {advice}"
        raise call.fail(text, "ReadOnlyDirectory")
    account = _found(call)[0]
    if not account.enabled:
        call.warn(f"{account.uri} is disabled already")
    elif call.should(account.uri):
        with audited(config.store.path, command_line_user(), "user.disable", account.uri) as entry:
            disable(path.resolve(), config, account.uri)
            entry.before, entry.after = {"enabled": True}, {"enabled": False}
        call.details(f"{account.uri} may no longer sign in")
        account = Account(account.uri, account.names, enabled=False)
    return [user_item(account)] if call.get("PassThru") else []


_IDENTITY = ("Value", "SipAddress", "Identity")
CMDLETS = (
    Cmdlet(
        "Get-CsUser",
        "Show the users that may sign in.",
        _get,
        (Parameter("Identity", kinds.some_text, position=0, piped=_IDENTITY), *SEARCH),
    ),
    Cmdlet(
        "Disable-CsUser",
        "Let a user no longer sign in.",
        _disable,
        (
            Parameter("Identity", kinds.some_text, required=True, position=0, piped=_IDENTITY),
            Parameter("PassThru", SWITCH),
            Parameter("DomainController", kinds.fqdn, ("DC",), unused=NO_DIRECTORY),
        ),
        changes=True,
    ),
)
