"""A place for cut-overs: a configuration, a pool whose port is open, an old user."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sipgw.config import Config, load_config
from sipgw.management import cutover_steps
from sipgw.management.cmdlets.accounts import read_accounts
from sipgw.management.cmdlets.store_backend import StoreBackend
from sipgw.management.cutover_journal import Journal
from sipgw.management.cutover_rollback import go_back
from sipgw.management.cutover_steps import CutOver, Plan, Step, Verdict, go_through
from sipgw.registry import Endpoint
from sipgw.server.store import Store
from tests.management.pool_server import answering

OCSCHAT, POOL = "sip:ocschat@contoso.com", "pcpool.contoso.com"
USERS = """# kept as it is
[[user]]
uri = "sip:alice@contoso.com"
names = ["alice"]
password = "secret"
enabled = true

[[user]]
uri = "sip:ocschat@contoso.com"   # the Lookup services
names = ["ocschat"]
password = "secret"
enabled = true
"""
HEARD = Verdict("ok", "two clients heard each other")


class Site:
    """A configuration with a pool whose port is open, an old user, and an empty store."""

    def __init__(self, folder: Path, port: int, users: str = USERS) -> None:
        self.folder = folder
        self.users = folder / "users.toml"
        self.users.write_text(users, "utf-8")
        self.users.chmod(0o600)
        path = folder / "sipgw.toml"
        path.write_text(
            f"""[gateway]
listen = ["tcp:127.0.0.1:0"]
[store]
url = "sqlite:gateway.db"
[auth]
users = "users.toml"
[[pool]]
fqdn = "{POOL}"
servers = ["tcp:127.0.0.1:{port}"]
[[pool]]
fqdn = "other.contoso.com"
servers = ["tcp:127.0.0.1:9"]
""",
            "utf-8",
        )
        self.path = path
        self.asked: list[str] = []
        self.told: list[tuple[str, Verdict]] = []
        self.answer: bool | None = None
        self.heard = HEARD

    @property
    def config(self) -> Config:
        return load_config(self.path)

    def run(self, back: bool = False, **plan: Any) -> bool:
        """Go through the steps, or back; what is said is in `told`."""
        self.told = []
        wanted = Plan(OCSCHAT, **{"pool_fqdn": POOL, "moved": True, "disable_user": True, **plan})
        config = self.config
        journal = Journal(config.store.path)
        entry = journal.find(OCSCHAT) if back else journal.begin(OCSCHAT, wanted.pool_fqdn)
        assert entry is not None
        run = CutOver(wanted, config, StoreBackend(config), journal, entry, self._ask, lambda *_: self.heard)
        return (go_back if back else go_through)(run, self._tell)

    def _ask(self, question: str) -> bool | None:
        self.asked.append(question)
        return self.answer

    def _tell(self, step: Step, verdict: Verdict) -> None:
        self.told.append((step.name, verdict))

    def said(self, name: str) -> Verdict:
        return dict(self.told)[name]

    @property
    def states(self) -> dict[str, str]:
        return {name: verdict.state for name, verdict in self.told}

    # how things are

    @property
    def endpoints(self) -> list[Endpoint]:
        return StoreBackend(self.config).registry().endpoints()

    @property
    def enabled(self) -> bool:
        return next(one.enabled for one in read_accounts(self.config) if one.uri == OCSCHAT)

    @property
    def journal(self) -> Journal:
        return Journal(self.config.store.path)

    def sign_in(self, *contacts: str, expires: float = 300.0) -> None:
        """Bindings of Lookup services, as a gateway has stored them."""
        store = Store.open(self.config.store.path)
        until = time.time() + expires
        rows = [
            ("ocschat@contoso.com", f"sip:{at}", at, 0, "epid", 1.0, until, at, 1, "", f"tcp:{at}", "UCMA", 1)
            for at in contacts
        ]
        try:
            store.write_bindings(rows, [], lambda error: None)
        finally:
            store.close()


DONE = {"lookup": "ok", "user": "done", "data": "ok", "pool": "ok", "endpoint": "done", "conversation": "ok"}


@pytest.fixture
def port() -> Iterator[int]:
    """Of a pool's server, which answers."""
    with answering() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(cutover_steps, "read_running", lambda path: object())
    return Site(tmp_path, port)
