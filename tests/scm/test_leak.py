"""assert_no_leak finds each way in which a lane-wise function can leak ⊥."""

from __future__ import annotations

import numpy as np
import pytest

from zeroproofml.scm import ops
from zeroproofml.scm.errors import SCMTypeError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.testing import assert_no_leak

HARD = [0.0, -0.0, 1.0, -2.0, 0.5, 3.0, 1e308, 5e-324, np.inf, np.nan]


@pytest.mark.parametrize("name", list(OPS))
def test_the_thirteen_operations_do_not_leak(name):
    operands = (HARD, HARD[::-1])[: OPS[name].arity]
    assert_no_leak(getattr(ops, f"scm_{name}_numpy"), *operands)


def test_a_composition_does_not_leak():
    def lorentzian(x, y, mask_x, mask_y):
        square = ops.scm_mul_numpy(x, x, mask_x, mask_x)
        total = ops.scm_add_numpy(square[0], y, square[1], mask_y)
        return ops.scm_inv_numpy(*total)

    assert_no_leak(lorentzian, HARD, 1.0)


def _leaks(law, fn):
    with pytest.raises(AssertionError, match=f"^{law}"):
        assert_no_leak(fn, [1.0, 2.0, 3.0, -1.0, 5.0, 0.25])


def test_each_leak_is_found_and_named():
    _leaks("S02", lambda x, m: (x, m))
    _leaks("S02", lambda x, m: (np.where(m, np.nan, x), m))
    _leaks("S03", lambda x, m: (np.full_like(x, np.nan_to_num(x[m]).sum()) * ~m, m))
    _leaks("S05", lambda x, m: (np.zeros_like(x), ~m))
    _leaks("S06", lambda x, m: (np.cumsum(np.where(m, 0, x)) * ~m, m))
    _leaks("S06", lambda x, m: (np.zeros(1), np.zeros(1, bool)))


def test_nan_taken_for_a_number_is_found():
    def forgets(x, m):
        bad = m  # not finite on entry is forgotten
        return np.where(bad | ~np.isfinite(x), 0.0, x), bad

    with pytest.raises(AssertionError, match="S04"):
        assert_no_leak(forgets, [1.0, np.nan, 2.0])


def test_operands_are_read_like_payloads():
    with pytest.raises(SCMTypeError, match="operand 0"):
        assert_no_leak(ops.scm_neg_numpy, ["a"])


def test_gradients_are_checked_where_the_framework_differentiates():
    torch = pytest.importorskip("torch")

    def good(x, m):
        bad = m | ~torch.isfinite(x) | (x == 0)
        safe = torch.where(bad, torch.ones_like(x), x)
        return torch.where(bad, torch.zeros_like(x), 1 / safe), bad

    def leaky(x, m):
        bad = m | ~torch.isfinite(x) | (x == 0)
        return torch.where(bad, torch.zeros_like(x), 1 / x), bad

    assert_no_leak(good, [1.0, 0.0, 2.0], xp=torch)
    with pytest.raises(AssertionError, match="S16"):
        assert_no_leak(leaky, [1.0, 0.0, 2.0], xp=torch)


def test_gradients_in_jax():
    jnp = pytest.importorskip("jax.numpy")

    def leaky(x, m):
        bad = m | ~jnp.isfinite(x) | (x < 0)
        return jnp.where(bad, 0.0, jnp.sqrt(x)), bad

    with pytest.raises(AssertionError, match="S16"):
        assert_no_leak(leaky, np.array([1.0, -1.0, 2.0], np.float32), xp=jnp)
