"""What is decided about a request: where it goes, or why it goes nowhere."""

from sipgw.core.failures import Failure
from sipgw.events import Flow, Hop
from sipgw.locating import Destination
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

    `ours` tells that the Request-URI is one of a domain served here.
    """

    __slots__ = ("details", "failure", "groups", "in_dialog", "local", "matched", "ours", "unresolved")

    def __init__(
        self,
        groups: list[list[Target]] | None = None,
        local: bool = False,
        failure: Failure | None = None,
        unresolved: Destination | None = None,
        details: dict[str, str] | None = None,
        matched: str = "",
        in_dialog: bool = False,
    ) -> None:
        self.groups = groups if groups is not None else []
        self.local = local
        self.failure = failure
        self.unresolved = unresolved
        self.details = details if details is not None else {}
        self.matched = matched
        self.in_dialog = in_dialog
        self.ours = False
