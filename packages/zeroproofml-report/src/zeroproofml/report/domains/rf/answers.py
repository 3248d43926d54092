"""The test set of the standard protocol, and what an arm answers on it, from stored arrays.

Strict decoding is done again here. A decision that differs from the one which the arm took when it
ran is an error that names the array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zeroproofml.report.domains.rf import device, members, sections
from zeroproofml.report.domains.rf.devices import Curve, Devices
from zeroproofml.report.domains.rf.peaks import amplitude
from zeroproofml.report.errors import FileInvalid
from zeroproofml.scm.cause import FAULT, Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zeroproofml.report.domains.ranking import Array, Mask
    from zeroproofml.report.domains.rf.sections import Decoded

NEVER = ("mlp_rel", "mlp_abs", "mlp_deep", "rational_plain", "rational_eps", "zero")
"""Arms that cannot refuse a device."""
_BLOCK = 128


class Poles(NamedTuple):
    """The poles of an arm on the stable devices ``rows`` (k,): complex128 and which exist, (k, p)."""

    rows: Array
    place: Array
    there: Mask


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
    ``groups`` (name → mask) sorts them. An answer is computed once. From ``like``, another seed of
    the run, the truth is taken where both hold the very same test set.
    """

    __test__ = False
    ranks = (0.1, 0.5, 0.9)
    """Places of the shown devices in the order of Q."""

    def __init__(
        self,
        arrays: Mapping[str, Any],
        settings: Mapping[str, Any],
        like: TestSet | None = None,
    ) -> None:
        self._arrays, self.settings = arrays, settings
        self._answers: dict[str, Answer] = {}
        self.design, self.delta = arrays["data__test__design"], arrays["data__test__delta"]
        self.sets = arrays["data__test__set"]
        self.count = int(np.count_nonzero(self.sets < members.NEG))
        test = [name for name in arrays if name.startswith("data__test__")]
        if like is not None and all(arrays[name] is like._arrays.get(name) for name in test):
            self.devices, self.true_poles = like.devices, like.true_poles

    @cached_property
    def devices(self) -> Devices:
        """The truth on the judge's grid, of the devices with a steady state."""
        design, delta = self.design[: self.count], self.damping
        omega = self._arrays["data__test__omega"]
        return Devices(
            omega,
            self._arrays["data__test__weight"],
            device.response(design, delta, omega),
            delta,
            self.true_poles,
            scaled_denominator(design, delta, omega),
        )

    @property
    def damping(self) -> Array:
        """δ (k,) of the devices with a steady state."""
        delta: Array = self.delta[: self.count]
        return delta

    @cached_property
    def true_poles(self) -> Array:
        """Poles (k, 2) of the devices with a steady state."""
        return device.poles(self.design[: self.count], self.damping)

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

    def poles(self, arm: str) -> Poles | None:
        """The poles of ``arm``; None where it has none. No response is decoded for them."""
        everyone = np.arange(self.count)
        if arm in members.IDENT_ARMS:
            rows = members.ident_rows(self.settings)
            return Poles(rows, self.member(arm, "poles"), self.member(arm, "pole_mask"))
        if arm == "oracle":
            return Poles(everyone, self.true_poles, np.ones(self.true_poles.shape, dtype=bool))
        head = members.SHARED_HEAD.get(arm, arm)
        if head not in members.SECTION_ARMS:
            return None
        return Poles(everyone, *sections.poles(self.member(head, "sections")[: self.count]))

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
            return self._whole(arm, curve, causes, safe=self.bottom, score=self.delta)
        known = np.zeros(stable.omega.shape) if arm == "zero" else self.member(arm, "response")
        return self._whole(arm, Curve.sampled(stable, known), self._nothing())

    def _nothing(self) -> Array:
        return np.zeros(len(self.sets), dtype=np.uint8)

    def _whole(
        self,
        arm: str,
        curve: Curve,
        causes: Array,
        *,
        safe: Mask | None = None,
        score: Array | None = None,
        head: Array | None = None,
    ) -> Answer:
        """An answer on every stable device."""
        failed, poles = np.zeros(self.count, dtype=np.uint8), self.poles(arm)
        _, place, there = poles or (None, None, None)
        rows = np.arange(self.count)
        return Answer(rows, curve, causes, failed, safe, score, head, place, there)

    def _from_sections(self, arm: str) -> Answer:
        head = self.member(arm, "sections")
        causes = sections.device_cause(head)
        safe = sections.device_cause(head, sections.TAU_SAFE) != 0
        made = self._whole(
            arm,
            section_curve(self.devices, head[: self.count]),
            causes,
            safe=safe,
            score=sections.score(head),
            head=head,
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
        return self._whole(arm, curve, causes, safe=safe, score=score, head=head)

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
    return _curve(stable, head, sections.quotient)


def divided_curve(stable: Devices, head: Array, epsilon: float) -> Curve:
    """The curve of sections (n, 2, 4) under plain division, or with ε in the denominator."""
    return _curve(stable, head, lambda p, q: sections.divide(p, q, epsilon))


def _curve(stable: Devices, head: Array, divide: Callable[[Array, Array], Decoded]) -> Curve:
    """A curve on the judge's grid, and on the same grid joined with places around the poles.

    Every place is decoded once: the judge's lanes are the first of the joined grid before it is
    put in order. Devices are taken in blocks, whose intermediate arrays stay in the cache.
    """
    lanes = slice(stable.omega.shape[1])
    blocks = []
    for start in range(0, max(len(head), 1), _BLOCK):
        rows = slice(start, start + _BLOCK)
        joined = np.concatenate([stable.omega[rows], sections.peak_places(head[rows])], axis=1)
        order = np.argsort(joined, axis=1, kind="stable")
        p, q = sections.tuples(head[rows], joined)
        made = divide(p, q)
        in_order = (np.take_along_axis(part, order, axis=1) for part in (joined, *made))
        blocks.append((*(part[:, lanes] for part in made), *in_order, amplitude(q[:, lanes])))
    return Curve(stable, *(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def faults(cause: Array) -> Mask:
    """Which causes hold a numerical fault.

    >>> faults(np.array([2, 128], dtype=np.uint8)).tolist()
    [True, False]
    """
    return np.asarray((cause & np.uint8(FAULT)) != 0)
