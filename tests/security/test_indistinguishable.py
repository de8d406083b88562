"""Who guesses learns nothing but that he has not got it right: no user, no password, no account's state shows in an
answer. That as much work is done for each is in tests/auth/test_digest_server.py and test_ntlm_mechanism.py."""

import re

import pytest

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.answer import Answer
from sipgw.auth.gate import Gate
from sipgw.auth.password import ha1_of, nt_hash
from sipgw.message import Message, Request, Response
from tests.auth.vectors.peer import Peer, Site
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, Party
from tests.scenarios.sign_in.people import ACCOUNTS, PASSWORD, Person, account
from tests.security.watching import Watched

ALIASES = ("CORP\\alice", "alice@corp.example.test")
ALICE = Account(f"sip:alice@{DOMAIN}", ("alice", *ALIASES), ha1=ha1_of("alice", DOMAIN, PASSWORD))
LIZ = Account(f"sip:alice@{DOMAIN}", (*ALIASES, "liz@corp.example.test"), ha1=ha1_of("alice", DOMAIN, PASSWORD))
TWO_NAMES = Account("sip:alice@contoso.com", ("CORP\\alice", "liz@corp.contoso.com"), nt_hash("secret"))
NO_HA1 = Account(f"sip:dave@{DOMAIN}", ("dave",))
NT_ONLY = Account(f"sip:erin@{DOMAIN}", ("erin",), nt_hash=bytes(16))
_CHANCE = re.compile(
    r'(?<=nonce=")[0-9a-f]+|(?<=opaque=")[0-9A-Fa-f]+|(?<=gssapi-data=")[^"]+|(?<=;tag=)\w+|(?<=branch=)\S+'
)
_CHANCE_LINES = ("date:", "via:", "call-id:")


def bare(message: Message) -> str:
    """An answer without what differs from one to the next by chance or with the clock."""
    lines = [line for line in message.lines if not line.lower().startswith(_CHANCE_LINES)]
    return _CHANCE.sub("*", "\n".join([message.start, *lines]))


def site() -> Watched:
    world = Watched()
    world.directory.now_has(ALICE, account("bob"), account("carol", enabled=False), NO_HA1, NT_ONLY)
    return world


# Digest


def guesses(name: str, password: str, method: str, transport: str, pauses: tuple[float, ...]) -> list[str]:
    """All that somebody gets who tries a name and a password again and again, from one address, always as mallory."""
    world = site()
    party = world.phone("mallory", transport)
    told: list[str] = []
    for number, pause in enumerate(pauses):
        person = Person(party, name, password)
        for turn in range(2):
            cseq = 2 * number + turn + 1
            person.send(party.request(method, f"sip:{DOMAIN}", to=party.uri, cseq=cseq))
            (answer,) = party.inbox
            party.inbox.clear()
            told.append(bare(answer))
            assert isinstance(answer, Response)
            if answer.status in (401, 407):
                person.digest.challenged(answer)
        world.advance(pause)
    return [*told, *(closed.reason for closed in world.closed)]


WRONG = {
    "wrong-password": "alice",
    "disabled": "carol",
    "no-ha1": "dave",
    "nt-hash-only": "erin",
    "with-a-domain": "NOWHERE\\zed",
    "a-sip-uri": f"sip:alice@{DOMAIN}",
    "an-alias": "CORP\\alice",
    "the-contact-object": "ocschat",
    "not-ascii": "zëd",
}
QUICK, PATIENT = (0.0,) * 14, (40.0, 0.0, 5.0, 5.0, 61.0, 301.0, 0.0)


@pytest.mark.parametrize("pauses", [QUICK, PATIENT], ids=["quick", "patient"])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE"])
@pytest.mark.parametrize("name", list(WRONG.values()), ids=list(WRONG))
def test_digest(name: str, method: str, transport: str, pauses: tuple[float, ...]) -> None:
    """Challenges, the wait, the lock and its end, the close of the connection: the same as for a name of nobody's."""
    got = guesses(name, "guessed", method, transport, pauses)
    assert got == guesses("nobody", "guessed", method, transport, pauses)
    assert pauses == PATIENT or any(text.startswith("SIP/2.0 403") for text in got), "the lock is part of it"


def test_the_comparison_sees_a_difference() -> None:
    """With the right password it is another matter, or the tests above would prove nothing."""
    right = guesses("alice", PASSWORD, "MESSAGE", "UDP", QUICK)
    assert right != guesses("nobody", PASSWORD, "MESSAGE", "UDP", QUICK)


def spellings(names: tuple[str, ...], *accounts: Account, last: str = "guessed") -> list[int]:
    """The answers to a guess by each name in turn, the last time with this password."""
    world = site()
    if accounts:
        world.directory.now_has(*accounts)
    told = []
    for number, name in enumerate(names, 1):
        party = world.phone("alice" if accounts else "mallory", "UDP")
        person = Person(party, name, last if number == len(names) else "guessed")
        for _ in range(2):
            person.send(party.request("OPTIONS", f"sip:{DOMAIN}"))
            (answer,) = party.inbox
            party.inbox.clear()
            assert isinstance(answer, Response)
            told.append(answer.status)
            if answer.status == 407:
                person.digest.challenged(answer)
    return told


SPELLINGS = [
    "{}",
    "CORP\\{}",
    "{}@corp.example.test",
    "ZZZ\\{}",
    "{}@zzz.test",
    "\\{}",
    "{}@x",
    f"sip:{{}}@{DOMAIN}",
    "SIP:{}@zzz.test",
]


@pytest.mark.parametrize("other", SPELLINGS)
@pytest.mark.parametrize("turned", [False, True])
def test_spellings_of_a_name_count_together_whether_it_exists_or_not(other: str, turned: bool) -> None:
    """Also by domains that are none of its own: what is counted together must not tell what belongs together."""
    told = []
    for name in ("alice", "nobody"):
        names = (name,) * 4 + (other.format(name),) * 2 if not turned else (other.format(name),) * 4 + (name,) * 2
        told.append(spellings(names))
    assert told[0] == told[1] and told[0][-1] == 403


def test_two_names_of_an_account_do_not_show_to_be_of_one() -> None:
    """What failed by one is not told of by the other; but the password is not right there any more either."""
    for names in (("alice", "liz@corp.example.test"), ("liz", "CORP\\alice")):
        for one, other in (names, names[::-1]):
            told = spellings((one,) * 4 + (other,) * 3, LIZ)
            assert told == spellings(("nobody",) * 4 + ("somebody",) * 3, LIZ)
            told = spellings((one,) * 4 + (other,) * 3, LIZ, last=PASSWORD)
            assert told == spellings(("nobody",) * 4 + ("somebody",) * 3, LIZ)


def test_the_comparison_sees_that_the_password_is_right() -> None:
    assert spellings(("alice",) * 2, LIZ, last=PASSWORD)[-1] == 200


# NTLM


def shakes_hands(name: str, tries: int, version: int, method: str) -> list[str]:
    """All that somebody gets who tries to sign in by NTLM with a guessed password."""
    there = Site()
    world = Watched(gate=False)
    world.engine.use_gate(Gate(there.accounts, there.server, None, there.counters, max_challenges=40))
    party = world.phone("mallory")
    assert party.flow is not None
    peer = Peer(there, name, "sip:mallory@contoso.com", "guessed", party.flow, version)
    told: list[str] = []
    for _ in range(tries):
        peer.opaque, peer.count, peer.session = "", 0, None
        asked = answer_to(party, peer.handshake(b"", method), told)
        if "gssapi-data" in " ".join(asked.lines):
            lines = tuple(line for line in asked.lines if "gssapi-data" in line)
            token = peer.answer(Answer(asked.status, lines))
            answer_to(party, peer.handshake(token, method), told)
    return told


def answer_to(party: Party, request: Request, told: list[str]) -> Response:
    """All that comes of one request, which gets a branch of its own."""
    at = request.names.index("via")
    request.lines[at] = f"Via: {party.via(party.new_branch())}"
    party >> request
    answer = party.inbox.pop(0)
    assert isinstance(answer, Response) and not party.inbox
    told.append(bare(answer))
    return answer


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize(
    "name", ["CORP\\alice", "alice@corp.contoso.com", "CORP\\gone", "CORP\\hashless", "alice", "x"]
)
def test_ntlm(name: str, version: int, method: str) -> None:
    """Wrong password, disabled, without an NT hash: the same as for a name that nobody has."""
    told = shakes_hands(name, 12, version, method)
    assert told == shakes_hands("CORP\\nobody", 12, version, method)
    assert any("gssapi-data" in text for text in told)
    assert any(text.startswith("SIP/2.0 403") for text in told), "the lock is part of it"


def signs_in(names: tuple[str, ...], last: str = "guessed") -> list[tuple[int, int]]:
    """The answers to a guess by each name in turn, and how many header lines each has."""
    there, told = Site(accounts=AccountTable([TWO_NAMES])), []
    for number, name in enumerate(names, 1):
        came = Peer(there, name, password=last if number == len(names) else "guessed").sign_in()
        told.append((came.status, len(came.headers)) if isinstance(came, Answer) else (200, 0))
    return told


@pytest.mark.parametrize("other", SPELLINGS)
@pytest.mark.parametrize("turned", [False, True])
def test_spellings_by_ntlm(other: str, turned: bool) -> None:
    told = []
    for name in ("alice", "nobody"):
        one, then = f"CORP\\{name}", other.format(name)
        told.append(signs_in((one,) * 4 + (then,) * 2 if not turned else (then,) * 4 + (one,) * 2))
    assert told[0] == told[1] and told[0][-1] == (403, 1)


def test_two_names_of_an_account_by_ntlm() -> None:
    for last in ("guessed", "secret"):
        told = signs_in(("CORP\\alice",) * 4 + ("liz",) * 2, last)
        assert told == signs_in(("CORP\\nobody",) * 4 + ("somebody",) * 2)
    assert signs_in(("CORP\\alice", "liz"), "secret")[-1] == (200, 0), "the comparison sees a difference"


# who asks without any credentials


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize(
    "method", ["REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE", "MESSAGE", "CANCEL", "ACK", "BYE", "FOO"]
)
def test_who_there_is_cannot_be_asked(method: str, transport: str) -> None:
    """As scanners do: by Request-URI, To and From. A user with an endpoint, one without, one who is disabled, a contact
    object, and nobody."""
    told = []
    for name in ("alice", "bobby", "carol", "ghost", "nobdy"):
        world = Watched()
        world.directory.now_has(*ACCOUNTS, account("bobby"))
        alice = Person(world.phone("alice", host="198.51.100.8"))
        alice.register()
        party = world.phone(name, transport)
        party >> party.request(method, f"sip:{name}@{DOMAIN}")
        told.append([bare(answer).replace(name, "?") for answer in party.inbox])
        party.inbox.clear()
        party >> party.request(method, CONTACT_OBJECT)
        party >> party.request(method, f"sip:{FQDN}", to=f"sip:{name}@{DOMAIN}")
        told[-1] += [bare(answer).replace(name, "?") for answer in party.inbox]
        alice.party.nothing()
    assert all(each == told[0] for each in told)
    assert bool(told[0]) == (method != "ACK")
