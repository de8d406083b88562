"""Who may sign in, and how a party with a password does."""

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.digest_client import DigestClient
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.password import ha1_of
from sipgw.message import Request, Response
from sipgw.message.build import new_request
from tests.harness import DOMAIN, Party

PASSWORD = "secret"


def account(name: str, enabled: bool = True) -> Account:
    return Account(f"sip:{name}@{DOMAIN}", (name,), ha1=ha1_of(name, DOMAIN, PASSWORD), enabled=enabled)


ACCOUNTS = (account("alice"), account("bob"), account("carol", enabled=False))


class Directory:
    """Accounts that can change."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self.table = AccountTable(accounts)

    def find(self, name: str) -> Account | None:
        return self.table.find(name)

    def now_has(self, *accounts: Account) -> None:
        self.table = AccountTable(accounts)


def gate_for(directory: Directory, counters: Counter[str], max_challenges: int = 16) -> Gate:
    lockout = Lockout(LockoutSettings(), counters)
    digest = DigestGate(DigestServer(DigestSettings(DOMAIN), directory, Random(1), counters), lockout)
    return Gate(directory, None, digest, counters, max_challenges)


class Person:
    """A party that answers challenges."""

    def __init__(self, party: Party, name: str = "", password: str = PASSWORD) -> None:
        self.party = party
        self.digest = DigestClient(name or party.name, password, Random(2))
        self._cseq = 0

    def send(self, request: Request) -> Request:
        """Send with the credentials that there are; what was sent."""
        signed = with_headers(request, self.digest.credentials(request.method, request.uri))
        self.party >> signed
        return signed

    def ask(self, method: str, uri: str, *headers: str, **more: Any) -> Request:
        """A request that has been through its challenge; what was sent at last. The next message is its answer."""
        for _ in range(2):
            self._cseq += 1
            sent = self.send(self.party.request(method, uri, *headers, cseq=self._cseq, **more))
            if not self._challenged(sent):
                return sent
        raise AssertionError("challenged again")

    def _challenged(self, sent: Request) -> bool:
        answer = self.party.inbox[0] if self.party.inbox else None
        if not isinstance(answer, Response) or answer.status not in (401, 407):
            return False
        self.party << answer.status
        if sent.method == "INVITE":
            self.party >> self.party.ack_failure(answer)
        return self.digest.challenged(answer)

    def register(self, **more: Any) -> Response:
        contact = f"Contact: <{self.party.contact}>"
        self.ask("REGISTER", f"sip:{DOMAIN}", contact, "Expires: 600", to=self.party.uri, **more)
        answer: Response = self.party << 200
        return answer


def with_headers(request: Request, lines: list[str]) -> Request:
    kept = [line for line, name in zip(request.lines, request.names, strict=True) if name != "content-length"]
    return new_request(request.method, request.uri, [*kept, *lines], request.body)
