"""What a cut-over has done so far, in a file beside the store: for going on after an interruption, and for going back.

What is about to be changed is written down before it is changed. So whatever interrupts it, going back undoes at least
what was done, and each step looks first whether there is anything left to do.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sipgw.server.store_file import StoreError

SUFFIX = "-cutover.json"
MAX_SIZE = 1 << 20  # bytes that are read of it


@dataclass
class Entry:
    """The cut-over of one address. `steps` have what was last said of each; times are those of the wall clock.

    `endpoint` and `user` tell whether this cut-over was about to make the one and to disable the other; `data_moved`
    how it is known that the data was moved, "" while it is not.
    """

    sip_address: str
    pool_fqdn: str
    began: float
    endpoint: bool = False
    user: bool = False
    data_moved: str = ""
    finished: float = 0.0
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def has_changed(self) -> bool:
        """Whether there is anything that could be taken back."""
        return self.endpoint or self.user


class Journal:
    """The file for a store. Every `save` replaces it as a whole, on the disk when it returns."""

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(store.name + SUFFIX)

    def find(self, sip_address: str) -> Entry | None:
        """What is known of an address. Raises StoreError for a file that is not of ours, or OSError."""
        found = self._read().get(sip_address)
        try:
            return None if found is None else Entry(**found)
        except TypeError:
            raise self._broken() from None

    def begin(self, sip_address: str, pool_fqdn: str) -> Entry:
        """Go on with a cut-over to this pool, or begin one. Raises StoreError while one to another pool has changed
        something: what is known of it is needed for going back."""
        found = self.find(sip_address)
        if found is None:
            return Entry(sip_address, pool_fqdn, time.time())
        if found.pool_fqdn == pool_fqdn:
            return found
        if found.has_changed:
            other = f"a cut-over of {sip_address} to {found.pool_fqdn} is"
            advice = "finished; take it back" if found.finished else "under way; finish it, or take it back"
            raise StoreError(f"{self.path}: {other} {advice} with --rollback")
        return Entry(sip_address, pool_fqdn, time.time())

    def save(self, entry: Entry) -> None:
        self._write({**self._read(), entry.sip_address: asdict(entry)})

    def forget(self, sip_address: str) -> None:
        self._write({address: kept for address, kept in self._read().items() if address != sip_address})

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                told = json.loads(file.read(MAX_SIZE + 1))
        except FileNotFoundError:
            return {}
        except ValueError:
            raise self._broken() from None
        if not isinstance(told, dict) or not all(isinstance(entry, dict) for entry in told.values()):
            raise self._broken()
        return told

    def _broken(self) -> StoreError:
        return StoreError(f"{self.path}: is no journal of cut-overs; move it away, and every step is looked at anew")

    def _write(self, entries: Mapping[str, Any]) -> None:
        if not entries:
            with suppress(FileNotFoundError):
                self.path.unlink()
            return
        new = self.path.with_name(f".{self.path.name}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(entries, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
