"""What each trained arm is: its network, its loss and its gauge, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from zeroproofml.benchmarks.domains.dose.networks import Design

Loss = Literal["clamped", "two_stage", "tobit", "oriented", "published", "pole"]


@dataclass(frozen=True)
class Recipe:
    """One trained arm.

    ``center`` and ``scale`` are the gauge z = (L − center)/scale of the target. ``ends`` are the
    targets of censored curves of a scalar arm, in its own unit. The other fields are switches of
    the losses: ``weighted`` of the oriented one; ``sign``, ``margin``, ``fit``, ``detach_scale``
    and ``detach_norm`` of the published one. ``side`` adds a direction head: on the features, or
    with its gradient cut there.
    """

    design: Design
    loss: Loss
    center: float = -7.0
    scale: float = 1.0
    ends: tuple[float, float] = (-2.0, 2.0)
    shock: bool = False
    weighted: bool = False
    sign: float = 0.0
    margin: bool = True
    fit: Literal["implicit", "decoded"] = "implicit"
    detach_scale: bool = True
    detach_norm: bool = False
    side: Literal["none", "head", "detached"] = "none"
    family: str | None = None

    @property
    def tuples(self) -> bool:
        """True for an arm whose answer is a tuple (P, Q)."""
        return self.loss in ("oriented", "published")


def _network(outputs: int, head: str = "scalar", inputs: int = 10) -> Design:
    return Design((inputs, 64, 64), outputs, head)  # type: ignore[arg-type]  # the tables below hold words of Design


def _recipes(inputs: int) -> dict[str, Recipe]:
    """Arms of both protocols that differ in the number of inputs only."""
    return {
        "tobit": Recipe(_network(2, inputs=inputs), "tobit"),
        "scm_oriented": Recipe(_network(2, "rational", inputs), "oriented", weighted=True),
    }


_ORIENTED = replace(_recipes(10)["scm_oriented"], family="scm_oriented")
_ORIGINAL = Recipe(
    _network(2, "rational"),
    "published",
    center=0.0,
    shock=True,
    sign=1.0,
    family="scm_original",
)
_HEADLINE = {
    "clamped_mlp": Recipe(_network(1), "clamped"),
    "two_stage": Recipe(_network(4), "two_stage"),
    **_recipes(10),
    "scm_dirhead": replace(
        _ORIGINAL, design=_network(4, "rational"), sign=0.0, side="head", family=None
    ),
    "scm_original": _ORIGINAL,
}
STANDARD: dict[str, Recipe] = {
    **_HEADLINE,
    "scm_original_noshock": replace(_ORIGINAL, shock=False),
    "scm_original_centred": replace(_ORIGINAL, center=-7.0),
    "scm_oriented_shock": replace(_ORIENTED, shock=True),
    "scm_oriented_linear": replace(_ORIENTED, design=_network(2, "linear")),
    "scm_flat": replace(_ORIENTED, weighted=False),
    "scm_flat_molar": replace(_ORIENTED, weighted=False, center=0.0),
    **{
        f"{parent}_{size}": replace(_HEADLINE[parent], family=parent)
        for parent in ("two_stage", "tobit", "scm_oriented", "clamped_mlp")
        for size in ("2k", "20k")
    },
}
"""Trained arms of the standard protocol."""

_NAME = "zeroproofml_scm"
_SCM = Recipe(
    _network(2, "rational", 20),
    "published",
    center=0.0,
    shock=True,
    sign=1.0,
    detach_norm=True,
    family=_NAME,
)
_RENORM = replace(_SCM, detach_norm=False)
_DIRHEAD = replace(
    _RENORM,
    design=_network(4, "rational", 20),
    sign=0.0,
    side="head",
    family=f"{_NAME}_nodetachrenorm_dirhead",
)
_WIDE = (20, 256, 256, 256, 256)
CLASSIC: dict[str, Recipe] = {
    "clampedmlp": Recipe(Design(_WIDE, 1, smooth=True), "clamped", center=0.0, ends=(-9.0, -5.0)),
    "twostage": Recipe(Design(_WIDE, 4, smooth=True), "two_stage", center=0.0),
    "rational_eps": Recipe(_network(2, "rational", 20), "pole", center=0.0, ends=(-10.0, -4.0)),
    _NAME: _SCM,
    f"{_NAME}_noshock": replace(_SCM, shock=False),
    f"{_NAME}_nosign": replace(_SCM, sign=0.0),
    f"{_NAME}_nomargin": replace(_SCM, margin=False),
    f"{_NAME}_nodetachscale": replace(_SCM, detach_scale=False),
    f"{_NAME}_qanchorones": replace(_SCM, design=_network(2, "anchored", 20)),
    f"{_NAME}_decodedmse": replace(_SCM, fit="decoded"),
    f"{_NAME}_nodetachrenorm": _RENORM,
    # An angle has no Q of its own that could start near zero.
    f"{_NAME}_nodetachrenorm_angular": replace(
        _RENORM, design=_network(1, "angle", 20), shock=False, family=None
    ),
    f"{_NAME}_nodetachrenorm_dirhead": _DIRHEAD,
    f"{_NAME}_nodetachrenorm_dirhead_detachbackbone": replace(_DIRHEAD, side="detached"),
    "twostage_iso": Recipe(Design((20, 82, 45), 4, smooth=True), "two_stage", center=0.0),
    **_recipes(20),
}
"""Trained arms of the classic protocol."""
RECIPES = {"standard": STANDARD, "classic": CLASSIC}
EPS = 1e-3
"""Of the arm that divides by Q + EPS·sign Q."""
