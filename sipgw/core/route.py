"""What is decided about a request: where it goes, or why it goes nowhere."""

from sipgw.core.failures import NO_ADDRESS, NO_SRV, NOT_SIGNED_IN, OVERLOADED, Failure
from sipgw.core.location import Binding
from sipgw.events import Flow, Hop
from sipgw.locating import Destination, NotLocated
from sipgw.registry import Pool


class Target:
    """Somewhere to forward to: `hops` are tried in order; `uri` replaces the Request-URI unless None (§16.6 item 2).

    `label` names it for people; `pool` is set when it is a Persistent Chat pool, `member_of` when it is a server of one
    that a dialog is with. `route` is a Path to send it along (values joined by commas), `others` are further flows of
    the same client instance, tried in order (RFC 5626 §7).
    """

    __slots__ = ("hops", "label", "member_of", "others", "pool", "route", "uri")

    def __init__(
        self,
        hops: list[Flow | Hop],
        label: str,
        uri: str | None = None,
        pool: Pool | None = None,
        route: str = "",
        member_of: Pool | None = None,
    ) -> None:
        self.hops = hops
        self.label = label
        self.uri = uri
        self.pool = pool
        self.route = route
        self.others: list[Target] = []
        self.member_of = member_of


class Route:
    """A decision. Exactly one of these holds: `groups` of targets in order of preference, `local` (we answer),
    `failure` (with `details` for the diagnostics), or `unresolved`, a destination that has to be located first.

    `ours` tells that the Request-URI is one of a domain served here, `token` is the flow token of a request inside a
    dialog.
    """

    __slots__ = ("details", "failure", "groups", "in_dialog", "local", "matched", "ours", "token", "unresolved")

    def __init__(
        self,
        groups: list[list[Target]] | None = None,
        local: bool = False,
        failure: Failure | None = None,
        unresolved: Destination | None = None,
        details: dict[str, str] | None = None,
        matched: str = "",
        in_dialog: bool = False,
        token: str = "",
    ) -> None:
        self.groups = groups if groups is not None else []
        self.local = local
        self.failure = failure
        self.unresolved = unresolved
        self.details = details if details is not None else {}
        self.matched = matched
        self.in_dialog = in_dialog
        self.ours = False
        self.token = token


def only_secure(route: Route) -> Route:
    """What is left of a decision for a sips URI: every hop has to be TLS (§26.2.2, RFC 5630 §4)."""
    if not route.groups:
        return route
    found = [[target for target in map(over_tls, group) if target] for group in route.groups]
    route.groups = [group for group in found if group]
    if not route.groups:
        route.failure, route.details = NOT_SIGNED_IN, {"detail": "a sips URI, and no way there by TLS alone"}
    return route


def over_tls(target: Target) -> Target | None:
    """A target with its hops by TLS alone, None when there are none."""
    target.hops = [hop for hop in target.hops if hop.transport == "TLS"]
    target.others = [other for other in map(over_tls, target.others) if other]
    if target.hops or not target.others:
        return target if target.hops else None
    first, *others = target.others
    first.others = others
    return first


def add_target(targets: list[Target], flows: dict[str, Target], binding: Binding, target: Target) -> None:
    """Flows of one instance are one target: never is a request sent down two at once (RFC 5626 §7)."""
    first = flows.setdefault(binding.instance, target) if binding.reg_id else target
    if first is target:
        targets.append(target)
    else:
        first.others.append(target)


_NOT_LOCATED = {failure.id: failure for failure in (NO_SRV, NO_ADDRESS, OVERLOADED)}


def not_located(why: NotLocated, matched: str = "") -> Route:
    """A decision for a name that leads to no server."""
    failure = _NOT_LOCATED.get(why.diagnostics, NO_ADDRESS)
    return Route(failure=failure, details={"detail": why.text}, matched=matched)
