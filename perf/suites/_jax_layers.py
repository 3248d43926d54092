"""JAX cases of the layers suite: ours against the bare formula, both under jit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

import _inputs
from suites._jax_ops import compiled, jax, peak_bytes, put
from suites.case import Built, WrongValue, agree
from zeroproofml.jax import SCMRationalLayer
from zeroproofml.jax.losses import oriented_chordal_loss
from zeroproofml.jax.ops import scm_div_jax

SEED = 20260402


def _compiled(
    calls: dict[str, Callable[..., Any]], *given: Any
) -> tuple[dict[str, Any], dict[str, float]]:
    """The jitted calls, compiled now, and how long each took to compile."""
    made, took = {}, {}
    for name, function in calls.items():
        made[name], took[name] = compiled(function, *given)
    return made, took


def build_div(n: int, kind: _inputs.Kind, gradient: bool) -> Built:
    """Division, singular lanes included."""
    inputs = _inputs.make("div", "float64", n, kind, SEED)
    x, y = (put(v) for v in inputs.operands)
    values, took = _compiled({"raw": jnp.divide, "jax": scm_div_jax}, x, y)
    calls = values
    if gradient:
        slopes = {
            "raw": jax.grad(lambda a, b: (a / b).sum(), argnums=(0, 1)),
            "jax": jax.grad(lambda a, b: scm_div_jax(a, b)[0].sum(), argnums=(0, 1)),
        }
        calls, took = _compiled(slopes, x, y)

    def check() -> None:
        payload, mask = values["jax"]()
        agree("jax", payload, values["raw"](), mask)
        if not np.array_equal(np.asarray(mask), inputs.mask):
            msg = "jax: the mask differs from the oracle"
            raise WrongValue(msg)
        if gradient:
            for mine, plain in zip(calls["jax"](), calls["raw"](), strict=True):
                agree("jax gradient", mine, plain, mask)

    rate = float(inputs.mask.mean())
    return Built(calls, check, rate, ("jax",), peak_bytes, compile_s=took)


def _pair(name: str, order: str, ours: Any, plain: Any, given: tuple[Any, ...]) -> Built:
    """Two scalar formulas of the same values, or their gradients by the first argument."""
    formulas = {"raw": plain, "jax": ours}
    if order == "gradient":
        formulas = {k: jax.grad(partial(_total, f)) for k, f in formulas.items()}
    calls, took = _compiled(formulas, *given)

    def check() -> None:
        got, want = (jax.tree_util.tree_leaves(calls[k]()) for k in ("jax", "raw"))
        for a, b in zip(got, want, strict=True):
            scale = float(jnp.abs(b).max())
            if not np.allclose(a, b, rtol=1e-3, atol=1e-3 * scale):
                msg = f"{name}: differs from the bare formula"
                raise WrongValue(msg)

    return Built(calls, check, 0.0, ("jax",), peak_bytes, compile_s=took)


def _total(formula: Callable[..., Any], *given: Any) -> Any:
    return formula(*given).sum()


def build_rational(n: int, degree: int, order: str) -> Built:
    """The rational layer against plain Horner P/Q without checks."""
    x = jnp.asarray(np.random.default_rng(SEED).random(n, np.float32))
    layer = SCMRationalLayer.init(jax.random.key(SEED), degree, degree, singular_epsilon=0.0)

    def plain(parameters: Any, v: Any) -> Any:
        p, q = parameters.numerator[degree], parameters.denominator[degree]
        for k in range(degree - 1, -1, -1):
            p = p * v + parameters.numerator[k]
            q = q * v + parameters.denominator[k]
        return p / q

    return _pair("rational layer", order, lambda f, v: f(v)[0], plain, (layer, x))


def build_loss(n: int, order: str) -> Built:
    """The recommended loss on tuples against its textbook formula."""
    rng = np.random.default_rng(SEED)
    p, target = (jnp.asarray(rng.random(n, np.float32)) for _ in range(2))
    q, one = jnp.asarray(rng.random(n, np.float32) + np.float32(0.5)), jnp.ones(n, np.float32)

    def ours(a: Any, b: Any) -> Any:
        return oriented_chordal_loss(a, b, target, one)

    def plain(a: Any, b: Any) -> Any:
        norms = jnp.sqrt((a * a + b * b) * (target * target + 1))
        return (1 - (a * target + b) / norms).mean()

    return _pair("oriented loss", order, ours, plain, (p, q))
