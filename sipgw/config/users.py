"""The file of users: who may sign in, as which SIP URI, and what their passwords are checked against.

    realm = "contoso.com"                  # what the ha1 below were made for
    [[user]]
    uri = "sip:alice@contoso.com"
    names = ["alice", "CORP\\alice"]       # the first is the one that Digest takes; default: the user part of uri
    nt_hash = "…"                          # for NTLM
    ha1 = { SHA-256 = "…", MD5 = "…" }     # for Digest
    enabled = true

`password` may stand in place of nt_hash and ha1, in clear, where somebody means it to. `sipgw user` writes entries.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationError

from sipgw.auth.accounts import Account, AccountTable
from sipgw.auth.password import ALGORITHMS, ha1_of, nt_hash
from sipgw.config.load import Config, ConfigError, read_text, read_toml
from sipgw.config.locator import Lines
from sipgw.config.problems import Location, describe, problem, shown, unknown
from sipgw.config.tables import Table
from sipgw.config.values import parse_endpoint_address, text

MAX_USERS = 50_000  # a file with more is refused: it would be read for seconds at every change
MAX_NAMES = 16
MAX_NAME = 256  # characters of a name, and of a password
_NAME = re.compile(rf"(?:[^\\@\s]+\\)?[^\\\s]{{1,{MAX_NAME}}}")
_OWN_NAMES = "each account needs names of its own"
_LENGTHS = {"SHA-256": 64, "SHA-512-256": 64, "MD5": 32}


def parse_name_of_account(value: object) -> str:
    """`alice`, `CORP\\alice` or `alice@corp.contoso.com`. Raises ValueError."""
    written = text(value)
    if len(written) > MAX_NAME or not _NAME.fullmatch(written) or not written.isprintable() or ":" in written:
        raise ValueError(
            f"{shown(written)} is no account name; write one like alice, CORP\\alice or alice@corp.contoso.com"
        )
    return written


def parse_password(value: object) -> str:
    """A password. Raises ValueError, which does not repeat it."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise ValueError(f"is no password; write a text in quotes of 1 to {MAX_NAME} characters")
    return value


def _hexadecimal(value: object, digits: int) -> str:
    """What is wrong is not repeated either: it may be the password."""
    if not isinstance(value, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", value):
        raise ValueError(f"is not {digits} hexadecimal digits; make the entry with `sipgw user add`")
    return value.lower()


def _nt_hash(value: object) -> bytes:
    return bytes.fromhex(_hexadecimal(value, 32)) if value != "" else b""


def _ha1(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('is no table; write { SHA-256 = "…" } as `sipgw user add` does')
    for algorithm, written in value.items():
        if algorithm not in _LENGTHS:
            raise ValueError(f"has {shown(algorithm)}, which is none of {', '.join(ALGORITHMS)}")
        try:
            _hexadecimal(written, _LENGTHS[algorithm])
        except ValueError as error:
            raise ValueError(f"{algorithm} {error}") from None
    return {algorithm: written.lower() for algorithm, written in value.items()}


class UserTable(Table):
    uri: Annotated[str, PlainValidator(parse_endpoint_address)] = Field(examples=["sip:alice@contoso.com"])
    names: Annotated[
        tuple[Annotated[str, PlainValidator(parse_name_of_account)], ...], Field(strict=False, max_length=MAX_NAMES)
    ] = ()
    nt_hash: Annotated[bytes, PlainValidator(_nt_hash)] = b""
    ha1: Annotated[dict[str, str], PlainValidator(_ha1)] = Field(default_factory=dict)
    password: Annotated[str, PlainValidator(parse_password)] | None = None
    enabled: bool = True

    def account(self, realm: str) -> Account:
        names = self.names or (user_part(self.uri),)
        if self.password is None:
            return Account(self.uri, names, self.nt_hash, self.ha1, self.enabled)
        ha1 = ha1_of(names[0], realm, self.password)
        return Account(self.uri, names, nt_hash(self.password), ha1, self.enabled)


@dataclass(frozen=True)
class UsersRules:
    """What a file of users has to agree with: the realm of Digest, the SIP domains, the endpoints' addresses."""

    realm: str
    domains: tuple[str, ...]
    endpoints: frozenset[str] = frozenset()


def users_rules(config: Config) -> UsersRules:
    """What `config` asks of its users."""
    endpoints = frozenset(endpoint.sip_address for endpoint in config.endpoints)
    return UsersRules(config.gateway.domains[0], config.gateway.domains, endpoints)


def user_part(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0]


def load_users(path: Path, rules: UsersRules) -> AccountTable:
    """Read the file. Raises ConfigError with a line for everything that is wrong."""
    try:
        text = read_text(path)
    except OSError as error:
        advice = "make it with `sipgw user add`, or name another file at auth.users"
        raise ConfigError([f"{path}: {error.strerror}; {advice}"]) from None
    return AccountTable(read_users(text, path, rules))


def read_users(text: str, path: Path, rules: UsersRules) -> list[Account]:
    """The accounts in a file's text, in its order. Raises ConfigError; `path` is named in it."""
    return _Reader(read_toml(text, path), rules).accounts(path, Lines(text))


def addresses(text: str, path: Path) -> list[str]:
    """The `uri` of every entry in its normal form, "" for what is none, good or not otherwise. Raises ConfigError."""
    users = read_toml(text, path).get("user", [])
    return [_address(user) for user in users] if isinstance(users, list) else []


def _address(user: Any) -> str:
    try:
        return parse_endpoint_address(user["uri"])
    except (ValueError, TypeError, KeyError):
        return ""


class _Reader:
    def __init__(self, data: Mapping[str, Any], rules: UsersRules) -> None:
        self._data = data
        self._rules = rules
        self._problems: list[tuple[Location, str]] = []

    def accounts(self, path: Path, lines: Lines) -> list[Account]:
        for key in self._data.keys() - {"realm", "user"}:
            self._report((key,), unknown(key, ("realm", "user")))
        users = self._users()
        self._check_realm(users)
        self._problems += _conflicts(users, self._rules)
        if self._problems:
            found = ((location, lines.of(location), text) for location, text in self._problems)
            raise ConfigError([problem(path, line, location, text) for location, line, text in found])
        return [user.account(self._rules.realm) for _, user in users]

    def _report(self, location: Location, text: str) -> None:
        self._problems.append((location, text))

    def _users(self) -> list[tuple[int, UserTable]]:
        items = self._data.get("user", [])
        if not isinstance(items, list):
            self._report(("user",), "is no array of tables; write [[user]]")
            return []
        if len(items) > MAX_USERS:
            self._report(("user",), f"there are {len(items)}; more than {MAX_USERS} belong into a directory (ldap://…)")
            return []
        read = [(at, self._user(at, item)) for at, item in enumerate(items)]
        return [(at, user) for at, user in read if user is not None]

    def _user(self, at: int, item: Any) -> UserTable | None:
        try:
            user = UserTable.model_validate(item)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                self._report(("user", at, *fault["loc"]), describe(fault, UserTable))
            return None
        if user.password is not None and (user.nt_hash or user.ha1):
            self._report(("user", at, "password"), "stands beside nt_hash or ha1, which are made of one; remove either")
        return user

    def _check_realm(self, users: list[tuple[int, UserTable]]) -> None:
        realm, wanted = self._data.get("realm"), self._rules.realm
        if realm is None and any(user.ha1 for _, user in users):
            self._report(
                ("realm",), f'is missing, and each ha1 is made for one; write realm = "{wanted}" if it is that'
            )
        elif realm is not None and realm != wanted:
            advice = "make the entries anew with `sipgw user add`, or put the domains in their old order"
            self._report(("realm",), f"is {shown(realm)}, and the first of gateway.domains is {wanted}; {advice}")


def _conflicts(users: list[tuple[int, UserTable]], rules: UsersRules) -> Iterator[tuple[Location, str]]:
    """A URI or name that two have; a URI that nobody can sign in as."""
    uris: dict[str, int] = {}
    names: dict[str, int] = {}
    for at, user in users:
        if uris.setdefault(user.uri, at) != at:
            yield ("user", at, "uri"), f"{user.uri} is that of user[{uris[user.uri]}] too; remove one"
        if user.uri.rpartition("@")[2] not in rules.domains:
            yield ("user", at, "uri"), f"{user.uri} is not in one of gateway.domains; add its domain there"
        if user.uri in rules.endpoints:
            yield ("user", at, "uri"), f"{user.uri} is an endpoint; a user has to have another address"
        for position, name in enumerate(user.names or (user_part(user.uri),)):
            if names.setdefault(name.lower(), at) != at:
                yield (
                    ("user", at, "names", position),
                    f"{name} is a name of user[{names[name.lower()]}] too; {_OWN_NAMES}",
                )


class UsersFile:
    """The accounts of a file, by what it said when it was last good. Call `look` now and then, and at a reload."""

    def __init__(self, path: Path, rules: UsersRules) -> None:
        """Reads the file. Raises ConfigError."""
        self._path = path
        self._rules = rules
        self._seen = _mark(path)
        self._table = load_users(path, rules)

    def find(self, name: str) -> Account | None:
        return self._table.find(name)

    def __len__(self) -> int:
        return len(self._table)

    def look(self) -> list[str] | None:
        """Read the file if it has changed: [] when that was good, else what is wrong with it, and then what was read
        before goes on being true. None without a change."""
        mark = _mark(self._path)
        if mark == self._seen:
            return None
        self._seen = mark
        try:
            self._table = load_users(self._path, self._rules)
        except ConfigError as error:
            return error.problems
        return []


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def readable_by_others(path: Path) -> bool:
    """Whether other users of this machine can read what passwords can be guessed from, or used in place of them."""
    try:
        return bool(path.stat().st_mode & 0o044)
    except OSError:
        return False
