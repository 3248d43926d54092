"""Analytic solvers of J̄ y = ê: the floors, the ceilings and the label generators of the benchmark.

All of them work on a `Problem`, which carries one singular value decomposition per row, so a table
of eight solvers costs one factorisation. A row without an answer is NaN; the caller turns it into ⊥.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from zeroproofml.benchmarks.domains.ik import kinematics as kin

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from zeroproofml.benchmarks.domains.ik.kinematics import Array

GAIN = 10.0
"""Joint limit G: largest joint rate (rad) per unit of scaled hand motion."""
DAMPING = 1.0 / (2.0 * GAIN)
"""λ of the damped answer whose largest possible gain, 1/(2λ), is exactly G."""
SINGULAR = 1e-12
"""Below this a singular value is rounding noise of an exact pole."""
TRUNCATION = 0.01
MANIPULABILITY_DAMPING = 0.1
_BISECTIONS = 60
_LOG_MU = (-40.0, 5.0)


@dataclass(frozen=True)
class Problem:
    """Rows J̄ y = ê with the decomposition J̄ = U diag(σ) Vᵀ.

    ``jac`` (N, n, n), ``e`` (N, n), ``u`` (N, n, n), ``sigma`` (N, n) descending, ``vt`` (N, n, n).
    """

    jac: Array
    e: Array
    u: Array
    sigma: Array
    vt: Array

    @classmethod
    def of(cls, jac: Array, e: Array) -> Problem:
        """Factorise a batch.

        >>> Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]])).sigma.tolist()
        [[1.0, 1.0]]
        """
        u, sigma, vt = np.linalg.svd(jac)
        return cls(jac, e, u, sigma, vt)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Problem:
        """The same for a selection of rows."""
        return Problem(self.jac[rows], self.e[rows], self.u[rows], self.sigma[rows], self.vt[rows])

    @cached_property
    def coordinates(self) -> Array:
        """Uᵀê (N, n): the command along each left singular vector.

        >>> Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]])).coordinates.tolist()
        [[1.0, 0.0]]
        """
        out: Array = np.einsum("nji,nj->ni", self.u, self.e)
        return out

    @cached_property
    def adjugate_det(self) -> tuple[Array, Array]:
        """(adj J̄, det J̄): (N, n, n) and (N,), exact at the pole.

        >>> Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]])).adjugate_det[1].tolist()
        [1.0]
        """
        if self.jac.shape[-1] == 2:
            return kin.adjugate_det(self.jac)
        return kin.adjugate_det_svd(self.u, self.sigma, self.vt)

    @property
    def numerator(self) -> Array:
        """adj(J̄) ê (N, n): the answer times the determinant, finite everywhere.

        >>> Problem.of(2 * np.eye(2)[None], np.array([[1.0, 0.0]])).numerator.tolist()
        [[2.0, 0.0]]
        """
        out: Array = np.einsum("nij,nj->ni", self.adjugate_det[0], self.e)
        return out

    def compose(self, along: Array) -> Array:
        """V·along (N, n): joint rates from rates along the right singular vectors.

        >>> Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]])).compose(np.ones((1, 2))).shape
        (1, 2)
        """
        out: Array = np.einsum("nij,ni->nj", self.vt, along)
        return out

    def inverted(self, floor: float) -> Array:
        """Rates Uᵀê/σ along the right singular vectors, 0 where σ ≤ floor.

        >>> Problem.of(np.diag([2.0, 0.0])[None], np.array([[1.0, 1.0]])).inverted(0.0).tolist()
        [[0.5, 0.0]]
        """
        keep = self.sigma > floor
        return np.where(keep, self.coordinates / np.where(keep, self.sigma, 1.0), 0.0)


def limited(y: Array, gain: float = GAIN) -> Array:
    """y (N, n) shortened to length ``gain`` where it is longer.

    >>> limited(np.array([[30.0, 40.0], [3.0, 4.0]])).tolist()
    [[6.0, 8.0], [3.0, 4.0]]
    """
    length: Array = np.linalg.norm(y, axis=-1, keepdims=True)
    return y * (gain / np.maximum(length, gain))


def inverse(problem: Problem) -> Array:
    """LU solve (N, n); NaN where σ_min < 1e-12, that is on a pole.

    >>> inverse(Problem.of(2 * np.eye(2)[None], np.array([[1.0, 0.0]]))).tolist()
    [[0.5, 0.0]]
    """
    regular = problem.sigma[:, -1] >= SINGULAR
    y = np.full_like(problem.e, np.nan)
    y[regular] = np.linalg.solve(problem.jac[regular], problem.e[regular][:, :, None])[:, :, 0]
    return y


def damped(problem: Problem, damping: float | Array = DAMPING) -> Array:
    """Damped least squares V diag(σ/(σ²+λ²)) Uᵀ ê (Wampler 1986; Nakamura and Hanafusa 1986).

    ``damping`` λ is a number or one per row.

    >>> damped(Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]])), 1.0).tolist()
    [[0.5, 0.0]]
    """
    lam = np.broadcast_to(np.asarray(damping, dtype=float), problem.sigma.shape[:1])[:, None]
    bottom = problem.sigma**2 + lam**2
    gain = np.where(bottom > 0, problem.sigma / np.where(bottom > 0, bottom, 1.0), 0.0)
    return problem.compose(gain * problem.coordinates)


def truncated(problem: Problem) -> Array:
    """Pseudo-inverse without the singular values ≤ 0.01.

    >>> truncated(Problem.of(np.diag([2.0, 0.01])[None], np.array([[1.0, 1.0]]))).tolist()
    [[0.5, 0.0]]
    """
    return problem.compose(problem.inverted(TRUNCATION))


def manipulability_damped(problem: Problem, threshold: float) -> Array:
    """Damped least squares with λ = 0.1·(1 − w/w₀) for w = |det J̄| below w₀ = ``threshold``, else 0.

    Nakamura and Hanafusa (1986), with the linear law.

    >>> manipulability_damped(Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]])), 0.5).tolist()
    [[1.0, 0.0]]
    """
    w = np.prod(problem.sigma, axis=-1)
    lam = np.where(w < threshold, MANIPULABILITY_DAMPING * (1 - w / max(threshold, SINGULAR)), 0.0)
    return damped(problem, lam)


def selectively_damped(problem: Problem, gain: float = GAIN) -> Array:
    """Selectively damped least squares (Buss and Kim 2005), one hand as the only effector.

    The contribution of direction i is shortened to min(1, 1/M_i)·G in the largest-element
    norm, M_i = Σ_j |v_ji|·‖J̄_·j‖/σ_i; so is the sum, to G.

    >>> selectively_damped(Problem.of(np.eye(2)[None], np.array([[1.0, 0.0]]))).tolist()
    [[1.0, 0.0]]
    """
    columns = np.linalg.norm(problem.jac, axis=1)
    reach = np.einsum("nij,nj->ni", np.abs(problem.vt), columns)
    # 1/M_i = σ_i/reach: written this way a zero singular value needs no special case.
    bound = np.minimum(1.0, problem.sigma / np.maximum(reach, SINGULAR)) * gain
    parts = problem.inverted(SINGULAR)[:, :, None] * problem.vt
    total = np.sum(_shortened(parts, bound), axis=1)
    return _shortened(total, np.full(len(total), gain))


def _shortened(vectors: Array, bound: Array) -> Array:
    size: Array = np.max(np.abs(vectors), axis=-1)
    # A bound of 0 (σ = 0) belongs to a contribution of 0.
    return vectors * (bound / np.maximum(np.maximum(size, bound), SINGULAR))[..., None]


def ideal(problem: Problem, gain: float = GAIN) -> Array:
    """Minimiser of ‖J̄y − ê‖ subject to ‖y‖ ≤ ``gain``: the best that the joint limit allows.

    The minimum-norm solution where it fits; otherwise damped least squares whose λ² = μ puts ‖y‖ on
    the limit, found by 60 bisections of log μ in [−40, 5].

    >>> ideal(Problem.of(np.diag([1.0, 0.01])[None], np.array([[0.0, 1.0]]))).round(9).tolist()
    [[0.0, 10.0]]
    """
    along = problem.inverted(SINGULAR)
    over = np.flatnonzero(np.sum(along**2, axis=-1) > gain**2)
    if over.size:
        square = np.where(problem.sigma[over] > SINGULAR, problem.sigma[over], 0.0) ** 2
        # y_i = σc/(σ²+μ) = (c/σ)·σ²/(σ²+μ), and directions without σ stay 0.
        free = along[over]
        low, high = np.full(over.size, _LOG_MU[0]), np.full(over.size, _LOG_MU[1])
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            y = free * square / (square + np.exp(middle)[:, None])
            long = np.sum(y * y, axis=-1) > gain**2
            low, high = np.where(long, middle, low), np.where(long, high, middle)
        along[over] = free * square / (square + np.exp(high)[:, None])
    return problem.compose(along)


def tuple_scale(problem: Problem) -> tuple[float, float]:
    """(κ, s) of the tuple targets, from train rows.

    κ is the median size of the answer, ‖adj(J̄)ê‖/|det J̄|; s makes mean ‖P₀‖² = 1.

    >>> tuple_scale(Problem.of(2 * np.eye(2)[None], np.array([[1.0, 0.0]])))
    (0.5, 4.0)
    """
    size = np.linalg.norm(problem.numerator, axis=-1)
    kappa = float(np.median(size / np.abs(problem.adjugate_det[1])))
    return kappa, float(np.sqrt(np.mean(size**2))) / kappa


def tuple_targets(problem: Problem, kappa: float, scale: float) -> tuple[Array, Array]:
    """(P₀, Q₀) = (adj(J̄)ê/(κs), det(J̄)/s): (N, n) and (N,); the answer is κ·P₀/Q₀.

    >>> p, q = tuple_targets(Problem.of(2 * np.eye(2)[None], np.array([[1.0, 0.0]])), 0.5, 4.0)
    >>> p.tolist(), q.tolist()
    ([[1.0, 0.0]], [1.0])
    """
    return problem.numerator / (kappa * scale), problem.adjugate_det[1] / scale


SOLVERS: dict[str, Callable[[Problem], Array]] = {
    "inverse": inverse,
    "ideal": ideal,
    "tsvd": truncated,
    "dls": damped,
    "sdls": selectively_damped,
}
"""Solvers without fitted numbers, by arm key."""
