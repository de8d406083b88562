"""Who may use the admin API: tokens, hosts, origins."""

from pathlib import Path

import pytest

from sipgw.config import ConfigError, parse_config
from sipgw.server.admin.access import MAX_TOKENS, Access, access_of, read_tokens
from sipgw.server.admin.problems import Problem
from sipgw.server.audit import Actor

FIRST, SECOND = "0123456789abcdef", "fedcba9876543210"


def access(tmp_path: Path, text: str, listen: str = "127.0.0.1:0") -> Access:
    (tmp_path / "tokens").write_text(text, "utf-8")
    data = {"gateway": {"fqdn": "gw.contoso.com"}, "admin": {"token_file": "tokens", "listen": listen}}
    return access_of(parse_config(data, tmp_path / "sipgw.toml"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (FIRST, [("1", FIRST)]),
        (f"ops {FIRST}\n", [("ops", FIRST)]),
        (f"# two\n\nops   {FIRST}\n\tprometheus {SECOND}\n", [("ops", FIRST), ("prometheus", SECOND)]),
        (f"{FIRST}\n{SECOND}\n", [("1", FIRST), ("2", SECOND)]),
    ],
)
def test_files_of_tokens(tmp_path: Path, text: str, tokens: list[tuple[str, str]]) -> None:
    (tmp_path / "tokens").write_text(text, "utf-8")
    assert read_tokens(tmp_path / "tokens") == tokens


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", " holds no token"),
        ("# none\n", " holds no token"),
        ("ops short\n", "1: a token of 5 characters, which can be guessed"),
        (f"{FIRST}\nthe ops {FIRST}\n", "2: more than a name and a token"),
        (f"é{FIRST}", "1: a token with characters that no header has"),
        (f"{FIRST}\n" * (MAX_TOKENS + 1), " holds more than 100 tokens"),
    ],
)
def test_files_of_tokens_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as raised:
        read_tokens(path)
    assert str(raised.value).startswith(f"{path}:{said}")
    assert FIRST not in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_tokens(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_tokens(tmp_path / "binary")


def test_a_token_tells_who_it_is(tmp_path: Path) -> None:
    found = access(tmp_path, f"ops {FIRST}\nprometheus {SECOND}\n")
    assert found.actor(f"Bearer {SECOND}", "127.0.0.1:5") == Actor("api", "token prometheus", "127.0.0.1:5")
    assert found.actor(f"bearer  {FIRST} ", "").name == "token ops"


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer ", FIRST, f"Basic {FIRST}", f"Bearer {FIRST[:-1]}"])
def test_nobody_else_comes_in(tmp_path: Path, sent: str | None) -> None:
    with pytest.raises(Problem) as raised:
        access(tmp_path, FIRST).actor(sent, "")
    assert raised.value.status == 401
    assert raised.value.headers == {"WWW-Authenticate": 'Bearer realm="sipgw"'}


def test_without_tokens_everybody_comes_in_who_reaches_it() -> None:
    assert Access().actor(None, "127.0.0.1:5") == Actor("api", "", "127.0.0.1:5")


@pytest.mark.parametrize(
    "host",
    [None, "gw.contoso.com", "GW.contoso.com:8060", "localhost", "admin.contoso.com:1", "10.1.2.3", "[2001:db8::1]:80"],
)
def test_names_of_ours(tmp_path: Path, host: str | None) -> None:
    access(tmp_path, FIRST, "admin.contoso.com:8060").check_host(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "gw.contoso.com.", "[", "a@b"])
def test_other_names(tmp_path: Path, host: str) -> None:
    with pytest.raises(Problem, match="is not this gateway; use an address, or one of"):
        access(tmp_path, FIRST).check_host(host)


def test_origins() -> None:
    Access().check_origin(None, None, "localhost:8060")
    Access().check_origin("http://localhost:8060", "same-origin", "localhost:8060")
    for origin, site in (("http://localhost:1", None), ("null", None), ("", None), (None, "cross-site")):
        with pytest.raises(Problem, match="a web page"):
            Access().check_origin(origin, site, "localhost:8060")
