"""Forward kinematics, Jacobians and their poles, exact enough to be the truth of a benchmark.

Everything is NumPy, float64 and batched over rows. Angles are radians, lengths metres. Linear rows
of a Jacobian are divided by the robot's characteristic length, so that every singular value reads
"radians of hand motion per radian of joint motion".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True)
class Robot:
    """Standard Denavit-Hartenberg table of a serial arm: T_i = Rz(θ_i)·Tz(d_i)·Tx(a_i)·Rx(α_i).

    ``ell`` is the characteristic length in metres, ``families`` the names of the pole families in
    draw order. An arm without twist is planar and keeps two task rows (x, y).

    >>> UR5.n_joints, UR5.n_rows, R2.n_rows
    (6, 6, 2)
    """

    name: str
    a: tuple[float, ...]
    d: tuple[float, ...]
    alpha: tuple[float, ...]
    ell: float
    families: tuple[str, ...]

    @property
    def n_joints(self) -> int:
        """Number of joints."""
        return len(self.a)

    @property
    def planar(self) -> bool:
        """True for an arm that moves in one plane."""
        return not any(self.alpha)

    @property
    def n_rows(self) -> int:
        """Rows of the Jacobian: 2 for a planar arm, otherwise 6."""
        return 2 if self.planar else 6


_RIGHT = math.pi / 2

R2 = Robot("r2", (1.0, 0.7), (0.0, 0.0), (0.0, 0.0), 1.7, ("stretched", "folded"))
# Lengths and offsets of the maker's published Denavit-Hartenberg tables.
UR5 = Robot(
    "ur5",
    (0.0, -0.425, -0.39225, 0.0, 0.0, 0.0),
    (0.089159, 0.0, 0.0, 0.10915, 0.09465, 0.0823),
    (_RIGHT, 0.0, 0.0, _RIGHT, -_RIGHT, 0.0),
    0.425 + 0.39225,
    ("elbow", "wrist", "wrist_flip", "shoulder"),
)
PUMA560 = Robot(
    "puma560",
    (0.0, 0.4318, 0.0203, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.15005, 0.4318, 0.0, 0.0),
    (_RIGHT, 0.0, -_RIGHT, _RIGHT, -_RIGHT, 0.0),
    0.8636,
    (),
)
ROBOTS = {robot.name: robot for robot in (R2, UR5)}
"""The robots of the protocol; a robot's index in this order is the stream index r."""


def wrap(q: Array) -> Array:
    """Wrap angles into [−π, π).

    >>> wrap(np.array([np.pi, 3.0])).tolist()
    [-3.141592653589793, 3.0]
    """
    inside = (q >= -np.pi) & (q < np.pi)
    turned = np.remainder(q + np.pi, 2 * np.pi) - np.pi
    return np.where(inside, q, np.where(turned < np.pi, turned, -np.pi))


def _cos_sin(alpha: float) -> tuple[float, float]:
    # cos(±π/2) is 6e-17 in floating point; an exact 0 keeps exact poles exact.
    if abs(abs(alpha) - _RIGHT) < 1e-12:
        return 0.0, math.copysign(1.0, alpha)
    return math.cos(alpha), math.sin(alpha)


def _chain(robot: Robot, q: Array) -> tuple[list[Array], list[Array], tuple[Array, Array, Array]]:
    """Origins p_0…p_n, joint axes z_0…z_{n−1} and the last frame (x, y, z), each (N, 3)."""
    rows = q.shape[0]
    cosine, sine = np.cos(q), np.sin(q)
    x, y, z = (np.tile(unit, (rows, 1)) for unit in np.eye(3))
    p = np.zeros((rows, 3))
    origins, axes = [p], [z]
    for i in range(robot.n_joints):
        c, s = cosine[:, i : i + 1], sine[:, i : i + 1]
        x, y = c * x + s * y, c * y - s * x
        if robot.a[i]:
            p = p + robot.a[i] * x
        if robot.d[i]:
            p = p + robot.d[i] * z
        ca, sa = _cos_sin(robot.alpha[i])
        if sa:
            y, z = ca * y + sa * z, ca * z - sa * y
        origins.append(p)
        axes.append(z)
    return origins, axes[:-1], (x, y, z)


def fk(robot: Robot, q: Array) -> tuple[Array, Array]:
    """Hand position (N, 3) in metres and rotation (N, 3, 3) at joint angles q (N, n).

    >>> p, _ = fk(UR5, np.zeros((1, 6)))
    >>> p.round(5).tolist()
    [[-0.81725, -0.19145, -0.00549]]
    """
    origins, _, frame = _chain(robot, q)
    return origins[-1], np.stack(frame, axis=-1)


def jacobian(robot: Robot, q: Array) -> Array:
    """Scaled geometric Jacobian J̄ (N, m, n) in the base frame, linear rows first.

    Column i is [z_{i−1} × (p_n − p_{i−1}) / ell ; z_{i−1}]; a planar arm keeps x and y only.

    >>> jacobian(R2, np.array([[0.0, np.pi / 2]])).round(3).tolist()
    [[[-0.412, -0.412], [0.588, 0.0]]]
    """
    return jacobian_and_hand(robot, q)[0]


def jacobian_and_hand(robot: Robot, q: Array) -> tuple[Array, Array, Array]:
    """(J̄, p, R) of one pass along the chain; see `jacobian` and `fk`.

    >>> [part.shape for part in jacobian_and_hand(R2, np.zeros((4, 2)))]
    [(4, 2, 2), (4, 3), (4, 3, 3)]
    """
    origins, axes, frame = _chain(robot, q)
    hand = origins[-1]
    out = np.empty((q.shape[0], robot.n_rows, robot.n_joints))
    for i, z in enumerate(axes):
        arm = (hand - origins[i]) / robot.ell
        if robot.planar:
            out[:, 0, i], out[:, 1, i] = -arm[:, 1], arm[:, 0]
            continue
        out[:, 0, i] = z[:, 1] * arm[:, 2] - z[:, 2] * arm[:, 1]
        out[:, 1, i] = z[:, 2] * arm[:, 0] - z[:, 0] * arm[:, 2]
        out[:, 2, i] = z[:, 0] * arm[:, 1] - z[:, 1] * arm[:, 0]
        out[:, 3:, i] = z
    return out, hand, np.stack(frame, axis=-1)


def adjugate_det(jac: Array) -> tuple[Array, Array]:
    """Adjugate (N, n, n) and determinant (N,) of square matrices, exact at the pole.

    2×2 in closed form. Larger: J̄ = U S Vᵀ gives adj = det(U)·det(V)·V·diag(∏_{j≠i} s_j)·Uᵀ, which
    needs no division, so a simple pole has a finite adjugate of rank one.

    >>> adj, det = adjugate_det(np.array([[[1.0, 2.0], [2.0, 4.0]]]))
    >>> adj.tolist(), det.tolist()
    ([[[4.0, -2.0], [-2.0, 1.0]]], [0.0])
    """
    if jac.shape[-1] == 2:
        a, b, c, d = jac[:, 0, 0], jac[:, 0, 1], jac[:, 1, 0], jac[:, 1, 1]
        return np.stack([np.stack([d, -b], -1), np.stack([-c, a], -1)], -2), a * d - b * c
    return adjugate_det_svd(*np.linalg.svd(jac))


def adjugate_det_svd(u: Array, s: Array, vt: Array) -> tuple[Array, Array]:
    """The same from a singular value decomposition that is already there.

    >>> jac = np.array([[[2.0, 0.0], [0.0, 3.0]]])
    >>> adj, det = adjugate_det_svd(*np.linalg.svd(jac))
    >>> adj.round(12).tolist(), det.round(12).tolist()
    ([[[3.0, 0.0], [0.0, 2.0]]], [6.0])
    """
    sign = np.sign(np.linalg.det(u)) * np.sign(np.linalg.det(vt))
    n = s.shape[-1]
    left, right = np.ones_like(s), np.ones_like(s)
    for i in range(1, n):
        left[:, i] = left[:, i - 1] * s[:, i - 1]
        right[:, n - 1 - i] = right[:, n - i] * s[:, n - i]
    others = sign[:, None] * left * right
    adj = np.matmul(np.swapaxes(vt, -1, -2) * others[:, None, :], np.swapaxes(u, -1, -2))
    return adj, sign * np.prod(s, axis=-1)


def singular_values(jac: Array) -> Array:
    """Singular values (N, n), descending; 2×2 in closed form from ‖J̄‖²_F and det J̄.

    >>> singular_values(np.array([[[0.0, 2.0], [1.0, 0.0]]])).tolist()
    [[2.0, 1.0]]
    """
    if jac.shape[-1] != 2:
        return np.linalg.svd(jac, compute_uv=False)
    a, b, c, d = jac[:, 0, 0], jac[:, 0, 1], jac[:, 1, 0], jac[:, 1, 1]
    # σ₁ ± σ₂ are two moduli; σ₂ = |det|/σ₁ has no cancellation near the pole.
    largest = 0.5 * (np.hypot(a + d, c - b) + np.hypot(a - d, c + b))
    smallest = np.abs(a * d - b * c) / np.where(largest == 0, 1.0, largest)
    return np.stack([largest, smallest], axis=-1)


def _factors_r2(robot: Robot, q: Array) -> tuple[float, list[Array]]:
    return robot.a[0] * robot.a[1], [np.sin(q[:, 1])]


def _factors_ur5(robot: Robot, q: Array) -> tuple[float, list[Array]]:
    a2, a3, d5 = robot.a[1], robot.a[2], robot.d[4]
    q23 = q[:, 1] + q[:, 2]
    shoulder = a2 * np.cos(q[:, 1]) + a3 * np.cos(q23) + d5 * np.sin(q23 + q[:, 3])
    return a2 * a3, [np.sin(q[:, 2]), np.sin(q[:, 4]), shoulder]


def _factors_puma560(robot: Robot, q: Array) -> tuple[float, list[Array]]:
    a2, a3, d4 = robot.a[1], robot.a[2], robot.d[3]
    q23 = q[:, 1] + q[:, 2]
    elbow = d4 * np.cos(q[:, 2]) + a3 * np.sin(q[:, 2])
    shoulder = a2 * np.cos(q[:, 1]) + a3 * np.cos(q23) - d4 * np.sin(q23)
    return a2, [elbow, np.sin(q[:, 4]), shoulder]


_FACTORS: dict[str, Callable[[Robot, Array], tuple[float, list[Array]]]] = {
    "r2": _factors_r2,
    "ur5": _factors_ur5,
    "puma560": _factors_puma560,
}


def pole_factors(robot: Robot, q: Array) -> Array:
    """The factors (N, F) of det J whose zeros are the poles: r2 s2; six joints elbow, wrist, shoulder.

    >>> pole_factors(R2, np.array([[0.3, np.pi / 2]])).tolist()
    [[1.0]]
    """
    return np.stack(_FACTORS[robot.name](robot, q)[1], axis=-1)


def determinant(robot: Robot, q: Array) -> Array:
    """det J̄ (N,) from the factorisation: independent of any matrix, exactly zero where a factor is.

    >>> determinant(R2, np.array([[0.3, np.pi / 2]])).round(4).tolist()
    [0.2422]
    """
    constant, factors = _FACTORS[robot.name](robot, q)
    scale = robot.ell ** (2 if robot.planar else 3)
    product: Array = np.prod(factors, axis=0)
    return constant / scale * product


# Family → (joint index, value); the shoulder's value depends on the other joints.
_POLES: dict[str, tuple[int, float | None]] = {
    "stretched": (1, 0.0),
    "folded": (1, math.pi),
    "elbow": (2, 0.0),
    "wrist": (4, 0.0),
    "wrist_flip": (4, math.pi),
    "shoulder": (1, None),
}


def _shoulder(robot: Robot, q: Array) -> Array:
    a2, a3, d5 = robot.a[1], robot.a[2], robot.d[4]
    q34 = q[:, 2] + q[:, 3]
    top = a2 + a3 * np.cos(q[:, 2]) + d5 * np.sin(q34)
    side = -a3 * np.sin(q[:, 2]) + d5 * np.cos(q34)
    angle: Array = np.arctan2(-top, side)
    return angle + np.where(q[:, 0] > 0, np.pi, 0.0)


def to_pole(robot: Robot, q: Array, family: Array) -> tuple[Array, Array]:
    """Move each row of q (N, n) onto the pole of its family (N,); returns (q, coordinate that moved).

    Both roots of the shoulder are used: the sign of q1, which the pole does not depend on, picks one.

    >>> q, coordinate = to_pole(R2, np.array([[0.5, 1.0], [0.5, 1.0]]), np.array([0, 1]))
    >>> q[:, 1].tolist(), coordinate.tolist()
    ([0.0, 3.141592653589793], [1, 1])
    """
    out = q.copy()
    coordinate = np.zeros(q.shape[0], dtype=np.int64)
    for index, name in enumerate(robot.families):
        rows = np.flatnonzero(family == index)
        joint, value = _POLES[name]
        out[rows, joint] = _shoulder(robot, q[rows]) if value is None else value
        coordinate[rows] = joint
    return out, coordinate
