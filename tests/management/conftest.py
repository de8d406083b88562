"""A configuration in a folder of its own, and `sipgw` run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sipgw.management.cli import main

CONFIG = """
[gateway]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]

[[pool]]
fqdn = "pc.contoso.com"
servers = ["tcp:127.0.0.1:1"]

[[endpoint]]
sip_address = "sip:ocschat@contoso.com"
pool_fqdn = "pc.contoso.com"
display_name = "Old chat"
"""


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def gw(tmp_path: Path) -> Path:
    """The configuration file."""
    path = tmp_path / "gw.toml"
    path.write_text(CONFIG, "utf-8")
    return path


@pytest.fixture
def sipgw(gw: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line with `--config` at its end."""

    def run(*arguments: str, config: Path | None = gw) -> Outcome:
        options = ["--config", str(config)] if config is not None else []
        status = main([*arguments, *options])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Outcome(status, out, err)

    return run
