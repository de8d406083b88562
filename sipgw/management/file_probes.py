"""What `sipgw check` looks at in the files of the API's tokens and of the log. Nothing is written by asking."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sipgw.config import Config, ConfigError
from sipgw.management.probes import Verdict
from sipgw.server.admin.access import read_tokens

_LOG_ADVICE = "name a file that this user can write"


def tokens(config: Config) -> Iterator[Verdict]:
    """Whether the API takes them, and nobody else of this machine reads them."""
    path = config.admin.token_file
    if path is None:
        return
    try:
        count = len(read_tokens(path))
    except ConfigError as error:
        yield from (Verdict("FAIL", "admin.token_file", problem) for problem in error.problems)
        return
    if path.stat().st_mode & stat.S_IROTH:  # a group may share it: the command line signs in with it
        advice = "whoever reads a token can administer the gateway: chmod o-rwx"
        yield Verdict("note", "admin.token_file", f"{path} can be read by everybody on this machine; {advice}")
        return
    yield Verdict("ok", "admin.token_file", f"{path}: {count} token{'s' if count > 1 else ''}")


def log(config: Config) -> Iterator[Verdict]:
    """Whether the log can be written where it is to go."""
    path = config.log.file
    if path is None:
        return
    try:
        problem = _unwritable(path)
    except OSError as error:  # a folder further up that this user may not enter
        problem = error.strerror or str(error)
    if problem:
        yield Verdict("FAIL", "log.file", f"{path}: {problem}; {_LOG_ADVICE}")
    else:
        yield Verdict("ok", "log.file", f"{path} " + ("is writable" if path.exists() else "will be made"))


def _unwritable(path: Path) -> str:
    """What is in the way, "" for nothing. Raises OSError."""
    folder = path.parent
    if path.is_dir():
        return "is a folder"
    if path.exists():
        return "" if os.access(path, os.W_OK) else "this user may not write it"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"this user may make no files in {folder}"
