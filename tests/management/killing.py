"""Processes that kill themselves at a moment of the test's choosing."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any


def killed_at(moment: int, wheres: Sequence[tuple[Any, str]], act: Callable[[], object]) -> bool:
    """`act` in a process that kills itself at the `moment`-th time that one of these functions, each an attribute of
    something, begins or has ended. Whether it came to that."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    try:
        left = iter(range(moment))

        def step() -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        for where, name in wheres:
            _between(where, name, step)
        act()
    finally:
        os._exit(0)


def _between(where: Any, name: str, step: Callable[[], None]) -> None:
    original = getattr(where, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        step()
        result = original(*arguments, **options)
        step()
        return result

    setattr(where, name, wrapped)
