"""Where the gate's accounts come from: as the configuration says, changes taken over, mistakes told."""

import re
from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sipgw.config import Config, ConfigError, load_config
from sipgw.observability.log import get_logger
from sipgw.server.user_source import UserSource

ALICE = '[[user]]\nuri = "sip:alice@contoso.com"\n'


def config(folder: Path, auth: str = "", more: str = "") -> Config:
    path = folder / "gw.toml"
    path.write_text(f"[auth]\n{auth}\n{more}", "utf-8")
    return load_config(path)


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "users.toml"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


async def test_a_file_and_its_changes(tmp_path: Path) -> None:
    path = write(tmp_path, ALICE)
    counters = Counter[str]()
    with capture_logs() as logs:
        users = UserSource(config(tmp_path), get_logger(), counters)
        await users.start()
        assert users.find("alice") is not None and logs == []
        users.look()
        assert logs == []
        write(tmp_path, f"{ALICE}names = 7")
        users.look()
        users.look()
        assert users.find("alice") is not None
        write(tmp_path, ALICE.replace("alice", "bob"))
        users.look()
        assert users.find("alice") is None and users.find("bob") is not None
        await users.close()
    assert logs == [
        {"log_level": "error", "event": "users not read",
         "reason": f"{path}:3: user[0].names: is 7; write an array in [ ]"},
        {"log_level": "info", "event": "users read", "file": str(path), "users": 1},
    ]  # fmt: skip
    assert counters == {"users_failed": 1}


def test_a_file_that_others_can_read(tmp_path: Path) -> None:
    write(tmp_path, ALICE, 0o644)
    with capture_logs() as logs:
        UserSource(config(tmp_path), get_logger(), Counter())
    assert [line["event"] for line in logs] == ["users can be read by others"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"users\.toml: No such file or directory; make it with `sipgw user add`"):
        UserSource(config(tmp_path), get_logger(), Counter())


def test_a_directory_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sipgw.server.directory_search.find_spec", lambda _: None)
    where = config(tmp_path, 'users = "ldap://127.0.0.1"', '[directory]\nbase = "dc=contoso,dc=com"')
    with pytest.raises(
        ConfigError, match=r"auth\.users: is the directory ldap://127\.0\.0\.1:389, which needs the extra"
    ):
        UserSource(where, get_logger(), Counter())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ldap://dc", "ldap://dc:389"),
        ("LDAP://dc.contoso.com:1389/", "ldap://dc.contoso.com:1389"),
        ("ldaps://dc", "ldaps://dc:636"),
        ("ldaps://[::1]", "ldaps://[::1]:636"),
        ("ldap://[::1]:3890", "ldap://[::1]:3890"),
    ],
)
def test_directories_as_they_are_written(tmp_path: Path, written: str, read: str) -> None:
    found = config(tmp_path, f'users = "{written}"', '[directory]\nbase = "dc=x"')
    assert found.auth.users == read
    assert found.auth.users_file is None


def test_files_start_at_the_folder_of_the_configuration(tmp_path: Path) -> None:
    assert config(tmp_path, 'users = "a/b.toml"').auth.users_file == tmp_path / "a/b.toml"


@pytest.mark.parametrize(
    ("auth", "more", "problem"),
    [
        ('users = ""', "", "auth.users: is empty; name a file, or a directory as ldap://host"),
        ("users = 5", "", "auth.users: is 5; write a text in quotes"),
        ('users = "http://x"', "", 'auth.users: "http://x" is neither a file nor a directory; write one like'),
        ('users = "ldap://x:99999"', "", 'auth.users: "ldap://x:99999" has the port "99999"; write a number'),
        ('users = "ldap://"', "", 'auth.users: "ldap://" has the host ""'),
        ('users = "ldap://dc"', "", "directory.base: is missing, and auth.users is ldap://dc:389; write one like"),
        (
            'users = "ldap://dc"',
            '[directory]\nbase = "dc=x"\npassword_file = "gw.toml"',
            "directory.ca: is missing: the password would cross the network in clear",
        ),
        (
            'digest_algorithms = ["SHA1"]',
            "",
            'auth.digest_algorithms[0]: is "SHA1"; write "SHA-256", "SHA-512-256" or "MD5"',
        ),
        ("digest_algorithms = []", "", "auth.digest_algorithms: is empty; write at least one"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path: Path, auth: str, more: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, auth, more)
    (said,) = error.value.problems
    place, _, told = said.partition(": ")
    assert re.fullmatch(rf"{tmp_path}/gw\.toml(:\d+)?", place) and told.startswith(problem)


def test_a_password_to_this_machine_needs_no_tls(tmp_path: Path) -> None:
    more = '[directory]\nbase = "dc=x"\npassword_file = "gw.toml"'
    for url in ("ldap://127.0.0.1", "ldap://[::1]:389", "ldaps://dc"):
        assert config(tmp_path, f'users = "{url}"', more).directory.password_file is not None
