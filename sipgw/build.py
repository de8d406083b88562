"""How this copy was built: some modules may have been compiled, see setup.py."""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec


def kind() -> str:
    """ "compiled" where what every message goes through runs as machine code, else "interpreted"."""
    found = find_spec("sipgw.transaction.tables")
    is_compiled = found is not None and str(found.origin).endswith(tuple(EXTENSION_SUFFIXES))
    return "compiled" if is_compiled else "interpreted"
