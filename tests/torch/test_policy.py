"""Gradient gates: the table of policies, every mode of differentiation, the context."""

import math

import pytest
import torch
from torch.func import grad, hessian, jvp, vmap

from zeroproofml.scm.errors import SCMTypeError
from zeroproofml.torch.policy import (
    GradientPolicy,
    apply_policy,
    current_policy,
    gate,
    gradient_policy,
    sanitise,
)

F64 = torch.float64
CLAMP, PROJECT, REJECT, PASSTHROUGH = GradientPolicy


# Acceptance 22: regular lanes first, then the same cotangents at ⊥.
TABLE = [
    (CLAMP, [0.5, 1.0, -1.0, 0.0, 1.0, -1.0], [0.0] * 6),
    (PROJECT, [0.5, 3.0, -3.0, 0.0, 0.0, 0.0], [0.0] * 6),
    (REJECT, [0.0] * 6, [0.0] * 6),
]
COTANGENTS = torch.tensor([0.5, 3.0, -3.0, math.nan, math.inf, -math.inf], dtype=F64)


@pytest.mark.parametrize(("policy", "regular", "bottom"), TABLE)
def test_d08_table(policy, regular, bottom):
    for mask, want in (
        (torch.zeros(6, dtype=torch.bool), regular),
        (torch.ones(6, dtype=torch.bool), bottom),
    ):
        assert apply_policy(COTANGENTS, mask, policy, xp=torch).tolist() == want
        x = torch.zeros(6, dtype=F64, requires_grad=True)
        gate(x, mask, policy).backward(COTANGENTS)
        assert x.grad.tolist() == want
        got = jvp(lambda v, m=mask: gate(v, m, policy), (x.detach(),), (COTANGENTS,))[1]
        assert got.tolist() == want


def test_passthrough_touches_nothing():
    x = torch.zeros(6, dtype=F64, requires_grad=True)
    assert gate(x, torch.ones(6, dtype=torch.bool), PASSTHROUGH) is x
    assert sanitise(x, torch.ones(6, dtype=torch.bool), PASSTHROUGH) is x


def test_clamp_bounds_the_modulus_of_complex_cotangents():
    z = torch.tensor(
        [3 + 4j, 0.3j, complex(math.nan, 0), complex(1e308, 1e308)], dtype=torch.complex128
    )
    got = apply_policy(z, torch.zeros(4, dtype=torch.bool), CLAMP, xp=torch)
    torch.testing.assert_close(
        got[:3], torch.tensor([0.6 + 0.8j, 0.3j, 0j], dtype=torch.complex128)
    )
    assert got.abs().max() <= 1 + 1e-15


@pytest.mark.parametrize("policy", list(GradientPolicy))
def test_gates_under_transforms(policy):
    mask = torch.tensor([False, True, False])
    x = torch.tensor([0.1, 0.2, 0.3], dtype=F64)

    def run(v, m=mask):
        return gate(v * v, m, policy)

    want = torch.zeros(3, dtype=F64) if policy is REJECT else 2 * x
    if policy is not PASSTHROUGH:
        want = torch.where(mask, 0.0, want)
    torch.testing.assert_close(grad(lambda v: run(v).sum())(x), want)
    rows = vmap(lambda v, m: grad(lambda u: run(u, m).sum())(v))(x[:, None], mask[:, None])
    torch.testing.assert_close(rows[:, 0], want)
    second = torch.where(want == 0, 0.0, 2.0).to(F64)
    torch.testing.assert_close(hessian(lambda v: run(v).sum())(x).diagonal(), second)


def test_context_nests_and_is_restored():
    assert current_policy() is None
    with gradient_policy(CLAMP):
        with gradient_policy(REJECT):
            assert current_policy() is REJECT
        assert current_policy() is CLAMP
        with pytest.raises(ZeroDivisionError), gradient_policy(REJECT):
            raise ZeroDivisionError
        assert current_policy() is CLAMP
    assert current_policy() is None
    with pytest.raises(SCMTypeError, match="GradientPolicy"), gradient_policy("clamp"):
        pass
