"""Sessions of an administrator as they stand in lines/*.txt: what is typed, what comes back on which stream.

%% a title; what follows begins with a fresh store
> a line
>> which goes on here
what is written to standard output
~ what is written to standard error
= the exit status, where it is not 0
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from sipgw.management.cmdlets.command import cmdlet

CONFIG = """
[gateway]
domains = ["contoso.com", "fabrikam.com"]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]

[[pool]]
fqdn = "pc.contoso.com"
servers = ["tcp:chat1.contoso.com:5041", "tcp:chat2.contoso.com:5041", "tcp:chat3.contoso.com:5041"]
standby = ["tcp:chat3.contoso.com:5041"]

[[pool]]
fqdn = "pc2.contoso.com"
servers = ["tcp:127.0.0.1:5051", "tcp:127.0.0.1:5052"]

[[endpoint]]
sip_address = "sip:ocschat@contoso.com"
pool_fqdn = "pc.contoso.com"
display_name = "Old chat"
"""
USERS = """\
# kept as it is
[[user]]
uri = "sip:alice@contoso.com"
names = ["alice", "CORP\\\\alice"]
password = "secret"

[[user]]
uri = "sip:bob@contoso.com"
password = "secret"
enabled = false

# the old well-known user
[[user]]
uri = "sip:mgc@contoso.com"
password = "secret"
enabled = true
"""


@dataclass
class Step:
    command: str
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    status: int = 0


@dataclass
class Block:
    title: str
    steps: list[Step] = field(default_factory=list)


def blocks(text: str) -> list[Block]:
    """The sessions of a file."""
    found: list[Block] = []
    for line in text.splitlines():
        if line.startswith("%% "):
            found.append(Block(line[3:]))
        elif line.startswith("> "):
            found[-1].steps.append(Step(line[2:]))
        elif found and found[-1].steps:
            _take(found[-1].steps[-1], line)
    return found


def without_last_blanks(step: Step) -> Step:
    """Blank lines also part the sessions of a file."""
    lines = list(step.out)
    while lines and not lines[-1]:
        lines.pop()
    return Step(step.command, lines, [line.rstrip() for line in step.err], step.status)


def _take(step: Step, line: str) -> None:
    if line.startswith(">>"):
        step.command += f"\n{line[3:]}"
    elif line.startswith("~"):
        step.err.append(line[2:])
    elif line.startswith("= "):
        step.status = int(line[2:])
    else:
        step.out.append(line)


def prepare(folder: Path) -> None:
    """A configuration and its users."""
    (folder / "gw.toml").write_text(CONFIG, "utf-8")
    (folder / "users.toml").write_text(USERS, "utf-8")


def run(command: str, folder: Path) -> Step:
    """`sipgw cmdlet COMMAND`; the folder's name is left out of what it writes."""
    found = CliRunner().invoke(cmdlet, [command, "--config", str(folder / "gw.toml")], standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    texts = [text.replace(f"{folder}{os.sep}", "") for text in (found.stdout, found.stderr)]
    out, err = (text.split("\n")[:-1] if text else [] for text in texts)
    return Step(command, out, err, found.return_value)


def written(command: str, step: Step) -> Iterator[str]:
    """A step as it stands in a file."""
    first, *others = command.split("\n")
    yield f"> {first}"
    yield from (f">> {line}".rstrip() for line in others)
    yield from step.out
    yield from (f"~ {line}".rstrip() for line in step.err)
    if step.status:
        yield f"= {step.status}"
