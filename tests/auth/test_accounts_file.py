"""The file of users: what may stand in it, every mistake at once, and changes while it is used."""

import re
from pathlib import Path

import pytest

from sipgw.auth.accounts import Account
from sipgw.auth.password import ha1_of, nt_hash
from sipgw.config import ConfigError
from sipgw.config.users import UsersFile, UsersRules, load_users, readable_by_others

RULES = UsersRules("contoso.com", ("contoso.com", "fabrikam.com"), frozenset({"sip:ocschat@contoso.com"}))
HA1 = ha1_of("alice", "contoso.com", "secret")
FULL = f"""
realm = "contoso.com"
[[user]]
uri = "sip:Alice@contoso.com"
names = ["alice", 'CORP\\Alice']
nt_hash = "{nt_hash("secret").hex().upper()}"
ha1 = {{ SHA-256 = "{HA1["SHA-256"]}", SHA-512-256 = "{HA1["SHA-512-256"]}", MD5 = "{HA1["MD5"]}" }}
enabled = false
"""


def load(folder: Path, text: str) -> list[str]:
    """What is wrong with a file of this text, without file and line."""
    path = folder / "users.toml"
    path.write_text(text, "utf-8")
    try:
        load_users(path, RULES)
    except ConfigError as error:
        return [re.sub(rf"\A{re.escape(str(path))}(:[0-9]+)?: ", "", problem) for problem in error.problems]
    return []


def accounts(folder: Path, text: str) -> UsersFile:
    path = folder / "users.toml"
    path.write_text(text, "utf-8")
    return UsersFile(path, RULES)


def test_an_entry_with_everything(tmp_path: Path) -> None:
    found = accounts(tmp_path, FULL).find("corp\\alice")
    assert found == Account("sip:alice@contoso.com", ("alice", "CORP\\Alice"), nt_hash("secret"), HA1, False)


def test_an_entry_with_a_clear_password_and_the_default_name(tmp_path: Path) -> None:
    file = accounts(tmp_path, '[[user]]\nuri = "sip:alice@contoso.com"\npassword = "secret"')
    assert file.find("alice") == Account("sip:alice@contoso.com", ("alice",), nt_hash("secret"), HA1, True)


def test_an_entry_without_credentials(tmp_path: Path) -> None:
    """As for Kerberos, whose tickets prove the name."""
    file = accounts(tmp_path, '[[user]]\nuri = "sip:alice@contoso.com"\nnames = ["alice@corp.contoso.com"]')
    found = file.find("alice@corp.contoso.com")
    assert found is not None and found.nt_hash == b"" and found.ha1 == {}


def test_an_empty_file_has_no_users(tmp_path: Path) -> None:
    assert len(accounts(tmp_path, "")) == 0


def test_every_mistake_at_once(tmp_path: Path) -> None:
    problems = load(
        tmp_path,
        """
        realms = "contoso.com"
        [[user]]
        uri = "alice"
        nams = ["alice"]
        [[user]]
        names = ["a b", 5]
        nt_hash = "secret"
        ha1 = { SHA256 = "x" }
        password = 7
        enabled = "yes"
        """,
    )
    assert problems == [
        'realms: there is no such key; did you mean "realm"?',
        'user[0].uri: "alice" is not of the form sip:user@domain',
        'user[0].nams: there is no such key; did you mean "names"?',
        'user[1].uri: is missing; write uri = "sip:alice@contoso.com"',
        'user[1].names[0]: "a b" is no account name; write one like alice, CORP\\alice or alice@corp.contoso.com',
        "user[1].names[1]: is 5; write a text in quotes",
        "user[1].nt_hash: is not 32 hexadecimal digits; make the entry with `sipgw user add`",
        'user[1].ha1: has "SHA256", which is none of SHA-256, SHA-512-256, MD5',
        "user[1].password: is no password; write a text in quotes of 1 to 256 characters",
        'user[1].enabled: is "yes"; write true or false',
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('ha1 = "x"', "ha1: is no table; write { SHA-256 = \"…\" } as `sipgw user add` does"),
        ('ha1 = { MD5 = "zz" }', "ha1: MD5 is not 32 hexadecimal digits; make the entry with `sipgw user add`"),
        ('password = ""', "password: is no password; write a text in quotes of 1 to 256 characters"),
        (
            f'password = "x"\nnt_hash = "{"0" * 32}"',
            "password: stands beside nt_hash or ha1, which are made of one; remove either",
        ),
        ('names = "alice"', 'names: is "alice"; write an array in [ ]'),
        ('names = ["a:b"]', 'names[0]: "a:b" is no account name; write one like alice, CORP\\alice or '
                            "alice@corp.contoso.com"),
    ],
)  # fmt: skip
def test_mistakes_in_an_entry(tmp_path: Path, entry: str, problem: str) -> None:
    assert load(tmp_path, f'[[user]]\nuri = "sip:alice@contoso.com"\n{entry}') == [f"user[0].{problem}"]


def user(uri: str, *names: str) -> str:
    return f'[[user]]\nuri = "{uri}"\nnames = {list(names)}\n'


def test_what_two_have_and_what_nobody_can_be(tmp_path: Path) -> None:
    text = (
        user("sip:alice@contoso.com", "alice")
        + user("sip:ALICE@contoso.com", "al")
        + user("sip:bob@elsewhere.com", "Alice")
        + user("sip:ocschat@contoso.com", "chat")
    )
    assert load(tmp_path, text) == [
        "user[1].uri: sip:alice@contoso.com is that of user[0] too; remove one",
        "user[2].uri: sip:bob@elsewhere.com is not in one of gateway.domains; add its domain there",
        "user[2].names[0]: Alice is a name of user[0] too; each account needs names of its own",
        "user[3].uri: sip:ocschat@contoso.com is an endpoint; a user has to have another address",
    ]


def test_a_name_that_is_anothers_address(tmp_path: Path) -> None:
    text = user("sip:alice@contoso.com", "alice") + user("sip:bob@contoso.com", "SIP:alice@contoso.com")
    assert any("user[1].names[0]" in problem for problem in load(tmp_path, text))


def test_digests_belong_to_a_realm(tmp_path: Path) -> None:
    without = FULL.replace('realm = "contoso.com"', "")
    other = FULL.replace('realm = "contoso.com"', 'realm = "fabrikam.com"')
    assert load(tmp_path, without) == [
        'realm: is missing, and each ha1 is made for one; write realm = "contoso.com" if it is that'
    ]
    (problem,) = load(tmp_path, other)
    assert problem.startswith('realm: is "fabrikam.com", and the first of gateway.domains is contoso.com; make the ')


@pytest.mark.parametrize("text", ["user = 5", "[user]\nuri = 'sip:a@contoso.com'"])
def test_no_array_of_tables(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == ["user: is no array of tables; write [[user]]"]


def test_one_that_is_no_table(tmp_path: Path) -> None:
    assert load(tmp_path, "user = [5]") == ["user[0]: is 5; write a table"]


def test_a_file_that_is_not_toml_or_not_there(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, "password = topsecret")
    assert problem.startswith("not TOML") and "topsecret" not in problem
    with pytest.raises(ConfigError, match="No such file or directory; make it with `sipgw user add`"):
        load_users(tmp_path / "none.toml", RULES)
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_users(tmp_path / "latin.toml", RULES)


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipgw.config.users.MAX_USERS", 2)
    text = "".join(user(f"sip:u{at}@contoso.com", f"u{at}") for at in range(3))
    assert load(tmp_path, text) == ["user: there are 3; more than 2 belong into a directory (ldap://…)"]


def test_no_mistake_repeats_a_secret(tmp_path: Path) -> None:
    text = """
    [[user]]
    uri = "sip:alice@contoso.com"
    nt_hash = "topsecret"
    ha1 = { MD5 = "topsecret" }
    password = ["topsecret"]
    """
    problems = load(tmp_path, text)
    assert len(problems) == 3
    assert "topsecret" not in "".join(problems)


def test_changes_are_taken_when_good(tmp_path: Path) -> None:
    file = accounts(tmp_path, user("sip:alice@contoso.com", "alice"))
    path = tmp_path / "users.toml"
    assert file.look() is None
    path.write_text(user("sip:alice@contoso.com", "alice") + user("sip:bob@contoso.com", "bob"))
    assert file.look() == []
    assert file.find("bob") is not None
    assert file.look() is None
    path.write_text("user = 5")
    assert file.look() == [f"{path}:1: user: is no array of tables; write [[user]]"]
    assert file.look() is None  # said once
    assert file.find("bob") is not None
    path.unlink()
    assert file.look() is not None
    assert file.find("bob") is not None
    path.write_text("")
    assert file.look() == []
    assert file.find("bob") is None


def test_a_file_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text("")
    for mode, said in ((0o600, False), (0o640, True), (0o604, True)):
        path.chmod(mode)
        assert readable_by_others(path) is said
    assert not readable_by_others(tmp_path / "none")
