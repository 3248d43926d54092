"""Fixtures of the JAX suite.

The whole test run is one process, and other rooms use JAX in its default mode. So x64 is a context
around each module here, never a global switch; jit caches are keyed by it. What needs a process
without x64 from the start runs in one of its own (test_no_x64.py).
"""

import jax
import pytest

from zeroproofml.jax import ops
from zeroproofml.scm.optable import OPS


@pytest.fixture(scope="module", autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=list(OPS))
def row(request):
    """Each row of the table of operations."""
    return OPS[request.param]


@pytest.fixture
def op(row):
    """The public function of the row."""
    return getattr(ops, f"scm_{row.name}_jax")
