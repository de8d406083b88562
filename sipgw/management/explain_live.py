"""What a running gateway is asked by its API: the same as `sipgw explain`, by its own state instead of its store's."""

from dataclasses import asdict
from typing import Any

from sipgw.config import Config
from sipgw.config.values import parse_endpoint_address
from sipgw.management.explain_users import Users
from sipgw.management.explaining import explain as find_out
from sipgw.management.locate import Asker
from sipgw.management.parameters import parse_method, parse_request_uri
from sipgw.management.rehearsal import Rehearsal
from sipgw.server.admin.explaining import State
from sipgw.server.resolver import Resolver
from sipgw.server.store import Contents


class _Rehearsal(Rehearsal):
    """With what is stored given, whom the gateway knows, and which connections stand, instead of read from files."""

    def __init__(self, config: Config, asker: Asker, state: State) -> None:
        self._given, self._accounts, self.standing = state
        super().__init__(config, asker)

    def _stored(self) -> Contents:
        return self._given

    def _users(self) -> Users:
        return Users(self._accounts)


async def explain_live(config: Config, state: State, method: str, uri: str, sender: str) -> dict[str, Any]:
    """What would happen to a request, as `sipgw explain --json` shows it. Raises ValueError for what is no method, URI
    or address, with a text that says which."""
    checked = [
        _named(name, parse, text)
        for name, parse, text in (
            ("method", parse_method, method),
            ("uri", parse_request_uri, uri),
            ("from", parse_endpoint_address, sender or f"sip:somebody@{config.gateway.domains[0]}"),
        )
    ]
    return asdict(await find_out(_Rehearsal(config, Resolver(), state), *checked))


def _named(name: str, parse: Any, text: str) -> str:
    try:
        return str(parse(text))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
