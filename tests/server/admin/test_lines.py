"""Problems of a configuration are shown where they are."""

from pathlib import Path

import pytest

from sipgw.config import ConfigError, load_config
from sipgw.server.admin.lines import fault_of, line_of

FILE = """\
# a comment
[gateway]
fqdn = "gw.contoso.com"
listen = [
  "udp:127.0.0.1:0",
]

[[pool]]
fqdn = "one.contoso.com"

[ log ]
level = "info"
[[ pool ]]
"fqdn" = "two.contoso.com"
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("gateway.fqdn", 3),
        ("gateway.listen[0]", 4),
        ("pool[0].fqdn", 9),
        ("pool[1].fqdn", 14),
        ("pool[1].servers[2]", 13),  # not there: the table that should have it
        ("log.level", 12),
        ("log", 11),
        ("store.url", 0),
        ("pool[2].fqdn", 0),
        ("", 0),
    ],
)
def test_lines(tmp_path: Path, key: str, line: int) -> None:
    path = tmp_path / "sipgw.toml"
    path.write_text(FILE)
    assert line_of(path, key) == line


def test_what_is_not_there(tmp_path: Path) -> None:
    assert line_of(tmp_path / "none", "log.level") == 0


def test_faults_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "sipgw.toml"
    path.write_text(FILE.replace('"info"', '"loud"').replace('"two.contoso.com"', "2"))
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    faults = [fault_of(problem) for problem in raised.value.problems]
    assert {(fault.file, fault.key, fault.line) for fault in faults} >= {
        (str(path), "log.level", 12),
        (str(path), "pool[1].fqdn", 14),
    }


def test_what_has_no_key(tmp_path: Path) -> None:
    path = tmp_path / "sipgw.toml"
    path.write_text("[log\n")
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    fault = fault_of(raised.value.problems[0])
    assert (fault.key, fault.file, fault.line) == ("", str(path), 1)
    assert fault_of("nothing more").text == "nothing more"
    assert fault_of(f"{path}: a sentence of its own").file == str(path)
