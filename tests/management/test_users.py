"""`sipgw user`: entries come and go, the rest of the file stays, secrets show nowhere."""

import io
import json
from pathlib import Path

import pytest

from sipgw.auth.password import ha1_of, nt_hash
from sipgw.config.users import UsersRules, load_users
from tests.management.conftest import Outcome, Run

RULES = UsersRules("contoso.com", ("contoso.com",))
ALICE, BOB = "sip:alice@contoso.com", "sip:bob@contoso.com"
PASSWORD = 'pass "word" \\ \N{GREEK SMALL LETTER OMEGA}'


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return tmp_path / "users.toml"


@pytest.fixture
def add(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`sipgw user add` with a password on standard input."""

    def run(*arguments: str, password: str = PASSWORD) -> Outcome:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        done = sipgw("user", "add", "--password-stdin", *arguments)
        assert PASSWORD not in done.out + done.err
        return done

    return run


def test_add_list_remove(add: Run, sipgw: Run, users: Path) -> None:
    added = add("SIP:Alice@Contoso.com", "--name", "alice", "--name", "CORP\\alice")
    assert added == (0, f"{ALICE} signs in as alice, CORP\\alice; in Digest as alice\n", "")
    assert add(BOB, "--disabled").status == 0
    assert json.loads(sipgw("user", "list", "--json").out) == [
        {
            "uri": ALICE,
            "names": ["alice", "CORP\\alice"],
            "ntlm": True,
            "digest": ["SHA-256", "SHA-512-256", "MD5"],
            "enabled": True,
        },
        {"uri": BOB, "names": ["bob"], "ntlm": True, "digest": ["SHA-256", "SHA-512-256", "MD5"], "enabled": False},
    ]
    assert sipgw("user", "remove", "alice@contoso.com") == (0, f"{ALICE} is removed\n", "")
    assert [one["uri"] for one in json.loads(sipgw("user", "list", "--json").out)] == [BOB]
    assert sipgw("user", "remove", BOB).status == 0
    assert json.loads(sipgw("user", "list", "--json").out) == []
    assert add(ALICE).status == 0
    assert len(load_users(users, RULES)) == 1


def test_disabled_and_enabled(add: Run, sipgw: Run, users: Path) -> None:
    add(ALICE)
    before = users.read_text("utf-8")
    for _ in range(2):
        assert sipgw("user", "disable", ALICE) == (0, f"{ALICE} may no longer sign in\n", "")
        assert not json.loads(sipgw("user", "list", "--json").out)[0]["enabled"]
    assert json.loads(sipgw("user", "enable", ALICE, "--json").out)["enabled"]
    assert users.read_text("utf-8").replace("enabled = true\n", "") == before.replace("enabled = true\n", "")
    assert load_users(users, RULES).find("alice") is not None
    for verb in ("enable", "disable"):
        gone = sipgw("user", verb, BOB)
        assert gone.status == 1 and f"there is no user {BOB}" in gone.err
    sipgw("user", "disable", ALICE)
    assert sipgw("endpoint", "new", "--sip-address", ALICE, "--pool-fqdn", "pc.contoso.com").status == 0
    held = sipgw("user", "enable", ALICE)
    assert held.status == 1 and "is an endpoint, to pc.contoso.com" in held.err


def test_what_is_written_is_what_the_password_gives(add: Run, users: Path) -> None:
    add(ALICE, "--name", "J\xf6rg")
    account = load_users(users, RULES).find("j\xf6rg")
    assert account is not None
    assert account.nt_hash == nt_hash(PASSWORD)
    assert account.ha1 == ha1_of("J\xf6rg", "contoso.com", PASSWORD)
    assert "word" not in users.read_text("utf-8").partition("[[user]]")[2]
    assert users.stat().st_mode & 0o777 == 0o600


def test_clear_only_where_asked_for(add: Run, users: Path) -> None:
    add(ALICE, "--clear")
    assert "nt_hash =" not in users.read_text("utf-8")
    account = load_users(users, RULES).find("alice")
    assert account is not None and account.nt_hash == nt_hash(PASSWORD)


def test_table(add: Run, sipgw: Run) -> None:
    add(ALICE)
    add(BOB, "--name", "[red]bob", "--disabled")
    lines = [line.split() for line in sipgw("user", "list").out.splitlines()]
    assert lines == [
        ["address", "names", "NTLM", "Digest"],
        [ALICE, "alice", "yes", "SHA-256", "SHA-512-256", "MD5"],
        [BOB, "[red]bob", "yes", "SHA-256", "SHA-512-256", "MD5", "disabled"],
    ]


def test_one_that_is_there_is_replaced_only_when_said(add: Run, users: Path) -> None:
    add(ALICE)
    refused = add(ALICE, password="other")
    assert refused.status == 1
    assert "is there already; give --replace" in refused.err
    assert add(ALICE, "--replace", password="other").status == 0
    account = load_users(users, RULES).find("alice")
    assert account is not None and account.nt_hash == nt_hash("other")


def test_what_somebody_wrote_stays(add: Run, sipgw: Run, users: Path) -> None:
    ours = (
        '# Ours.\nrealm = "contoso.com"\n\n# the boss\n[[user]]\nuri = "sip:boss@contoso.com"  # herself\n\n# staff\n'
    )
    users.write_text(f'{ours}[[ user ]]\nuri = "sip:x@contoso.com"\npassword = """\n[[user]]\n"""\n# the end\n')
    users.chmod(0o640)
    add(ALICE)
    sipgw("user", "remove", ALICE)
    assert users.read_text().startswith(ours)
    assert users.read_text().endswith("# the end\n")
    assert users.stat().st_mode & 0o777 == 0o640
    assert sipgw("user", "remove", "sip:boss@contoso.com").status == 0
    text = users.read_text()
    assert "# staff\n[[ user ]]" in text and "herself" not in text


def test_an_entry_in_another_form_is_left_to_its_writer(sipgw: Run, users: Path) -> None:
    text = f'user = [{{ uri = "{ALICE}" }}]\n'
    users.write_text(text)
    done = sipgw("user", "remove", ALICE)
    assert (done.status, done.out) == (1, "")
    assert done.err == f"sipgw: {users}: user[0]: is not written as [[user]] is; remove it in an editor\n"
    assert users.read_text() == text


@pytest.mark.parametrize("text", ["user = 5", "[[user]]\nuri = 'sip:x@elsewhere.com'", "nonsense", "realm = 'x'"])
def test_a_file_that_is_wrong_is_not_touched(add: Run, users: Path, text: str) -> None:
    users.write_text(text)
    done = add(ALICE)
    assert done.status == 1 and str(users) in done.err
    assert users.read_text() == text
    assert sorted(path.name for path in users.parent.iterdir()) == ["gw.toml", "users.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sip:alice@elsewhere.com"], "is not in one of gateway.domains"),
        (["sip:ocschat@contoso.com"], "is an endpoint"),
        ([ALICE, "--name", "a:b"], "is no account name"),
        ([ALICE, "--name", "bob"], ""),
        (["alice"], "is not of the form sip:user@domain"),
    ],
)
def test_what_cannot_be_added(add: Run, arguments: list[str], said: str) -> None:
    done = add(*arguments)
    assert (done.status != 0) == bool(said)
    assert said in done.err and done.err.count("\n") == bool(said)


def test_an_empty_password_is_none(add: Run, users: Path) -> None:
    done = add(ALICE, password="")
    assert done.status == 2
    assert "the password has to be a text" in done.err
    assert not users.exists()


def test_removing_one_that_is_not_there(sipgw: Run, users: Path) -> None:
    done = sipgw("user", "remove", ALICE)
    assert done.status == 1
    assert done.err == f"sipgw: {users}: there is no user {ALICE}; `sipgw user list` shows those that there are\n"
    assert not users.exists()


def test_asked_twice_on_a_terminal(sipgw: Run, users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one", "two", PASSWORD, PASSWORD])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: pytest.fail("it would show"))
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: next(answers))
    assert sipgw("user", "add", ALICE).status == 0
    account = load_users(users, RULES).find("alice")
    assert account is not None and account.nt_hash == nt_hash(PASSWORD)


def test_users_in_a_directory_are_not_made_here(sipgw: Run, gw: Path) -> None:
    gw.write_text(gw.read_text() + '[auth]\nusers = "ldap://dc.contoso.com"\n[directory]\nbase = "dc=contoso,dc=com"\n')
    for command in (["list"], ["remove", ALICE]):
        done = sipgw("user", *command)
        assert done.status == 1
        assert "auth.users is the directory ldap://dc.contoso.com:389" in done.err
