"""The laws E01–E38 on torch and JAX, with the same data as in the core (``testing.LAWS``)."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from zeroproofml.jax.ops import weak_sign_jax
from zeroproofml.scm.testing import LAWS, Backend, array_operations
from zeroproofml.torch.ops import weak_sign_torch

MAX, TINY = np.finfo(np.float64).max, np.finfo(np.float64).tiny
SAFE = [0.0, -0.0, 1, -1, 2, -2, 0.5, 3, 49, -49, 1 / 3, -0.1, np.nan, np.inf, -np.inf]
SAFE += [MAX / 4, -MAX / 4, 1e200, -1e-200, 1e160, 1.0]  # the last one is masked
FLUSHED = [MAX, 5e-324, -5e-324, TINY / 2]  # XLA flushes these, or their inverses
BACKENDS = {
    "torch": ("zeroproofml.torch.ops:scm_{op}_torch", weak_sign_torch, torch.from_numpy, FLUSHED),
    "jax": ("zeroproofml.jax.ops:scm_{op}_jax", weak_sign_jax, jnp.asarray, []),
}


@pytest.mark.parametrize("name", BACKENDS)
def test_exact_laws_hold(name, x64):
    target, sign, put, more = BACKENDS[name]
    operations = array_operations(Backend.load(target).functions, sign)
    values = np.array([*more, *SAFE])
    pairs = np.indices((values.size, values.size)).reshape(2, -1)
    lanes = [(put(values[k]), put(k == values.size - 1)) for k in pairs]
    failing = [
        law.id
        for law in LAWS.values()
        if law.id[0] == "E" and not np.asarray(law.holds(operations, *lanes[: law.arity])).all()
    ]
    assert failing == []


@pytest.mark.parametrize("name", BACKENDS)
def test_false_laws_fail(name, x64):
    target, sign, put, _ = BACKENDS[name]
    operations = array_operations(Backend.load(target).functions, sign)
    for law in LAWS.values():
        if law.id[0] == "N":
            lanes = [
                (put(np.array([v or 0.0, 2.0])), put(np.array([v is None, False])))
                for v in law.counterexample
            ]
            assert np.asarray(law.holds(operations, *lanes)).tolist() == [False, True], law.id
