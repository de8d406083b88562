"""Problems of a configuration are shown where they are."""

from pathlib import Path

import pytest

from sipgw.config import ConfigError, load_config
from sipgw.server.admin.lines import fault_of
from sipgw.server.admin.models import Fault

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


def test_faults_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "sipgw.toml"
    path.write_text(FILE.replace('"info"', '"loud"').replace('"two.contoso.com"', "2"))
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    faults = [fault_of(problem) for problem in raised.value.problems]
    assert {(fault.file, fault.key, fault.line) for fault in faults} == {
        (str(path), "log.level", 12),
        (str(path), "pool[1].fqdn", 14),
        (str(path), "tls.ca", 0),  # there is no [tls] either
    }


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        ("gw.toml:3: log.level: is 5", Fault(key="log.level", text="is 5", file="gw.toml", line=3)),
        ("gw.toml: store.url: is 5: why", Fault(key="store.url", text="is 5: why", file="gw.toml")),
        ("gw.toml:7: not TOML: no value", Fault(text="not TOML: no value", file="gw.toml", line=7)),
        ("a:1/gw.toml:7: ca: no", Fault(key="ca", text="no", file="a:1/gw.toml", line=7)),
        ("tokens: holds no token", Fault(text="holds no token", file="tokens")),
        ("nothing more", Fault(text="nothing more")),
    ],
)
def test_line_and_key_may_be_missing(problem: str, fault: Fault) -> None:
    assert fault_of(problem) == fault
