"""Does ⊥ leak? A check for lane-wise functions that users build on the thirteen operations."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from zeroproofml.scm._operands import read_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Arrays = list[NDArray[Any]]
    Pair = tuple[NDArray[Any], NDArray[np.bool_]]

__all__ = ["assert_no_leak"]

_GARBAGE = (float("nan"), float("inf"), -float("inf"), 1e30, 0.0)


def _fail(law: str, what: str) -> NoReturn:
    msg = f"{law}: {what}"
    raise AssertionError(msg)


def _to_numpy(array: Any) -> NDArray[Any]:
    return np.asarray(array.detach() if hasattr(array, "detach") else array)


class _Probe:
    """A user's function, called with NumPy arrays and answering with NumPy arrays."""

    def __init__(self, fn: Callable[..., Any], xp: Any) -> None:
        self.fn, self.xp = fn, xp

    def __call__(self, payloads: Arrays, masks: Sequence[Any]) -> Pair:
        moved = [self.xp.asarray(a) for a in (*payloads, *masks)]
        payload, mask = self.fn(*moved)
        return _to_numpy(payload), _to_numpy(mask)


def _differs(a: Pair, b: Pair) -> bool:
    return not (np.array_equal(a[1], b[1]) and np.array_equal(a[0], b[0]))


def _with_garbage(payloads: Arrays, masks: Sequence[Any], value: float) -> Arrays:
    return [
        np.where(m, np.asarray(value, p.dtype), p) for p, m in zip(payloads, masks, strict=True)
    ]


def _check_values(probe: _Probe, payloads: Arrays, masks: Arrays, more: Arrays) -> None:
    r = probe(payloads, masks)
    if r[0].shape != payloads[0].shape or r[1].shape != payloads[0].shape:
        _fail("S06", f"result of shape {r[0].shape} from lanes of shape {payloads[0].shape}")
    if r[1].dtype != np.bool_ or not np.all(np.isfinite(r[0])) or np.any(r[0][r[1]] != 0):
        _fail("S02", "the result is not canonical: finite, 0 under a bool mask")
    for value in _GARBAGE:
        if _differs(r, probe(_with_garbage(payloads, masks, value), masks)):
            _fail("S03", f"a masked payload of {value} changes the result")
    entering = [m | ~np.isfinite(p) for p, m in zip(payloads, masks, strict=True)]
    canonical = [np.where(m, np.zeros_like(p), p) for p, m in zip(payloads, entering, strict=True)]
    if _differs(r, probe(canonical, entering)):
        _fail("S04", "canonical operands give another result")
    if np.any(r[1] & ~probe(payloads, more)[1]):
        _fail("S05", "more mask on entry gives less mask on exit")


def _check_lanes(probe: _Probe, payloads: Arrays, masks: Arrays, order: NDArray[Any]) -> None:
    payload, mask = probe(payloads, masks)
    shuffled = probe([p[order] for p in payloads], [m[order] for m in masks])
    if _differs((payload[order], mask[order]), shuffled):
        _fail("S06", "permuting the lanes changes them")
    half = len(order) // 2
    parts = [
        probe([p[s] for p in payloads], [m[s] for m in masks])
        for s in (slice(half), slice(half, None))
    ]
    joined = tuple(np.concatenate([part[i] for part in parts]) for i in (0, 1))
    if _differs((payload, mask), (joined[0], joined[1])):
        _fail("S06", "a slice of the lanes gives other values than the whole")


def _gradients(probe: _Probe, payloads: Arrays, masks: Sequence[Any]) -> Arrays | None:
    """Gradients of the sum of the payload, or None where the framework does not differentiate."""
    xp, fn = probe.xp, probe.fn
    moved_masks = [xp.asarray(m) for m in masks]
    if xp.__name__ == "torch":
        leaves = [xp.asarray(p).clone().requires_grad_() for p in payloads]
        total = fn(*leaves, *moved_masks)[0].sum()
        return [_to_numpy(g) for g in xp.autograd.grad(total, leaves)]
    if xp.__name__ == "jax.numpy":
        jax = sys.modules["jax"]  # the caller has imported it; this package never does
        grad = jax.grad(
            lambda *p: fn(*p, *moved_masks)[0].sum(), argnums=tuple(range(len(payloads)))
        )
        return [_to_numpy(g) for g in grad(*[xp.asarray(p) for p in payloads])]
    return None


def assert_no_leak(fn: Callable[..., Any], *operands: ArrayLike, xp: Any = np) -> None:
    """Check that a lane-wise function keeps ⊥ where it belongs (laws S02 to S06, and S16).

    The operands are used as they are, then with lanes masked, masked lanes filled with garbage,
    lanes permuted and cut. Where ``xp`` is torch or jax.numpy, gradients must be finite everywhere
    and 0 at ⊥.

    Args:
        fn: ``fn(*payloads, *masks) -> (payload, mask)``, lane by lane; a mask for every payload.
        operands: one payload per operand, broadcast against each other; include the hard ones.
        xp: the array namespace that ``fn`` expects: numpy, torch or jax.numpy.

    Raises:
        AssertionError: naming the law that fails.
        SCMTypeError: an operand that is not a payload.

    >>> from zeroproofml.scm.ops import scm_div_numpy
    >>> assert_no_leak(scm_div_numpy, [1.0, 0.0, 2.0], [0.0, 3.0, 4.0])
    >>> assert_no_leak(lambda x, mask: (x, mask), [1.0, 2.0, 3.0])
    Traceback (most recent call last):
    AssertionError: S02: the result is not canonical: finite, 0 under a bool mask
    """
    read = [np.asarray(read_payload(p, f"operand {i}")) for i, p in enumerate(operands)]
    payloads = [np.array(p).reshape(-1) for p in np.broadcast_arrays(*read)]
    rng = np.random.default_rng(0)
    n = payloads[0].size
    probe = _Probe(fn, xp)
    none = [np.zeros(n, np.bool_) for _ in payloads]
    some = [rng.random(n) < 0.4 for _ in payloads]
    if n:
        some[0][rng.integers(n)] = True  # at least one lane is masked
    more = [m | (rng.random(n) < 0.3) for m in some]
    with np.errstate(all="ignore"):
        _check_values(probe, payloads, none, some)
        _check_values(probe, payloads, some, more)
        _check_lanes(probe, payloads, some, rng.permutation(n))
    for masks in (none, some):
        gradients = _gradients(probe, payloads, masks)
        bottom = probe(payloads, masks)[1]
        for gradient in gradients or ():
            if not np.all(np.isfinite(gradient)) or np.any(gradient[bottom] != 0):
                _fail("S16", "a gradient is not finite, or not 0 at ⊥")
