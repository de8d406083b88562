"""`sipgw cmdlet`: where lines come from, what goes where, questions, and how it ends."""

import csv
import io
import json
import os
import pty
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sipgw.auth.accounts import Account
from sipgw.management.cmdlets import accounts, message_cmdlet
from sipgw.management.cmdlets.command import Terminal
from sipgw.management.cmdlets.transaction import Outcome as Heard
from sipgw.management.cmdlets.transaction import Transaction
from sipgw.server.directory_entries import Found
from sipgw.server.directory_search import DirectoryError
from tests.management.conftest import Outcome, Run, edit

NEW = "New-CsPersistentChatEndpoint -SipAddress sip:{}@contoso.com -PersistentChatPoolFqdn pc.contoso.com"
SHOW = "Get-CsPersistentChatEndpoint | Select-Object -ExpandProperty SipAddress"
DECLARED = "sip:ocschat@contoso.com\n"
RUNBOOK = f"""\ufeff# Cut-over\r
Import-Module SkypeForBusiness\r
\r
{NEW.format("chat2")} `\r
    -DisplayName 'Second'\r
{SHOW}\r
"""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal on standard input; what is written to the descriptor is typed there."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        yield master
    os.close(master)


def test_a_file(sipgw: Run, tmp_path: Path) -> None:
    (tmp_path / "run.ps1").write_text(RUNBOOK, "utf-8")
    found = sipgw("cmdlet", "--file", str(tmp_path / "run.ps1"))
    assert found == (0, f"{DECLARED}sip:chat2@contoso.com\n", "")


@pytest.mark.parametrize("arguments", [("-",), ()])
def test_standard_input(sipgw: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(RUNBOOK))
    assert sipgw("cmdlet", *arguments).out == f"{DECLARED}sip:chat2@contoso.com\n"


def test_a_mistake_in_a_file_has_its_line_and_nothing_after_it_is_done(sipgw: Run, tmp_path: Path) -> None:
    lines = [NEW.format("a"), "", NEW.format("a"), NEW.format("b")]
    (tmp_path / "run.ps1").write_text("\n".join(lines), "utf-8")
    found = sipgw("cmdlet", "--file", str(tmp_path / "run.ps1"))
    assert found.status == 1 and "exists already" in found.err and "At line:3 char:1" in found.err
    assert sipgw("cmdlet", SHOW).out == f"{DECLARED}sip:a@contoso.com\n"
    again = sipgw("cmdlet", "--file", str(tmp_path / "run.ps1"), "--error-action", "continue")
    assert again.status == 1 and again.err.count("exists already") == 2
    assert sipgw("cmdlet", SHOW).out == f"{DECLARED}sip:a@contoso.com\nsip:b@contoso.com\n"


def test_what_cannot_be_read_throughout_is_not_begun(sipgw: Run) -> None:
    found = sipgw("cmdlet", f"{NEW.format('a')}\n{SHOW}\nGet-CsPersistentChatEndpoint 'a")
    assert found.status == 1 and "At line:3 char:30" in found.err
    assert sipgw("cmdlet", SHOW).out == DECLARED


def test_a_runbook_is_rehearsed(sipgw: Run, tmp_path: Path) -> None:
    (tmp_path / "run.ps1").write_text(RUNBOOK, "utf-8")
    found = sipgw("cmdlet", "--file", str(tmp_path / "run.ps1"), "--what-if")
    performing = 'Performing the operation "New-CsPersistentChatEndpoint" on target "sip:chat2@contoso.com".'
    assert found == (0, f"What if: {performing}\n{DECLARED}sip:chat2@contoso.com\n", "")
    assert sipgw("cmdlet", SHOW).out == DECLARED, "nothing was changed"


ALICE_USER = '[[user]]\nuri = "sip:alice@contoso.com"\npassword = "secret"\n'
WHOLE = f"""
Disable-CsUser alice
{NEW.format("alice")}
{NEW.format("alice")} -ErrorAction Continue
{SHOW}
Set-CsPersistentChatActiveServer -ActiveServers $null
(Get-CsService -PersistentChatServer).InactiveServers
Remove-CsPersistentChatEndpoint alice@contoso.com
Enable-CsUser alice
(Get-CsUser alice).Enabled
{NEW.format("b")} -WhatIf
Get-CsUser | Export-Csv users.csv
{SHOW}
"""


def test_in_a_rehearsal_a_line_finds_what_those_before_it_would_have_changed(
    sipgw: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    users = tmp_path / "users.toml"
    users.write_text(ALICE_USER, "utf-8")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found = sipgw("cmdlet", "--what-if", WHOLE)
    assert [line for line in found.out.splitlines() if not line.startswith("What if:")] == [
        *(DECLARED.strip(), "sip:alice@contoso.com", "127.0.0.1", "True", DECLARED.strip()),
    ]
    assert found.out.count("What if:") == 7 and "users.csv" in found.out
    assert "sip:alice@contoso.com exists already" in found.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    refused = sipgw("cmdlet", "--what-if", NEW.format("alice"))
    assert refused.status == 1 and "is held by the user alice" in refused.err


CREDENTIAL = '$cred1 = Get-Credential "litwareinc\\pilar"; $cred1 | fl; "$cred1"; $cred1.UserName; $cred1'


def test_a_password_is_taken_and_never_shown(sipgw: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("bob other\n\nLITWAREINC\\pilar pass wort 1\n", "utf-8")
    for options, variable in ((("--credentials", str(secrets)), ""), ((), "pass wort 1")):
        if variable:
            monkeypatch.setenv("SIPGW_PASSWORD", variable)
        for more in ((), ("--json",)):
            found = sipgw("cmdlet", *options, *more, CREDENTIAL)
            assert found.status == 0 and "litwareinc\\pilar" in found.out.replace("\\\\", "\\")
            assert "pass wort" not in found.out + found.err
    assert "System.Security.SecureString" in sipgw("cmdlet", CREDENTIAL).out


@pytest.mark.usefixtures("typed")
def test_a_password_is_asked_for(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def prompt(text: str, hide_input: bool, err: bool) -> str:
        asked.append((text, hide_input))
        return "pass wort 1"

    monkeypatch.setattr("click.prompt", prompt)
    found = sipgw("cmdlet", CREDENTIAL)
    assert found.status == 0 and "UserName : litwareinc\\pilar" in found.out
    assert asked == [("Password of litwareinc\\pilar", True)]
    assert "pass wort" not in found.out + found.err


def test_microsofts_own_example(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Test-CsPersistentChatMessage, as it stands on the page."""
    given: list[Mapping[str, tuple[str, str]]] = []

    async def transaction(wanted: Transaction) -> Heard:
        given.append(wanted.logins)
        return Heard(latency=0.5)

    monkeypatch.setattr(message_cmdlet, "run_transaction", transaction)
    monkeypatch.setattr(Terminal, "password", lambda self, name, variable: f"of {name}")
    script = (
        '$cred1 = Get-Credential "litwareinc\\pilar"\n$cred2 = Get-Credential "litwareinc\\kenmyer"\n'
        'Test-CsPersistentChatMessage -TargetFqdn "pool.litwareinc.com" -SenderSipAddress "sip:pilar@litwareinc.com" '
        '-SenderCredential $cred1 -ReceiverSipAddress "sip:kenmyer@litwareinc.com" -ReceiverCredential $cred2 '
        '-ChatRoomUri "ma-chan://litwareinc.com/1" -RegistrarPort 5060'
    )
    found = sipgw("cmdlet", script)
    assert found.status == 0 and "Result        : Success" in found.out, found
    assert given == [
        {
            "sip:pilar@litwareinc.com": ("litwareinc\\pilar", "of litwareinc\\pilar"),
            "sip:kenmyer@litwareinc.com": ("litwareinc\\kenmyer", "of litwareinc\\kenmyer"),
        }
    ]


def test_script_blocks_within_each_other_are_bounded(sipgw: Run) -> None:
    found = sipgw("cmdlet", f"{NEW.format('a')}; 'x'{' | % {{ $_' * 200}{'}' * 200}".replace("{{", "{"))
    assert found.status == 1 and "too many script blocks within each other" in found.err
    assert sipgw("cmdlet", "'x' | % { $_ | % { \"$_ $_\" } }").out == "x x\n"
    assert sipgw("cmdlet", SHOW).out == DECLARED


@pytest.mark.parametrize("text", [b"bob\n", b"\xff\xfe"])
def test_a_file_of_passwords_that_is_none(sipgw: Run, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "secrets").write_bytes(b"alice hidden\n" + text)
    found = sipgw("cmdlet", "--credentials", str(tmp_path / "secrets"), "Get-CsUser")
    assert found.status == 2 and "secrets" in found.err and "hidden" not in found.err


def test_disabling_and_enabling_are_on_record(sipgw: Run, tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text(ALICE_USER, "utf-8")
    sipgw("cmdlet", "Disable-CsUser alice; Enable-CsUser alice")
    sipgw("user", "disable", "sip:alice@contoso.com")
    sipgw("user", "enable", "sip:alice@contoso.com")
    lines = [json.loads(line) for line in (tmp_path / "sipgw.db-audit.jsonl").read_text("utf-8").splitlines()]
    done = [(line["what"], line["subject"], line["after"]) for line in lines if line["state"] == "done"]
    off = ("user.disable", "sip:alice@contoso.com", {"enabled": False})
    on = ("user.enable", "sip:alice@contoso.com", {"enabled": True})
    assert done == [off, on, off, on]


def test_files(sipgw: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = f"""{NEW.format("a")} -DisplayName 'A, "B"'
Get-CsPersistentChatEndpoint | select SipAddress, DisplayName | Export-Csv endpoints.csv -NoTypeInformation
Get-CsPersistentChatEndpoint | select SipAddress, DisplayName | Export-Csv endpoints.csv -Append -Delimiter ';'
'text', 'more' | Out-File text
Get-CsPersistentChatEndpoint a@contoso.com | Tee-Object text -Append | fl SipAddress"""
    assert sipgw("cmdlet", lines) == (0, "\nSipAddress : sip:a@contoso.com\n\n", "")
    rows = list(csv.reader((tmp_path / "endpoints.csv").read_text("utf-8").splitlines()[:3]))
    assert rows == [
        ["SipAddress", "DisplayName"],
        ["sip:ocschat@contoso.com", "Old chat"],
        ["sip:a@contoso.com", 'A, "B"'],
    ]
    assert (tmp_path / "endpoints.csv").read_text("utf-8").count("\n") == 5
    assert (tmp_path / "text").read_text("utf-8").startswith("text\nmore\n\nIdentity")


def test_nobody_talks_in_a_rehearsal(sipgw: Run, gw: Path) -> None:
    edit(gw, ('"tcp:127.0.0.1:0"', '"tcp:127.0.0.1:1"'))
    line = "Test-CsPersistentChatMessage -sa sip:alice@contoso.com -ra sip:bob@contoso.com"
    found = sipgw("cmdlet", "--what-if", line)
    performing = 'Performing the operation "Test-CsPersistentChatMessage" on target "sip:ocschat@contoso.com".'
    assert found == (0, f"What if: {performing}\n", "")
    refused = sipgw("cmdlet", line)
    assert refused.status == 1 and "Result        : Failure" in refused.out and refused.err == ""
    assert "Error Message : no gateway runs at tcp:127.0.0.1:1: " in refused.out
    assert "Diagnosis     : while signing in sip:alice@contoso.com and finding sip:ocschat@contoso.com" in refused.out


@pytest.mark.parametrize("user", ["alice@contoso.com", "m1@fabrikam.com"])
def test_an_endpoint_of_ones_own_domain_is_taken(sipgw: Run, gw: Path, user: str) -> None:
    """As a client would, whichever was made first."""
    edit(
        gw,
        ('"tcp:127.0.0.1:0"', '"tcp:127.0.0.1:1"'),
        ("[gateway]", '[gateway]\ndomains = ["contoso.com", "fabrikam.com"]'),
    )
    sipgw("endpoint", "new", "--sip-address", "chat@fabrikam.com", "--pool-fqdn", "pc.contoso.com")
    found = sipgw("cmdlet", "--what-if", f"Test-CsPersistentChatMessage -sa {user} -ra bob@contoso.com")
    wanted = {"contoso.com": "sip:ocschat@contoso.com", "fabrikam.com": "sip:chat@fabrikam.com"}[user.partition("@")[2]]
    assert f'on target "{wanted}"' in found.out


def test_json_is_one_array(sipgw: Run) -> None:
    found = sipgw("cmdlet", "--json", f"{NEW.format('a')} -PassThru; Get-CsPersistentChatState | ft; 'text'")
    made, state, text = json.loads(found.out)
    assert (made["SipAddress"], made["Enabled"], made["Declared"]) == ("sip:a@contoso.com", True, False)
    assert state == {"Identity": "PersistentChatServer:pc.contoso.com", "PoolState": "Normal"}
    assert text == "text"
    what_if = sipgw("cmdlet", "--json", f"{NEW.format('b')} -WhatIf")
    assert json.loads(what_if.out) == [] and what_if.err.startswith("What if: ")
    failed = sipgw("cmdlet", "--json", "Get-CsPersistentChatEndpoint x")
    assert failed.status == 1 and json.loads(failed.out) == []


@pytest.mark.parametrize(
    ("answers", "made"),
    [("y\ny\n", "ab"), ("\nn\n", "a"), ("n\nY\n", "b"), ("A\n", "ab"), ("l\n", "")],
)
def test_questions(sipgw: Run, typed: int, answers: str, made: str) -> None:
    os.write(typed, answers.encode())
    for name in "ab":
        sipgw("endpoint", "new", "--sip-address", f"{name}@contoso.com", "--pool-fqdn", "pc.contoso.com")
    pipeline = "Get-CsPersistentChatEndpoint -Filter {Declared -eq $false} | Remove-CsPersistentChatEndpoint -Confirm"
    asked = sipgw("cmdlet", pipeline)
    assert asked.status == 0
    assert 'Performing the operation "Remove-CsPersistentChatEndpoint" on target "sip:a@contoso.com".' in asked.err
    left = "".join(f"sip:{name}@contoso.com\n" for name in "ab" if name not in made)
    assert sipgw("cmdlet", SHOW).out == DECLARED + left


def test_the_list_of_cmdlets(sipgw: Run) -> None:
    listed = sipgw("cmdlet", "--list", config=None).out
    assert "New-CsPersistentChatEndpoint\n    Make a contact object that leads to a pool.\n    -SipAddress" in listed


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("Get-CsUser", "--file", "FILE"), "give a LINE or --file, not both"),
        (("--file", "FILE"), "FILE is not UTF-8; save it as that"),
        (("--error-action", "x", "Get-CsUser"), "one of Continue, Ignore, SilentlyContinue, Stop"),
    ],
)
def test_command_lines_that_cannot_be_read(sipgw: Run, tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    path = tmp_path / "run.ps1"
    path.write_bytes(b"\xff\xfe")
    found = sipgw("cmdlet", *(word.replace("FILE", str(path)) for word in arguments))
    assert found.status == 2 and text.replace("FILE", str(path)) in found.err and found.err.count("\n") == 1


ALICE = Account("sip:alice@contoso.com", ("CORP\\alice",))


@pytest.fixture
def directory(gw: Path, monkeypatch: pytest.MonkeyPatch) -> list[Account]:
    """A configuration whose users are in a directory, and these."""
    edit(gw, ("[[pool]]", '[auth]\nusers = "ldap://127.0.0.1:1"\n[directory]\nbase = "dc=contoso,dc=com"\n[[pool]]'))
    users = [ALICE]
    monkeypatch.setattr(accounts, "read_directory", lambda source: Found(list(users)))
    return users


def test_a_directory_is_only_read(sipgw: Run, directory: list[Account]) -> None:
    assert sipgw("cmdlet", "Get-CsUser | Select-Object -ExpandProperty SipAddress").out == "sip:alice@contoso.com\n"
    refused = sipgw("cmdlet", "Disable-CsUser alice@contoso.com")
    assert refused.status == 1
    told = "the users are in the directory ldap://127.0.0.1:1, which sipgw only reads; clear msRTCSIP-UserEnabled there"
    assert told in refused.err
    held = sipgw("cmdlet", NEW.format("alice"))
    assert "sip:alice@contoso.com is held by the user CORP\\alice in ldap://127.0.0.1:1" in held.err
    directory.clear()
    assert sipgw("cmdlet", NEW.format("alice")) == (0, "", "")


def test_a_directory_that_is_away_is_warned_of(
    sipgw: Run, directory: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(source: object) -> Found:
        raise DirectoryError("ldap://127.0.0.1:1: Can't contact LDAP server")

    monkeypatch.setattr(accounts, "read_directory", away)
    made = sipgw("cmdlet", NEW.format("a"))
    reason = "ldap://127.0.0.1:1: Can't contact LDAP server"
    told = f"not known whether sip:a@contoso.com belongs to a user: {reason}"
    assert made == (0, "", f"WARNING: {told}\n")
    command = sipgw("endpoint", "new", "--sip-address", "b@contoso.com", "--pool-fqdn", "pc.contoso.com")
    assert command.status == 0 and command.err == f"sipgw: warning: {told.replace('sip:a', 'sip:b')}\n"
    stopped = sipgw("cmdlet", f"{NEW.format('c')} -WarningAction Stop")
    assert stopped.status == 1 and "a warning, and -WarningAction is Stop" in stopped.err
    assert "sip:c@" not in sipgw("cmdlet", SHOW).out
    assert "Can't contact LDAP server" in sipgw("cmdlet", "Get-CsUser").err


def test_an_endpoint_is_refused_where_a_user_holds_the_address(sipgw: Run, tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text('[[user]]\nuri = "sip:alice@contoso.com"\npassword = "secret"\n', "utf-8")
    refused = sipgw("endpoint", "new", "--sip-address", "alice@contoso.com", "--pool-fqdn", "pc.contoso.com")
    assert refused.status == 1 and "sip:alice@contoso.com is held by the user alice" in refused.err
    assert (
        disabled_text(sipgw, tmp_path)
        == '[[user]]\nenabled = false\nuri = "sip:alice@contoso.com"\npassword = "secret"\n'
    )


def disabled_text(sipgw: Run, folder: Path) -> str:
    done: Outcome = sipgw("cmdlet", "Disable-CsUser alice")
    assert done == (0, "", "")
    return (folder / "users.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (
            '# one\n[[user]] # alice\nuri = "sip:alice@contoso.com"\nenabled = true # yet\npassword = "s"\n',
            '# one\n[[user]] # alice\nuri = "sip:alice@contoso.com"\nenabled = false # yet\npassword = "s"\n',
        ),
        (
            '[[user]]\nuri = "sip:bob@contoso.com"\npassword = """\n[[user]]\n"""\n'
            '[[user]]\nuri = "sip:alice@contoso.com"\n',
            '[[user]]\nuri = "sip:bob@contoso.com"\npassword = """\n[[user]]\n"""\n'
            '[[user]]\nenabled = false\nuri = "sip:alice@contoso.com"\n',
        ),
    ],
)
def test_the_rest_of_the_file_of_users_stays(sipgw: Run, tmp_path: Path, text: str, changed: str) -> None:
    (tmp_path / "users.toml").write_text(text, "utf-8")
    assert disabled_text(sipgw, tmp_path) == changed


def test_an_entry_of_another_form_is_left_to_an_editor(sipgw: Run, tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text('user = [{uri = "sip:alice@contoso.com", password = "s"}]\n', "utf-8")
    found = sipgw("cmdlet", "Disable-CsUser alice")
    assert found.status == 1 and "user[0]: is not written as [[user]] is; disable it in an editor" in found.err
