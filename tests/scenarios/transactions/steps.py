"""Marks for scenarios that make sense over one kind of transport only."""

import pytest

over_udp = pytest.mark.parametrize("transport", ["UDP"])
over_tcp = pytest.mark.parametrize("transport", ["TCP"])
