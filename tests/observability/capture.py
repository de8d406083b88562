"""Reads packets with tshark, which knows the formats and nothing of the program under test."""

import json
import subprocess
from pathlib import Path
from typing import Any


def dissected(file: Path, *options: str) -> list[dict[str, Any]]:
    """The layers of each packet, with the fields that tshark has found."""
    command = ["tshark", "-n", "-r", str(file), "-T", "json", "--no-duplicate-keys", *options]
    for protocol in ("ip", "udp", "tcp"):
        command += ["-o", f"{protocol}.check_checksum:TRUE"]
    done = subprocess.run(command, capture_output=True, check=True)
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout or b"[]")]


def text_of(file: Path, *options: str) -> str:
    """Everything in words."""
    done = subprocess.run(["tshark", "-n", "-V", "-r", str(file), *options], capture_output=True, check=True, text=True)
    return done.stdout
