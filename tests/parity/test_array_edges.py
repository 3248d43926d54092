"""The array classes of JAX and Torch beside scalars of the core, and their complex payloads."""

import operator

import numpy as np
import pytest
import torch

from zeroproofml.jax import SCMArray as JaxArray
from zeroproofml.scm import BOTTOM, Cause, SCMArray, SCMTypeError, SCMValue
from zeroproofml.torch import SCMTensor

pytestmark = pytest.mark.usefixtures("x64")

LANES = np.array([1.0, -2.0, 0.0, 3.0])
CAUSES = np.array([0, 0, 0, Cause.DOMAIN], np.uint8)
CLASSES = {
    "numpy": lambda: SCMArray(LANES, cause=CAUSES),
    "torch": lambda: SCMTensor(torch.from_numpy(LANES), cause=torch.from_numpy(CAUSES)),
    "jax": lambda: JaxArray(LANES, cause=CAUSES),
}


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow"])
@pytest.mark.parametrize("backend", list(CLASSES))
def test_a_value_may_stand_on_either_side_of_an_array(name, backend):
    array, host = CLASSES[backend](), CLASSES["numpy"]()
    combine = getattr(operator, name)
    for value in (SCMValue(2.0), BOTTOM):
        for got, want in (
            (combine(value, array), combine(value, host)),
            (combine(array, value), combine(host, value)),
        ):
            assert type(got) is type(array)
            np.testing.assert_allclose(np.asarray(got.payload), want.payload, rtol=1e-15)
            np.testing.assert_array_equal(np.asarray(got.cause), want.cause)


def test_arrays_of_two_frameworks_do_not_mix():
    with pytest.raises(SCMTypeError):
        CLASSES["numpy"]() + CLASSES["jax"]()


def test_a_conjugate_is_a_plain_tensor():
    z = SCMTensor(torch.tensor([1 + 2j, 0j]), [False, True])
    conjugate = torch.conj(z)
    assert np.asarray(conjugate.payload).tolist() == [1 - 2j, 0]
    assert np.asarray(conjugate.imag.payload).tolist() == [-2.0, 0.0]
    assert str(conjugate.imag.to_numpy()) == "SCMArray([-2.0, ⊥], dtype=float32)"
