"""Whom the gateway would know of those who are not signed in, as far as that can be told from outside of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sipgw.auth.accounts import Accounts, AccountTable
from sipgw.config import Config, ConfigError
from sipgw.config.users import load_users, users_rules
from sipgw.server.running import Running


@dataclass(frozen=True)
class Users:
    """`accounts` are for the router. `doubts` tell how the gateway may know a user all the same who has none."""

    accounts: Accounts
    doubts: tuple[str, ...] = ()


def configured_users(config: Config, running: Running | None) -> Users:
    """Those of the file. A directory is not asked: it is read whole, and sign-in is not what is explained."""
    path, doubts = config.auth.users_file, tuple(_doubts(config, running))
    if not config.auth.schemes or path is None:
        return Users(AccountTable(), doubts)
    try:
        return Users(load_users(path, users_rules(config)), doubts)
    except ConfigError as error:
        unread = f"the file of users has the user, which cannot be seen ({error.problems[0]})"
        return Users(AccountTable(), (unread, *doubts))


def _doubts(config: Config, running: Running | None) -> Iterator[str]:
    if config.auth.schemes and config.auth.users_file is None:
        yield f"{config.auth.users}, which is not asked here, has the user"
    if running is not None:
        yield "the user has signed out since the gateway was started, which it alone knows"
