"""Gives a command's elements to the parameters of its cmdlet, as PowerShell does."""

from collections.abc import Sequence
from typing import Any

from sipgw.management.cmdlets.cmdlet import Cmdlet, Parameter
from sipgw.management.cmdlets.errors import CmdletError, Place, closest
from sipgw.management.cmdlets.items import Item, as_text
from sipgw.management.cmdlets.syntax import Argument, Command, Element, Named, Script, Splat, Value
from sipgw.management.cmdlets.values import is_deferred


def bind(cmdlet: Cmdlet, command: Command) -> dict[str, Any]:
    """The values by parameter's name. Raises CmdletError; what is required may come through the pipeline yet.
    Beforehand, what is not known before the line is carried out stands as it is written."""
    values: dict[str, Any] = {}
    loose: list[Argument] = []
    elements = list(command.elements)
    while elements:
        element = elements.pop(0)
        if isinstance(element, Splat):
            continue
        if isinstance(element, Argument):
            loose.append(element)
            continue
        parameter = find_parameter(cmdlet, element)
        if parameter.name in values:
            raise _error(cmdlet, f"-{parameter.name} is there twice", "ParameterAlreadyBound", element.place)
        argument = _argument(cmdlet, parameter, element, elements)
        values[parameter.name] = converted(cmdlet, parameter, argument.value, argument.place)
    _bind_positions(cmdlet, loose, values)
    return values


def _argument(cmdlet: Cmdlet, parameter: Parameter, named: Named, rest: list[Element]) -> Argument:
    if named.joined is not None:
        return named.joined
    if parameter.is_switch:
        return Argument(True, named.place)
    if not rest or not isinstance(rest[0], Argument):
        raise _error(cmdlet, f"after -{parameter.name} there has to be a value", "MissingArgument", named.place)
    argument = rest.pop(0)
    assert isinstance(argument, Argument)
    return argument


def find_parameter(cmdlet: Cmdlet, named: Named) -> Parameter:
    """By its name or an alias, or by the beginning of one of them that no other has. Raises CmdletError."""
    wanted = named.name.lower()
    begun: dict[str, Parameter] = {}
    for parameter in cmdlet.all_parameters:
        names = [name.lower() for name in (parameter.name, *parameter.aliases)]
        if wanted in names:
            return parameter
        if any(name.startswith(wanted) for name in names):
            begun[parameter.name] = parameter
    if len(begun) == 1:
        return next(iter(begun.values()))
    if begun:
        text = f"-{named.name} may be {' or '.join(f'-{name}' for name in begun)}; write more of it"
        raise _error(cmdlet, text, "AmbiguousParameter", named.place)
    own = [parameter.name for parameter in cmdlet.all_parameters]
    shown = ", ".join(f"-{parameter.name}" for parameter in cmdlet.parameters) or "only the common ones"
    text = f"there is no parameter -{named.name}{closest(named.name, own, '-')} (parameters: {shown})"
    raise _error(cmdlet, text, "NamedParameterNotFound", named.place)


def _bind_positions(cmdlet: Cmdlet, loose: Sequence[Argument], values: dict[str, Any]) -> None:
    free = sorted(
        (one for one in cmdlet.parameters if one.position is not None and one.name not in values),
        key=lambda one: one.position or 0,
    )
    for at, argument in enumerate(loose):
        if at >= len(free):
            shown = as_text(argument.value) if not isinstance(argument.value, Script) else "{…}"
            hint = "; a text with blanks stands in quotes" if len(loose) > 1 else ""
            text = f'no parameter takes "{shown}" by its position{hint}'
            raise _error(cmdlet, text, "PositionalParameterNotFound", argument.place)
        values[free[at].name] = converted(cmdlet, free[at], argument.value, argument.place)


def converted(cmdlet: Cmdlet, parameter: Parameter, value: Value, place: Place) -> Any:
    """What a parameter makes of a value. Raises CmdletError."""
    if is_deferred(value):
        return value
    try:
        return parameter.kind(value)
    except CmdletError as error:
        error.place, error.cmdlet = error.place or place, cmdlet.name
        raise
    except ValueError as error:
        shown = as_text(value) if not isinstance(value, Script | dict) else "what is given"
        text = f'-{parameter.name} cannot be "{shown}"; write {error}'
        raise _error(cmdlet, text, "CannotConvertArgument", place) from None


def with_piped(cmdlet: Cmdlet, values: dict[str, Any], item: Item, place: Place) -> dict[str, Any]:
    """The values with what comes through the pipeline. Raises CmdletError where no parameter takes it."""
    taking = [parameter for parameter in cmdlet.parameters if parameter.piped]
    if not taking:
        raise _error(cmdlet, "it takes nothing through a pipeline", "InputObjectNotBound", place)
    for parameter in taking:
        if parameter.name in values:
            continue
        found = next((name for wanted in parameter.piped if (name := item.name_of(wanted))), None)
        if found is not None:
            return {**values, parameter.name: converted(cmdlet, parameter, item.properties[found], place)}
    properties = ", ".join(taking[0].piped)
    text = f"it takes objects with the property {properties}; what comes has {', '.join(item.properties)}"
    raise _error(cmdlet, text, "InputObjectNotBound", place)


def check_required(cmdlet: Cmdlet, values: dict[str, Any], place: Place, piped: bool = False) -> None:
    """Raises CmdletError naming what is missing, and with `piped` does not come through the pipeline either."""
    wanted = [one for one in cmdlet.parameters if one.required and not (piped and one.piped)]
    missing = [f"-{one.name}" for one in wanted if one.name not in values]
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        raise _error(cmdlet, f"{' and '.join(missing)} {verb} to be given", "MissingMandatoryParameter", place)


def _error(cmdlet: Cmdlet, text: str, kind: str, place: Place) -> CmdletError:
    return CmdletError(text, kind, place, cmdlet.name)
