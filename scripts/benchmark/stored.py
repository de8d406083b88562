"""Registrations that a gateway takes over from its store, for `scripts/bench memory`.

python -m benchmark.stored FILE COUNT writes the store, loads it as the gateway does when it starts, and tells how long
that took and how much memory it keeps.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark import job, rig
from sipgw.core.location import ROW, Binding
from sipgw.server.settings import shifted
from sipgw.server.store import Row, Store
from sipgw.server.store_file import COLUMNS, transaction

AN_HOUR = 3600.0


def rows(count: int, expires_at: float) -> Iterator[Row]:
    """Users with one endpoint each, as legacy clients register."""
    for number in range(count):
        yield registration(number, expires_at).row()


def registration(number: int, expires_at: float) -> Binding:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    values = {
        "aor": f"user{number}@contoso.com",
        "contact": f"sip:{address}:49152;transport=tcp;ms-opaque={number:010x}",
        "instance": f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        "reg_id": 0,
        "epid": f"{number:010x}",
        "q": 1.0,
        "expires_at": expires_at,
        "call_id": f"{number:032x}",
        "cseq": 1,
        "path": "",
        "received": f"tcp:{address}:49152",
        "user_agent": "UCCAPI/2.0.6362.0 (legacy client)",
        "since": 1,
    }
    return Binding(values[column] for column in ROW)


def fill(file: Path, count: int) -> None:
    Store.open(file, writes=False).close()
    marks = ", ".join("?" * len(ROW))
    with transaction(file) as connection:
        many = rows(count, time.time() + AN_HOUR)
        connection.executemany(f"INSERT INTO bindings ({COLUMNS}) VALUES ({marks})", many)


def main(file: Path, count: int) -> None:
    fill(file, count)
    place = job.site("TCP")
    engine = job.engine_of(place, [job.CONTACT_OBJECT])
    store = Store.open(file)
    gc.collect()
    before, began = rig.memory_mib([os.getpid()]), time.monotonic()
    engine.load_bindings(shifted(row, 0.0) for row in store.load_bindings(time.time()))
    seconds = time.monotonic() - began
    kib = (rig.memory_mib([os.getpid()]) - before) * 1024
    assert engine.location.count == count, f"{engine.location.count} of {count} were loaded"
    store.close()
    print(json.dumps({"seconds": seconds, "kib": kib}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
