"""The optional compilation of what every message goes through, by mypyc: the same modules, as C.

A wheel is compiled where there is a C compiler, and is plain Python where there is none or where it fails; a checkout
that is installed in place stays plain, so that what is edited is what runs. SIPGW_COMPILE=1 asks for it in any case
and fails where it cannot be had, SIPGW_COMPILE=0 goes without.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

ROOT = Path(__file__).parent
WISH = os.environ.get("SIPGW_COMPILE", "")
PACKAGES = ("message", "transport", "transaction", "core")  # whole, and of others what is on the way of a message
INLINE = ["-fno-semantic-interposition"]  # nobody replaces a function of ours at run time, so it may be inlined
MODULES = (
    "sipgw/engine.py",
    "sipgw/events.py",
    "sipgw/groupchat/lookup_agent.py",  # its class has one of the compiled ones for a base
    "sipgw/observability/trace_ring.py",
    "sipgw/server/datagram.py",
    "sipgw/server/pace.py",
    "sipgw/server/shell.py",
)


def sources() -> list[str]:
    """The modules to compile, as paths from the root of the project."""
    found = [path for name in PACKAGES for path in (ROOT / "sipgw" / name).glob("*.py") if path.name != "__init__.py"]
    return sorted([str(path.relative_to(ROOT)) for path in found] + list(MODULES))


def is_wanted() -> bool:
    if WISH == "0" or not {"bdist_wheel", "build_ext"}.intersection(sys.argv):
        return False  # for its metadata alone nothing has to be compiled
    if WISH == "1":
        return True
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(compiler) is not None


def extensions() -> list[Any]:
    """The compiled modules; none where they are not wanted."""
    if not is_wanted():
        return []
    from mypyc.build import mypycify

    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--python-version=3.11"]
    found = mypycify([*options, *sources()], opt_level="2", group_name="sipgw")
    for extension in found:
        extension.extra_compile_args += INLINE
    return found


class AllOrNone(build_ext):
    """Modules that were compiled together work together only."""

    def run(self) -> None:
        try:
            super().run()
        except (BaseError, CCompilerError) as error:
            if WISH == "1":
                raise
            print(f"not compiled, so plain Python will run: {error}", file=sys.stderr)
            for made in self.get_outputs():
                Path(made).unlink(missing_ok=True)


setup(ext_modules=extensions(), cmdclass={"build_ext": AllOrNone})
