"""The users of the file or the directory that `auth.users` names."""

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sipgw.auth.accounts import Account
from sipgw.config import Config, ConfigError
from sipgw.config.users import addresses, read_users, users_rules
from sipgw.config.users_text import editing, replace_file
from sipgw.registry import HeldByUser
from sipgw.server.audit import audited, command_line_user
from sipgw.server.directory_search import DirectoryError, read_directory, source_of

_USER = re.compile(r"(?m)^[ \t]*\[\[[ \t]*user[ \t]*\]\][^\n]*(?:\n|\Z)")
_DISABLED = re.compile(r"(?m)^([ \t]*enabled[ \t]*=[ \t]*)false\b")
_ENABLED = re.compile(r"(?m)^([ \t]*enabled[ \t]*=[ \t]*)true\b")


def read_accounts(config: Config) -> list[Account]:
    """All users, none where there is no file yet. Raises ConfigError, DirectoryError or OSError."""
    path = config.auth.users_file
    if path is None:
        return read_directory(source_of(config)).accounts
    return read_users(path.read_text("utf-8"), path, users_rules(config)) if path.exists() else []


def set_enabled(config: Config, uri: str, enabled: bool) -> None:
    """Let a user of the file sign in, or no longer; on record. Raises ConfigError or OSError."""
    path = config.auth.users_file
    if path is None:
        raise ConfigError([f"auth.users is the directory {config.auth.users}, which is only read"])
    what = "user.enable" if enabled else "user.disable"
    with audited(config.store.path, command_line_user(), what, uri) as entry:
        (enable if enabled else disable)(path.resolve(), config, uri)
        entry.before, entry.after = {"enabled": not enabled}, {"enabled": enabled}


def check_no_user(
    config: Config,
    sip_address: str,
    warn: Callable[[str], None],
    read: Callable[[Config], list[Account]] = read_accounts,
) -> None:
    """An address-of-record is an endpoint or a user, never both. Raises HeldByUser.

    Users that cannot be read are warned of: a directory that is away is no reason to keep a cut-over waiting.
    """
    try:
        accounts = read(config)
    except (ConfigError, DirectoryError, OSError) as error:
        reason = str(error).partition("\n")[0]
        warn(f"not known whether {sip_address} belongs to a user: {reason}")
        return
    held = next((one for one in accounts if one.uri == sip_address and one.enabled), None)
    if held is not None:
        where = config.auth.users_file or config.auth.users
        how = "Disable-CsUser" if config.auth.users_file else "its own tools"
        names = ", ".join(held.names)
        raise HeldByUser(f"{sip_address} is held by the user {names} in {where}; disable that one first, with {how}")


def disable(path: Path, config: Config, uri: str) -> None:
    """Write `enabled = false` into a user's entry, touching nothing else. Raises ConfigError or OSError."""
    with editing(path):
        text = path.read_text("utf-8")
        at = addresses(text, path).index(uri)
        changed = _disabled(text, at)
        if changed is None:
            raise ConfigError([f"{path}: user[{at}]: is not written as [[user]] is; disable it in an editor"])
        read_users(changed, path, users_rules(config))
        replace_file(path, changed)


def _disabled(text: str, at: int) -> str | None:
    wanted = tomllib.loads(text)
    wanted["user"][at]["enabled"] = False
    for candidate in _candidates(text):
        with suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(candidate) == wanted:
                return candidate
    return None


def _candidates(text: str) -> Iterator[str]:
    """The text with each entry disabled in turn: what looks like one may stand in a text of several lines."""
    for header in _USER.finditer(text):
        head, tail = text[: header.end()], text[header.end() :]
        yield f"{head}enabled = false\n{tail}" if head.endswith("\n") else f"{head}\nenabled = false\n"
    for line in _ENABLED.finditer(text):
        yield f"{text[: line.start()]}{line[1]}false{text[line.end() :]}"


def enable(path: Path, config: Config, uri: str) -> bool:
    """Turn `enabled = false` in a user's entry into true, touching nothing else. Whether it was enabled already. Raises
    ConfigError or OSError."""
    with editing(path):
        text = path.read_text("utf-8") if path.exists() else ""
        known = addresses(text, path)
        if uri not in known:
            raise ConfigError([f"{path}: there is no user {uri} any more; sipgw user add makes one"])
        wanted = tomllib.loads(text)
        entry = wanted["user"][known.index(uri)]
        if entry.get("enabled", True):
            return True
        entry["enabled"] = True
        changed = next((one for one in _enabled(text) if tomllib.loads(one) == wanted), None)
        if changed is None:
            raise ConfigError([f"{path}: user[{known.index(uri)}]: enable it in an editor"])
        read_users(changed, path, users_rules(config))
        replace_file(path, changed)
    return False


def _enabled(text: str) -> Iterator[str]:
    for line in _DISABLED.finditer(text):
        yield f"{text[: line.start()]}{line[1]}true{text[line.end() :]}"
