"""A configuration in a folder of its own, and `sipgw` run in this process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from sipgw.management.cli import main
from sipgw.server.resolver import Resolver
from tests.management.name_server import serving

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


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Makes the commands ask a name server that has these lines in the zone contoso.com."""
    with ExitStack() as running:

        def serve(text: str) -> None:
            address = running.enter_context(serving(text))
            for module in ("check", "explain"):
                monkeypatch.setattr(
                    f"sipgw.management.{module}.Resolver",
                    lambda: Resolver([address], hosts_file=tmp_path / "no hosts"),
                )

        yield serve


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace words in a file, each of which has to be there."""
    text = path.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
