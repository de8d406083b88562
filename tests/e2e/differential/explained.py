"""The table of differences, whole."""

from tests.e2e.differential.explained_calls import CALLS
from tests.e2e.differential.explained_forks import FORKS
from tests.e2e.differential.explained_register import REGISTER
from tests.e2e.differential.explained_routing import ROUTING
from tests.e2e.differential.explained_syntax import SYNTAX

EXPLAINED = SYNTAX + ROUTING + CALLS + FORKS + REGISTER
