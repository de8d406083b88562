"""The accounts that `auth.users` names, from a file or a directory, kept up to date while the gateway runs."""

from collections import Counter
from functools import partial

from structlog.typing import FilteringBoundLogger

from sipgw.auth.accounts import Account, Accounts
from sipgw.config import Config
from sipgw.config.users import UsersFile, readable_by_others, users_rules
from sipgw.server.directory import Directory, Keeping
from sipgw.server.directory_search import read_directory, source_of


class UserSource:
    """What the gate asks for accounts. Raises ConfigError when it is made, for a file with a line for every mistake."""

    def __init__(self, config: Config, log: FilteringBoundLogger, counters: Counter[str]) -> None:
        self._log = log
        self._counters = counters
        self._file: UsersFile | None = None
        self._directory: Directory | None = None
        self._accounts: Accounts
        self._path = config.auth.users_file
        if self._path is not None:
            self._accounts = self._file = UsersFile(self._path, users_rules(config))
            self._warn()
        else:
            keeping = Keeping(config.directory.refresh, config.directory.keep)
            read = partial(read_directory, source_of(config))
            self._accounts = self._directory = Directory(read, keeping, log, counters)

    def find(self, name: str) -> Account | None:
        return self._accounts.find(name)

    async def start(self) -> None:
        if self._directory is not None:
            await self._directory.start()

    def look(self) -> None:
        """Take a changed file over; one that is not good is told of once and changes nothing."""
        problems = self._file.look() if self._file is not None else None
        if problems is None:
            return
        for problem in problems:
            self._log.error("users not read", reason=problem)
        if problems:
            self._counters["users_failed"] += 1
        else:
            self._log.info("users read", file=str(self._path), users=len(self._file or ()))
            self._warn()

    async def follow(self) -> None:
        """Take over what has been changed just now, also in a directory, which is read again."""
        self.look()
        if self._directory is not None:
            await self._directory.refresh()

    def _warn(self) -> None:
        if self._path is not None and readable_by_others(self._path):
            advice = "whoever reads an NT hash can sign in with it: chmod 600"
            self._log.warning("users can be read by others", file=str(self._path), advice=advice)

    async def close(self) -> None:
        if self._directory is not None:
            await self._directory.close()
