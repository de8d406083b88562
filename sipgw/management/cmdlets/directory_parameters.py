"""What the cmdlets that look into a directory have in common: -Filter, -LdapFilter, -OU, -ResultSize."""

from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import Call, Parameter
from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.filters import condition
from sipgw.management.cmdlets.items import Item
from sipgw.management.cmdlets.ldap_filter import ldap_condition

NO_DIRECTORY = "sipgw asks the store or the directory of its configuration, as itself"


def search(*names: str) -> tuple[Parameter, ...]:
    """The parameters; `names` are the properties that a filter may ask for."""
    return (
        Parameter("Filter", kinds.checked(kinds.filter_text, "-Filter", lambda written: condition(written, names))),
        Parameter("LdapFilter", kinds.checked(kinds.some_text, "-LdapFilter", ldap_condition)),
        Parameter("OU", kinds.some_text),
        Parameter("ResultSize", kinds.result_size),
        Parameter("DomainController", kinds.fqdn, ("DC",), unused=NO_DIRECTORY),
        Parameter("Credential", kinds.anything, unused=NO_DIRECTORY),
    )


def searched(call: Call, items: list[Item], names: list[str]) -> list[Item]:
    """The objects that the parameters ask for; `names` are the properties of a filter. Raises CmdletError."""
    try:
        if call.given("Filter"):
            holds = condition(call.get("Filter"), names)
            items = [item for item in items if holds(item)]
        if call.given("LdapFilter"):
            fits = ldap_condition(call.get("LdapFilter"))
            items = [item for item in items if fits(item)]
    except CmdletError as error:
        error.message = f"-{'Filter' if call.given('Filter') else 'LdapFilter'}: {error.message}"
        raise
    if call.given("OU"):
        wanted = normal_dn(call.get("OU"))
        items = [item for item in items if normal_dn(str(item.properties["Identity"])).endswith(wanted)]
    size = call.get("ResultSize")
    return items if size is None else items[:size]


def normal_dn(name: str) -> str:
    """A distinguished name without blanks after commas, in lower case."""
    return ",".join(part.strip() for part in name.lower().split(","))
