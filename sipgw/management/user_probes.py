"""What `sipgw check` finds out about sign-in: who could, by which scheme, and what would keep them out."""

from collections.abc import Callable, Iterator, Sequence

from sipgw.auth.accounts import Account, AccountTable
from sipgw.config import Config, ConfigError
from sipgw.config.users import load_users, readable_by_others, users_rules
from sipgw.management.probes import Verdict
from sipgw.server.directory_search import DirectoryError, read_directory, source_of
from sipgw.server.kerberos import gateway_credentials

MAX_NAMED = 5  # users in one line


def sign_in(config: Config) -> Iterator[Verdict]:
    """A verdict for the schemes, the users and each scheme that some of them cannot use."""
    schemes = config.auth.schemes
    if not schemes:
        text = "schemes = []: nobody signs in, and whoever reaches a listener is who they say they are"
        yield Verdict("note", "auth", text)
        return
    try:
        accounts, source = _accounts(config)
    except ConfigError as error:
        yield from (Verdict("FAIL", "auth.users", problem) for problem in error.problems)
        return
    except DirectoryError as error:
        yield Verdict("FAIL", "auth.users", str(error))
        return
    yield from _counted(accounts, source)
    yield from _claimed_twice(accounts)
    if config.auth.users_file is not None and readable_by_others(config.auth.users_file):
        advice = "whoever reads an NT hash can sign in with it: chmod 600"
        yield Verdict("note", "auth.users", f"{config.auth.users_file} can be read by others; {advice}")
    if "kerberos" in schemes:
        yield _keytab(config)
    if "ntlm" in schemes:
        yield from _without(accounts, "ntlm", "nt_hash", lambda account: bool(account.nt_hash))
    if "digest" in schemes:
        offered = config.auth.digest_algorithms
        means = f"ha1 for {', '.join(offered)}"
        yield from _without(accounts, "digest", means, lambda account: all(map(account.ha1.get, offered)))


def _keytab(config: Config) -> Verdict:
    try:
        gateway_credentials(config)
    except ConfigError as error:
        return Verdict("FAIL", "auth.keytab", error.problems[0].partition("auth.keytab: ")[2] or error.problems[0])
    return Verdict("ok", "auth.keytab", f"{config.auth.keytab} has the key of sip/{config.gateway.fqdn}")


def _accounts(config: Config) -> tuple[Sequence[Account], str]:
    """Those of the file or directory, and what to call it. Raises ConfigError or DirectoryError."""
    path = config.auth.users_file
    if path is None:
        return read_directory(source_of(config)).accounts, str(config.auth.users)
    return list(load_users(path, users_rules(config))), str(path)


def _counted(accounts: Sequence[Account], source: str) -> Iterator[Verdict]:
    enabled = sum(account.enabled for account in accounts)
    if not enabled:
        yield Verdict("FAIL", "auth.users", f"{source} has no enabled user, so nobody can sign in")
        return
    disabled = len(accounts) - enabled
    yield Verdict("ok", "auth.users", f"{source}: {enabled} users" + (f", {disabled} disabled" if disabled else ""))


def _claimed_twice(accounts: Sequence[Account]) -> Iterator[Verdict]:
    """Names in a directory that several entries have: nobody signs in by them (a file with such is refused)."""
    names = AccountTable(accounts).ambiguous()
    if names:
        named = " ".join(names[:MAX_NAMED]) + (" ..." if len(names) > MAX_NAMED else "")
        text = f"{len(names)} names belong to several users, and nobody signs in by them: {named}"
        yield Verdict("note", "auth.users", text)


def _without(
    accounts: Sequence[Account], scheme: str, means: str, able: Callable[[Account], bool]
) -> Iterator[Verdict]:
    """Who cannot sign in by a scheme that is offered, for want of what it checks against."""
    unable = [account.uri for account in accounts if account.enabled and not able(account)]
    if unable:
        named = " ".join(unable[:MAX_NAMED]) + (" ..." if len(unable) > MAX_NAMED else "")
        all_of_them = len(unable) == sum(account.enabled for account in accounts)
        text = f"{scheme}: {len(unable)} users have no {means} and cannot sign in by it: {named}"
        yield Verdict("FAIL" if all_of_them else "note", "auth.users", text)
