"""The options of a login: where the password comes from, and that it shows nowhere."""

import os
import pty
import sys
from pathlib import Path

import pytest

from sipgw.management.login import VARIABLE
from sipgw.options import ClientOptions
from tests.management.conftest import Run

WHO = ("client", "--user", "alice@contoso.com", "--server", "tcp:127.0.0.1:9")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[ClientOptions]:
    """What the client is given."""
    options: list[ClientOptions] = []

    async def run_client(given: ClientOptions) -> int:
        options.append(given)
        return 0

    monkeypatch.setattr("sipgw.server.client_app.run_client", run_client)
    return options


def test_without_a_login_there_is_none(sipgw: Run, taken: list[ClientOptions]) -> None:
    assert sipgw(*WHO, config=None).status == 0
    assert (taken[0].login, taken[0].password, taken[0].auth) == ("", "", "auto")


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\nmore\n", "secret"),
        (b" se cret \n", " se cret "),
        ("\ufeffgrüße\n".encode(), "grüße"),
    ],
)
def test_a_file_of_which_the_first_line_counts(
    sipgw: Run, taken: list[ClientOptions], tmp_path: Path, data: bytes, password: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(data)
    given = ("--login", "CORP\\alice", "--password-file", file, "--auth", "ntlm")
    assert sipgw(*WHO, *given, config=None).status == 0
    assert (taken[0].login, taken[0].password, taken[0].auth) == ("CORP\\alice", password, "ntlm")
    assert password not in repr(taken[0])


def test_the_environment(sipgw: Run, taken: list[ClientOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "secret")
    assert sipgw(*WHO, "--login", "alice", config=None).status == 0
    assert taken[0].password == "secret"


def test_a_file_goes_before_the_environment(
    sipgw: Run, taken: list[ClientOptions], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "other")
    file = tmp_path / "password"
    file.write_text("secret")
    sipgw(*WHO, "--login", "alice", "--password-file", file, config=None)
    assert taken[0].password == "secret"


def test_on_a_terminal_it_is_asked_for(sipgw: Run, taken: list[ClientOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def prompt(text: str, hide_input: bool, err: bool) -> str:
        asked.append((text, hide_input))
        return "secret"

    monkeypatch.setattr("click.prompt", prompt)
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert sipgw(*WHO, "--login", "alice", config=None).status == 0
    assert (asked, taken[0].password) == ([("Password of alice", True)], "secret")


def test_kerberos_needs_none(sipgw: Run, taken: list[ClientOptions]) -> None:
    assert sipgw(*WHO, "--login", "alice", "--auth", "kerberos", config=None).status == 0
    assert taken[0].password == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--auth", "ntlm"), "--password-file and --auth need --login NAME"),
        (("--login", ""), "is no account name; write one like alice, CORP\\alice"),
        (("--login", "a b"), "is no account name"),
        (("--login", "alice", "--auth", "basic"), "'basic' is not one of 'auto', 'ntlm', 'digest', 'kerberos'"),
        (("--login", "alice"), f"--login needs a password: --password-file FILE, or {VARIABLE} in the environment"),
        (("--login", "alice", "--password-file", "nowhere"), "nowhere"),
        (("--login", "alice", "--password", "secret"), "No such option '--password'"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(sipgw: Run, arguments: tuple[str, ...], text: str) -> None:
    found = sipgw(*WHO, *arguments, config=None)
    assert found.status == 2 and text in found.err and found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "has to be a text of 1 to 256 characters"),
        (b"\nsecret\n", "has to be a text of 1 to 256 characters"),
        (b"x" * 5000, "has to be a text of 1 to 256 characters"),
        (b"\xff\xfes\0", "is not text in UTF-8"),
    ],
)
def test_a_file_that_has_no_password(sipgw: Run, tmp_path: Path, data: bytes, text: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(data)
    found = sipgw(*WHO, "--login", "alice", "--password-file", file, config=None)
    assert found.status == 2 and text in found.err and str(file) in found.err and found.err.count("\n") == 1


def test_an_empty_variable_is_no_password(sipgw: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    found = sipgw(*WHO, "--login", "alice", config=None)
    assert found.status == 2 and f"the password in {VARIABLE} has to be" in found.err
