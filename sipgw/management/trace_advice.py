"""What an operator can do about a call that failed, by the id of its ms-diagnostics, else by its status.

`docs/operations.md` has more on each; a test compares the two.
"""

import re

from sipgw.core import failures

_ZONE = "sipgw check asks the name service and says which record is missing; or name the servers in pool.servers"
REMEDIES = {
    failures.NO_USER.id: "look for a typing error in the address; else sipgw endpoint new, or let the user sign in",
    failures.NOT_ENABLED.id: "write enabled = true into its [[endpoint]], or enable the user; then reload",
    failures.NOT_SIGNED_IN.id: "the user is known, but no client of theirs is there: have them sign in again",
    failures.FOREIGN_DOMAIN.id: "add the domain to gateway.domains, or the sender to gateway.trusted_peers, and reload",
    failures.STALE_ROUTE.id: "the client that the dialog led to is gone; it has to sign in and call again. From all at "
    "once: the store with its key was replaced",
    failures.NO_SRV.id: _ZONE,
    failures.NO_ADDRESS.id: _ZONE,
    failures.SERVERS_DOWN.id: "start the pool's servers, or open the way to them; sipgw check tries each of them",
    failures.NOT_TRUSTED.id: "sipgw check shows each server's certificate, what it lacks, and whose authority it needs",
    failures.POOL_BUSY.id: "the pool refuses: look at its load, and at servers that are drained (sipgw pool-state)",
    failures.CHAT_FULL.id: "the chat service takes no more sessions of this user: end old ones",
    failures.OVERLOADED.id: "sipgw_overloaded and the limits of [limits] say what there is too much of",
    failures.NOT_YOUR_URI.id: "the client signs in as one user and sends as another, or as an endpoint: correct its "
    "address, or remove the endpoint",
    failures.NOT_SIGNED.id: "wrong password, or an account that is not there: sipgw user list, sipgw check",
    failures.CLOCKS.id: "set the client's clock, or the gateway's; auth.clock_skew is how much they may differ",
    failures.NO_ENDPOINT_ID.id: "the client sends neither epid nor +sip.instance: it is none of the supported ones",
    failures.WRONG_EVENT.id: "the client sends REGISTER with an Event of its own: it is none of the supported ones",
    failures.NO_GRUU.id: "the client wants msrtc-event-categories without gruu-10: it is none of the supported ones",
}
_BY_TEXT = (
    (re.compile(r"^dropped: an ACK"), REMEDIES[failures.STALE_ROUTE.id]),
    (re.compile(r"^sign-in failed"), REMEDIES[failures.NOT_SIGNED.id]),
    (re.compile(r"^probe failed: 503\b"), REMEDIES[failures.POOL_BUSY.id]),
    (re.compile(r"^probe failed: .*certificate not trusted"), REMEDIES[failures.NOT_TRUSTED.id]),
    (re.compile(r"^probe failed"), REMEDIES[failures.SERVERS_DOWN.id]),
    (re.compile(r"^503\b"), REMEDIES[failures.OVERLOADED.id]),
    (re.compile(r"^48[0136]\b|^60\d\b"), "the other side has said so: look there"),
)


_BY_DETAIL = (  # what the gateway says besides, where the id stands for several things
    (
        re.compile(r"every server of pool (?P<pool>[^\s)]+) is drained by command"),
        "sipgw pool-state set {pool} --normal has its servers take new dialogs again",
    ),
    (
        re.compile(r"every server of pool (?P<pool>[^\s)]+) is drained"),
        "take a server out of drained at the [[pool]] {pool} of the configuration, then reload",
    ),
    (
        re.compile(r"(?P<address>sip:[^\s)]+) leads to pool (?P<pool>[^\s)]+), which is not configured"),
        "put the [[pool]] {pool} back into the configuration and reload; or sipgw endpoint remove {address}",
    ),
)


def remedy_of_detail(text: str) -> str:
    """What to do about what the gateway says in plain words; "" where these say no more than the id."""
    for pattern, advice in _BY_DETAIL:
        found = pattern.search(text)
        if found is not None:
            return advice.format(**found.groupdict())
    return ""


def remedy(failure: str, diagnostics: int) -> str:
    """One line; "" where there is nothing to say."""
    special = remedy_of_detail(failure)
    if special:
        return special
    if diagnostics in REMEDIES:
        return REMEDIES[diagnostics]
    return next((text for pattern, text in _BY_TEXT if pattern.search(failure)), "")
