"""Lets aiosip 0.2 (2017) import on today's Python. It is here as a client that we did not write."""

import asyncio
import collections
import collections.abc
import types
from typing import Any


def load() -> Any:
    """The aiosip module. Two names that Python has dropped since are lent to it while it imports, then taken back."""
    lent: list[tuple[Any, str, Any]] = [
        (asyncio, "coroutine", types.coroutine),
        (collections, "MutableMapping", collections.abc.MutableMapping),
    ]
    for module, name, value in lent:
        setattr(module, name, value)
    try:
        import aiosip
    finally:
        for module, name, _ in lent:
            delattr(module, name)
    return aiosip
