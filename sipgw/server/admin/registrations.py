"""/api/v1/registrations: who is signed in, a page at a time.

From the store, which has them in order: to find the place of a page among a million takes no longer than among ten, and
a thread does it. Only whether the connection stands is asked of the gateway, of each on the page.
"""

import asyncio
import base64
import binascii
import json
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipgw.core.location import KEY, ROW
from sipgw.registry import BadAddress, parse_address
from sipgw.server.admin.models import Fault, RegistrationBody, RegistrationPage, RegistrationsQuery
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.admin.problems import Problem
from sipgw.server.store_file import COLUMNS, reading

if TYPE_CHECKING:
    from sipgw.server.app import GatewayApp

Row = tuple[Any, ...]
_KEYS = ", ".join(KEY)
_SHOWN = [name for name in RegistrationBody.model_fields if name != "connected"]
_BEHIND = f"SELECT {COLUMNS} FROM bindings WHERE ({_KEYS}) > (?, ?, ?, ?) AND expires_at > ?"
_ORDERED = f"ORDER BY {_KEYS} LIMIT ?"
ALL = f"{_BEHIND} {_ORDERED}"
ONE_USER = f"{_BEHIND} AND aor = ? {_ORDERED}"
_START: Row = ("", "", "", -1)


async def list_registrations(call: Call) -> Answer:
    """One page. Raises Problem for a cursor that we have not given, StoreError."""
    query, gateway = call.query, call.gateway
    assert isinstance(query, RegistrationsQuery)
    after = _read_cursor(query.after) if query.after is not None else _START
    user = _user(query.aor) if query.aor is not None else None
    rows = await asyncio.to_thread(_page, gateway.store.path, after, user, query.limit)
    page = rows[: query.limit]
    return Answer(
        RegistrationPage(
            registrations=[_shape(gateway, dict(zip(ROW, row, strict=True))) for row in page],
            next=_cursor(page[-1]) if len(rows) > query.limit else None,
            total=gateway.engine.location.count,
        )
    )


def _user(written: str) -> str:
    try:
        return parse_address(written)
    except BadAddress as error:
        raise Problem("invalid", str(error), [Fault(key="aor", text=str(error))]) from None


def _page(path: Path, after: Row, user: str | None, limit: int) -> list[Row]:
    """Registrations behind a key, one more than asked for where there are more."""
    with reading(path) as connection:
        values = (*after, time.time(), limit + 1) if user is None else (*after, time.time(), user, limit + 1)
        found: sqlite3.Cursor = connection.execute(ALL if user is None else ONE_USER, values)
        return found.fetchall()


def _shape(gateway: "GatewayApp", columns: dict[str, Any]) -> RegistrationBody:
    now = asyncio.get_running_loop().time()
    key = tuple(columns[name] for name in KEY)
    live = [one for one in gateway.engine.location.bindings(columns["aor"], now) if one.key == key]
    connected = any(one.flow is not None and one.flow.cid > 0 for one in live)
    return RegistrationBody(**{name: columns[name] for name in _SHOWN}, connected=connected)


def _cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(json.dumps(row[: len(KEY)]).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> Row:
    try:
        key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        aor, contact, instance, reg_id = key
        "".join((aor, contact, instance)).encode()  # halves of characters are no text either
        if isinstance(reg_id, int) and abs(reg_id) < 1 << 62:
            return aor, contact, instance, reg_id
    except (ValueError, TypeError, binascii.Error):
        pass
    advice = "give the next of the page before, or leave it out for the first"
    raise Problem("invalid", f"after is no mark of ours; {advice}", [Fault(key="after", text=advice)])
