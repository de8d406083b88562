"""What stands around the cmdlets in runbooks: Import-Module, Get-Help, Get-Command, Get-Credential."""

from collections.abc import Callable, Iterable, Sequence

from sipgw.config.users import parse_name_of_account
from sipgw.management.cmdlets import kinds
from sipgw.management.cmdlets.cmdlet import COMMON, SWITCH, Call, Cmdlet, Parameter
from sipgw.management.cmdlets.filters import like
from sipgw.management.cmdlets.items import Credential, Item, text_item
from sipgw.management.cmdlets.syntax import Value

MODULES = ("lync", "skypeforbusiness")
PASSWORD = "SIPGW_PASSWORD"  # of Get-Credential, in the environment
_HIDDEN = "System.Security.SecureString"


def _import_module(call: Call) -> list[Item]:
    """Runbooks begin with it; what it would load is here already."""
    for name in call.get("Name"):
        if name.lower() not in MODULES:
            raise call.fail(f'there is no module "{name}"; the cmdlets of {" and ".join(MODULES)} are here', "NoModule")
    return []


def _get_credential(call: Call) -> Iterable[Item]:
    name = call.get("Credential")
    password = None if call.backend.rehearses else call.host.password(name, PASSWORD)
    return [Item("PSCredential", {"UserName": name, "Password": _HIDDEN}, source=Credential(name, password))]


def _account_name(value: Value) -> str:
    try:
        return parse_name_of_account(kinds.some_text(value))
    except ValueError:
        raise ValueError("an account's name such as CORP\\alice or alice@corp.contoso.com") from None


_AROUND = (
    Cmdlet(
        "Import-Module",
        "Has no effect.",
        _import_module,
        (
            Parameter("Name", kinds.texts, required=True, position=0),
            Parameter("Force", SWITCH, unused="they are here already"),
        ),
        aliases=("ipmo",),
    ),
    Cmdlet(
        "Get-Credential",
        "Ask for the password of an account.",
        _get_credential,
        (
            Parameter("Credential", _account_name, ("UserName",), required=True, position=0),
            Parameter("Message", kinds.text, unused="the question names the account"),
            Parameter("Title", kinds.text, unused="the question names the account"),
        ),
    ),
)


def help_on(cmdlet: Cmdlet) -> list[str]:
    """What Get-Help says of it."""
    lines = [cmdlet.name, f"    {cmdlet.about}", ""]
    for one in cmdlet.parameters:
        notes = [
            *(["has to be given"] if one.required else []),
            *(["may come through a pipeline"] if one.piped else []),
        ]
        notes += [f"also -{alias}" for alias in one.aliases] + ([f"no effect: {one.unused}"] if one.unused else [])
        written = f"-{one.name}" if one.is_switch else f"-{one.name} <value>"
        lines.append(f"    {f'[{written}]' if not one.required else written}{'  ' if notes else ''}{'; '.join(notes)}")
    common = [f"-{one.name}" for one in (*(cmdlet.all_parameters[len(cmdlet.parameters) : -len(COMMON)]), *COMMON)]
    lines += ["", f"    common: {', '.join(common)}"]
    return [*lines, *([f"    aliases: {', '.join(cmdlet.aliases)}"] if cmdlet.aliases else [])]


def cmdlets(known: Callable[[], Sequence[Cmdlet]]) -> tuple[Cmdlet, ...]:
    """`known` gives all that there are."""

    def get_help(call: Call) -> Iterable[Item]:
        name = call.get("Name", "*").rpartition("\\")[2]
        found = _named(call, known(), name)
        if len(found) == 1:
            return [text_item(line) for line in help_on(found[0])]
        return [Item("HelpInfo", {"Name": one.name, "Synopsis": one.about}) for one in found]

    def get_command(call: Call) -> Iterable[Item]:
        wanted = call.get("Name", ["*"])
        found = [one for name in wanted for one in _named(call, known(), name)]
        for part in ("Verb", "Noun"):
            pattern = call.get(part, "*")
            found = [one for one in found if like(one.name.split("-")[part == "Noun"], pattern)]
        return [
            Item("CmdletInfo", {"CommandType": "Cmdlet", "Name": one.name, "Definition": one.about}) for one in found
        ]

    return (
        *_AROUND,
        Cmdlet(
            "Get-Help",
            "Tell of a cmdlet and its parameters.",
            get_help,
            (
                Parameter("Name", kinds.some_text, position=0),
                *(Parameter(name, SWITCH, unused="all is told") for name in ("Full", "Detailed", "Examples", "Online")),
            ),
            aliases=("help", "man"),
        ),
        Cmdlet(
            "Get-Command",
            "List cmdlets.",
            get_command,
            (
                Parameter("Name", kinds.texts, position=0),
                Parameter("Verb", kinds.some_text),
                Parameter("Noun", kinds.some_text),
                Parameter("Module", kinds.some_text, unused="there is one module"),
            ),
            aliases=("gcm",),
        ),
    )


def _named(call: Call, known: Sequence[Cmdlet], wanted: str) -> list[Cmdlet]:
    lowered = wanted.lower()
    found = [one for one in known if like(one.name, wanted) or lowered in one.aliases]
    if not found:
        raise call.fail(f'there is no cmdlet "{wanted}"; Get-Command lists those that there are', "HelpNotFound")
    return found
