"""The test set of the standard protocol, and what an arm answers on it, from stored arrays.

Strict decoding is done again here. A decision that differs from the one which the arm took when it
ran is an error that names the array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.report.domains.rf import device, members, sections
from zeroproofml.report.domains.rf.devices import Curve, Devices
from zeroproofml.report.domains.rf.peaks import amplitude
from zeroproofml.report.errors import FileInvalid
from zeroproofml.scm.cause import FAULT, Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroproofml.report.domains.ranking import Array, Mask

NEVER = ("mlp_rel", "mlp_abs", "mlp_deep", "rational_plain", "rational_eps", "zero")
"""Arms that cannot refuse a device."""


@dataclass(frozen=True)
class Answer:
    """What an arm says about the test devices.

    Attributes:
        rows: stable devices that it answers, (k,).
        curve: its response on these rows, as if it refused none.
        causes: why it refuses each of all test devices (n,), 0 where it does not; None for an arm
            that is never given a device without a steady state.
        failed: why the arm has nothing to say about the rows (k,), 0 where it has.
        safe: refused test devices (n,) at the safe threshold; None where there is none.
        score: refusal score (n,), higher is safer, or None.
        sections: (n, 2, 4), or None.
        poles, pole_mask: (k, p) complex128 and which exist, or None.
    """

    rows: Array
    curve: Curve
    causes: Array | None
    failed: Array
    safe: Mask | None = None
    score: Array | None = None
    sections: Array | None = None
    poles: Array | None = None
    pole_mask: Mask | None = None

    @cached_property
    def bottom(self) -> Mask:
        """Rows (k,) that are ⊥ as a whole."""
        return np.asarray(self.row_cause != 0)

    @cached_property
    def row_cause(self) -> Array:
        """Why each row is ⊥ as a whole (k,)."""
        return self.failed if self.causes is None else self.failed | self.causes[self.rows]

    @cached_property
    def lane_cause(self) -> Array:
        """Cause (k, m) of every lane, those of refused devices included."""
        return np.where(self.row_cause[:, None] != 0, self.row_cause[:, None], self.curve.cause)


class TestSet:
    """The shared test devices and every arm's answer on them.

    ``sets`` (n,) codes 0 … 5, ``delta`` (n,) as stored; ``devices`` are those with a steady state, and
    ``groups`` (name → mask) sorts them. An answer is computed once.
    """

    __test__ = False
    ranks = (0.1, 0.5, 0.9)
    """Places of the shown devices in the order of Q."""

    def __init__(self, arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self._arrays, self.settings = arrays, settings
        self._answers: dict[str, Answer] = {}
        self.design, self.delta = arrays["data__test__design"], arrays["data__test__delta"]
        self.sets = arrays["data__test__set"]
        self.count = int(np.count_nonzero(self.sets < members.NEG))
        design, delta = self.design[: self.count], self.delta[: self.count]
        omega = arrays["data__test__omega"]
        self.devices = Devices(
            omega,
            arrays["data__test__weight"],
            device.response(design, delta, omega),
            delta,
            device.poles(design, delta),
            scaled_denominator(design, delta, omega),
        )

    @cached_property
    def groups(self) -> dict[str, Mask]:
        """Stable devices by bin of Q."""
        sets = self.sets[: self.count]
        return {name: np.asarray(sets == code) for code, name in enumerate(members.BINS)}

    @cached_property
    def bottom(self) -> Mask:
        """Test devices (n,) without a steady state."""
        return np.asarray(self.delta <= 0)

    def has(self, arm: str) -> bool:
        """Whether the arm's answer is stored, or follows from what is."""
        if arm in {"zero", "oracle"}:
            return True
        head = members.SHARED_HEAD.get(arm, arm)
        own = f"{arm}__score" in self._arrays if arm in members.SCORE_ARMS else True
        return own and any(f"{head}__{name}" in self._arrays for name in ("sections", "response"))

    def answer(self, arm: str) -> Answer:
        """The answer of ``arm``.

        Raises:
            FileInvalid: code ``recompute``, if the sections do not give the stored decision.
            KeyError: an array of the arm is not there.
        """
        if arm not in self._answers:
            self._answers[arm] = self._answer(arm)
        return self._answers[arm]

    def member(self, arm: str, name: str) -> Any:
        """One stored array of an arm."""
        return self._arrays[f"{arm}__{name}"]

    def _answer(self, arm: str) -> Answer:
        if arm in members.SECTION_ARMS:
            return self._from_sections(arm)
        if arm in members.SHARED_HEAD:
            return self._on_shared_head(arm)
        if arm in members.IDENT_ARMS:
            return self._identified(arm)
        stable = self.devices
        if arm == "oracle":
            causes = np.where(self.bottom, int(Cause.VALIDITY), 0).astype(np.uint8)
            curve = Curve.sampled(stable, stable.truth)
            there = np.ones(stable.poles.shape, dtype=bool)
            return self._whole(
                curve, causes, safe=self.bottom, score=self.delta, poles=stable.poles, mask=there
            )
        known = np.zeros(stable.omega.shape) if arm == "zero" else self.member(arm, "response")
        return self._whole(Curve.sampled(stable, known), self._nothing())

    def _nothing(self) -> Array:
        return np.zeros(len(self.sets), dtype=np.uint8)

    def _whole(
        self,
        curve: Curve,
        causes: Array,
        *,
        safe: Mask | None = None,
        score: Array | None = None,
        head: Array | None = None,
        poles: Array | None = None,
        mask: Mask | None = None,
    ) -> Answer:
        """An answer on every stable device."""
        rows = np.arange(self.count)
        failed = np.zeros(self.count, dtype=np.uint8)
        return Answer(rows, curve, causes, failed, safe, score, head, poles, mask)

    def _from_sections(self, arm: str) -> Answer:
        head = self.member(arm, "sections")
        causes = sections.device_cause(head)
        safe = sections.device_cause(head, sections.TAU_SAFE) != 0
        poles, mask = sections.poles(head[: self.count])
        made = self._whole(
            section_curve(self.devices, head[: self.count]),
            causes,
            safe=safe,
            score=sections.score(head),
            head=head,
            poles=poles,
            mask=mask,
        )
        alone = (made.curve.cause != 0) & ~made.bottom[:, None]
        for name, again in (
            ("device_bottom", causes != 0),
            ("device_cause", causes),
            ("lane_bottom", alone),
        ):
            if not np.array_equal(self.member(arm, name), again):
                msg = "the stored decision is not what the sections give"
                raise FileInvalid(
                    msg,
                    code="recompute",
                    path="predictions.npz",
                    pointer=f"{arm}__{name}",
                    hint="do not trust this arm",
                )
        return made

    def _on_shared_head(self, arm: str) -> Answer:
        parent = self.answer(members.SHARED_HEAD[arm])
        head = self.member(members.SHARED_HEAD[arm], "sections")
        if arm in members.SCORE_ARMS:
            score = self.member(arm, "score")
            refused = score < self.member(arm, "threshold")[0]
            causes = np.where(refused, int(Cause.VALIDITY), 0).astype(np.uint8)
            # A fault stays one whoever refuses: there is no number to give.
            causes |= np.where(sections.sound(head), 0, int(Cause.NONFINITE)).astype(np.uint8)
            curve, safe = parent.curve, None
        else:
            epsilon = sections.EPSILON if arm == "rational_eps" else 0.0
            curve = divided_curve(self.devices, head[: self.count], epsilon)
            causes, safe, score = self._nothing(), None, None
        return self._whole(
            curve,
            causes,
            safe=safe,
            score=score,
            head=head,
            poles=parent.poles,
            mask=parent.pole_mask,
        )

    def _identified(self, arm: str) -> Answer:
        rows = members.ident_rows(self.settings)
        lost, cause = self.member(arm, "device_bottom"), self.member(arm, "device_cause")
        lanes = np.broadcast_to(cause[:, None], (len(rows), members.LANES))
        curve = Curve.sampled(self.devices.take(rows), self.member(arm, "response"), lanes)
        failed = np.where(lost, cause | np.uint8(Cause.NONFINITE), np.uint8(0))
        poles, mask = self.member(arm, "poles"), self.member(arm, "pole_mask")
        return Answer(rows, curve, None, failed, poles=poles, pole_mask=mask)


def scaled_denominator(design: Array, delta: Array, omega: Array) -> Array:
    """Modulus of the true denominator (n, m), 1 at ω = 0.

    >>> at = np.array([[1e-9]])
    >>> round(float(scaled_denominator(np.zeros((1, 5)), np.array([0.1]), at)[0, 0]), 9)
    1.0
    """
    coefficients = device.denominator(design, delta)
    value: Array = np.zeros(omega.shape, dtype=np.complex128)
    for part in coefficients.T:
        value = value * (1j * omega) + part[:, None]
    return np.abs(value) / coefficients[:, -1:]


def section_curve(stable: Devices, head: Array) -> Curve:
    """The curve of sections (n, 2, 4), strictly decoded lane by lane, no device refused."""
    grid = sections.peak_grid(head, stable.omega)
    lanes, peaks = (sections.decode(head, at, None) for at in (stable.omega, grid))
    return Curve(stable, *lanes, grid, *peaks, _modulus(head, stable.omega))


def divided_curve(stable: Devices, head: Array, epsilon: float) -> Curve:
    """The curve of sections (n, 2, 4) under plain division, or with ε in the denominator."""
    grid = sections.peak_grid(head, stable.omega)
    lanes, peaks = (
        sections.divide(*sections.tuples(head, at), epsilon) for at in (stable.omega, grid)
    )
    return Curve(stable, *lanes, grid, *peaks, _modulus(head, stable.omega))


def _modulus(head: Array, omega: Array) -> Array:
    return amplitude(sections.tuples(head, omega)[1])


def faults(cause: Array) -> Mask:
    """Which causes hold a numerical fault.

    >>> faults(np.array([2, 128], dtype=np.uint8)).tolist()
    [True, False]
    """
    return np.asarray((cause & np.uint8(FAULT)) != 0)
