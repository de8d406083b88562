"""A request at the gate, with Digest and the lockout: let in as an account, or answered.

Who the request says that it is from has to be compared with the account by whoever lets it in.
"""

from math import ceil

from sipgw.auth.accounts import Account, key_of
from sipgw.auth.answer import Answer
from sipgw.auth.digest_server import Checked, DigestServer, Outcome, Presented
from sipgw.auth.lockout import Lockout
from sipgw.message.message import Request

UNCHALLENGED = frozenset({"ACK", "CANCEL"})  # §22.1: they cannot be sent again with credentials


class DigestGate:
    """Asks for Digest: as a registrar, 401, for REGISTER; as a proxy, 407, for all else."""

    def __init__(self, server: DigestServer, lockout: Lockout) -> None:
        self._server = server
        self._lockout = lockout

    def challenges(self, status: int, source: str, now: float) -> tuple[str, ...]:
        """Header lines that ask for Digest."""
        return tuple(self._server.challenges(status, now, source=source))

    def take_over(self, other: "DigestGate") -> None:
        """Nonces that are out stay good after a change of configuration."""
        self._server.take_over(other._server)

    def judge(self, request: Request, source: str, now: float) -> Account | Answer:
        """The account that a request has proved, or how to answer it. `source` is the address that it came from. Not
        for methods in UNCHALLENGED."""
        status = 401 if request.method == "REGISTER" else 407
        read = self._server.read(request, status)
        if isinstance(read, Checked):
            return self._answer(read, status, source, now)
        return self._try(read, status, source, now)

    def _try(self, presented: Presented, status: int, source: str, now: float) -> Account | Answer:
        key = key_of(presented.name)
        wait = self._lockout.wait(key, source, now)
        if wait:
            return Answer(403, (f"Retry-After: {ceil(wait)}",), "too many failed sign-ins", presented.name)
        account = self._server.accounts.find(presented.name)
        uri = account.uri if account is not None else ""
        checked = self._server.judge(presented, now, source, self._lockout.bars(uri, source, now))
        if checked.outcome is Outcome.REFUSED:
            self._lockout.failed(key, uri, source, now)
        elif checked.outcome is Outcome.ACCEPTED:
            self._lockout.succeeded(key, uri, source)
            assert checked.account is not None
            return checked.account
        return self._answer(checked, status, source, now)

    def _answer(self, checked: Checked, status: int, source: str, now: float) -> Answer:
        if checked.outcome is Outcome.MALFORMED:
            return Answer(400, (), checked.reason)
        if checked.outcome is Outcome.DISABLED:
            return Answer(403, (), checked.reason, checked.name)
        challenges = tuple(self._server.challenges(status, now, checked.stale, source))
        return Answer(status, challenges, checked.reason, checked.name, checked.outcome is Outcome.REFUSED)
