"""Section 10 of the run contract: one synthetic run for each verdict and each reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroproofml.report import claims, stats
from zeroproofml.report.contract import MetricDefinition
from zeroproofml.report.contrasts import Value

LOWER = MetricDefinition(
    direction="lower", unit="m", bounds=(0.0, None), kind="error", text="distance"
)
HIGHER = MetricDefinition(
    direction="higher", unit="1", bounds=(0.0, 1.0), kind="rate", text="share of hits"
)
TEN = tuple(range(1, 11))


def column(numbers, reason="empty_set"):
    return {
        seed: Value(x, None if x is not None else reason) for seed, x in enumerate(numbers, start=1)
    }


def judged(claim, mine, theirs=None, **changes):
    values = {claim.arm: {claim.metric: column(mine)}}
    if theirs is not None:
        values[claim.comparator] = {claim.metric: column(theirs)}
    body = {
        "mode": "paper",
        "protocol": "standard",
        "device": "cpu",
        "planned": tuple(range(1, len(mine) + 1)),
        "partial": False,
        "plan_extended": False,
        "definitions": {"mae": LOWER, "coverage": HIGHER},
        "values": values,
    }
    return claims.judge([claim], claims.Circumstances(**(body | changes))).results[0]


def near(centre, spread=0.01, n=10):
    return [centre + spread * ((i * 7) % n - n / 2) / n for i in range(n)]


@pytest.mark.parametrize(
    ("mine", "theirs", "verdict", "reasons"),
    [
        (near(0.1), near(0.3), "SUPPORTED", ()),
        (near(0.3), near(0.1), "REFUTED", ()),
        (near(0.2, 0.2), near(0.21, 0.3), "UNDERPOWERED", ("interval_contains_margin",)),
    ],
)
def test_superiority(make_claim, mine, theirs, verdict, reasons):
    found = judged(make_claim(), mine, theirs)
    assert (found.verdict, found.reasons) == (verdict, reasons)
    assert found.numbers.n == 10
    assert found.seeds == TEN


def test_superiority_needs_its_margin(make_claim):
    mine, theirs = near(0.1), near(0.3, 0.05)
    assert judged(make_claim(margin=0.1), mine, theirs).verdict == "SUPPORTED"
    assert judged(make_claim(margin=0.2), mine, theirs).verdict == "UNDERPOWERED"
    assert judged(make_claim(margin=0.5), mine, theirs).verdict == "REFUTED"


def test_direction_gives_the_sign(make_claim):
    claim = make_claim(metric="coverage")
    assert judged(claim, near(0.9), near(0.5)).verdict == "SUPPORTED"
    assert judged(claim, near(0.5), near(0.9)).verdict == "REFUTED"


def test_noninferiority(make_claim):
    claim = make_claim(kind="noninferiority", margin=0.1)
    assert judged(claim, near(0.32), near(0.3)).verdict == "SUPPORTED"
    assert judged(claim, near(0.5), near(0.3)).verdict == "REFUTED"
    wide = judged(claim, near(0.40, 0.2), near(0.3))
    assert (wide.verdict, wide.reasons) == ("UNDERPOWERED", ("interval_contains_margin",))


def test_equivalence(make_claim):
    claim = make_claim(kind="equivalence", margin=0.05)
    found = judged(claim, near(0.301), near(0.3, 0.02))
    assert found.verdict == "SUPPORTED"
    d = [b.number - a.number for a, b in zip(
        column(near(0.301)).values(), column(near(0.3, 0.02)).values(), strict=True)]  # fmt: skip
    above = stats.sign_flip([x + 0.05 for x in d], "greater").p
    below = stats.sign_flip([x - 0.05 for x in d], "less").p
    assert found.numbers.p == max(above, below)
    assert judged(claim, near(0.4), near(0.3)).verdict == "REFUTED"
    assert judged(claim, near(0.2), near(0.3)).verdict == "REFUTED"
    assert judged(claim, near(0.35, 0.1), near(0.3)).verdict == "UNDERPOWERED"


def test_bound(make_claim):
    claim = make_claim(kind="bound", comparator=None, bound=0.2)
    assert judged(claim, near(0.1)).verdict == "SUPPORTED"
    assert judged(claim, near(0.3)).verdict == "REFUTED"
    assert judged(claim, near(0.2, 0.1)).verdict == "UNDERPOWERED"


def test_every_seed(make_claim):
    claim = make_claim(kind="every_seed", comparator=None, bound=0.2)
    found = judged(claim, [0.2] * 10)
    assert (found.verdict, found.numbers.p, found.numbers.estimate) == ("SUPPORTED", None, 0.0)
    assert judged(claim, [0.1] * 9 + [0.21]).verdict == "REFUTED"
    assert judged(claim, [0.1] * 3).reasons == ("too_few_seeds",)
    refused = judged(claim, [0.1] * 9 + [None])
    assert (refused.verdict, refused.reasons) == ("INELIGIBLE", ("null_pairs",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "smoke"}, "mode"),
        ({"mode": "contract"}, "mode"),
        ({"protocol": "classic"}, "protocol"),
        ({"partial": True}, "run_partial"),
        ({"plan_extended": True}, "plan_extended"),
    ],
)
def test_ineligible_circumstances(make_claim, changes, reason):
    found = judged(make_claim(), near(0.1), near(0.3), **changes)
    assert (found.verdict, found.reasons) == ("INELIGIBLE", (reason,))
    assert found.numbers.p is None
    assert found.numbers.reasons["p"] == "not_applicable"
    assert found.numbers.interval is not None


def test_ineligible_device_arm_and_nulls(make_claim):
    found = judged(make_claim(devices=("cuda",)), near(0.1), near(0.3))
    assert found.reasons == ("device",)
    claim = make_claim()
    found = judged(claim, near(0.1), None)
    assert (found.verdict, found.reasons, found.numbers.n) == ("INELIGIBLE", ("arm_absent",), 0)
    found = judged(claim, [*near(0.1)[:9], None], near(0.3))
    assert (found.reasons, found.numbers.n) == (("null_pairs",), 9)


def test_a_declared_worst_value_stands_in_for_a_null(make_claim):
    claim = make_claim(missing=5.0)
    found = judged(claim, [*near(0.1)[:9], None], near(0.3))
    assert found.verdict == "UNDERPOWERED"
    assert found.numbers.n == 10
    assert found.numbers.estimate == pytest.approx(
        sum(t - m for m, t in zip([*near(0.1)[:9], 5.0], near(0.3), strict=True)) / 10
    )


def test_too_few_seeds_before_any_verdict(make_claim):
    found = judged(make_claim(min_seeds=10), near(0.1, n=9), near(0.3, n=9))
    assert (found.verdict, found.reasons) == ("UNDERPOWERED", ("too_few_seeds",))
    # 5 seeds: the least p is 1/16, above any 5 % test
    found = judged(make_claim(min_seeds=2), near(0.1, n=5), near(0.3, n=5))
    assert (found.verdict, found.reasons) == ("UNDERPOWERED", ("too_few_seeds",))


def test_one_seed_and_no_seed(make_claim):
    for n in (0, 1):
        found = judged(
            make_claim(min_seeds=1), near(0.1, n=n) if n else [], near(0.3, n=n) if n else []
        )
        assert found.verdict == "UNDERPOWERED"
        assert found.numbers.interval is None
        assert found.numbers.reasons["interval"] == "too_few"


def test_extremes_of_arms(make_claim):
    claim = make_claim(metric="coverage")
    same = judged(claim, [0.5] * 10, [0.5] * 10)
    assert same.verdict == "UNDERPOWERED"
    assert judged(claim, [1.0] * 10, [0.0] * 10).verdict == "SUPPORTED"
    nothing = judged(claim, [None] * 10, [0.5] * 10)
    assert (nothing.verdict, nothing.numbers.n) == ("INELIGIBLE", 0)


def test_family_keeps_ineligible_members(make_claim):
    """An ineligible claim enters with p = 1: it must not make the correction milder."""
    good = make_claim()
    others = [make_claim(id=f"other_{i}", devices=("cuda",)) for i in range(3)]
    body = {
        "mode": "paper",
        "protocol": "standard",
        "device": "cpu",
        "planned": TEN,
        "partial": False,
        "plan_extended": False,
        "definitions": {"mae": LOWER},
        "values": {"scm": {"mae": column(near(0.1))}, "mlp": {"mae": column(near(0.3))}},
    }
    found = claims.judge([good, *others], claims.Circumstances(**body))
    assert found.family_size == 4
    assert found.results[0].numbers.p_holm == pytest.approx(4 * found.results[0].numbers.p)
    assert [r.verdict for r in found.results[1:]] == ["INELIGIBLE"] * 3
    assert [c.family_size for c in found.contrasts] == [4] * 4
    every = make_claim(id="each", kind="every_seed", comparator=None, bound=1.0)
    assert claims.judge([good, every], claims.Circumstances(**body)).family_size == 1


@settings(max_examples=50)
@given(
    mine=st.lists(st.floats(0, 1), min_size=6, max_size=12),
    shift=st.floats(-1, 1),
    kind=st.sampled_from(["superiority", "noninferiority", "equivalence"]),
    margin=st.floats(0, 0.5),
)
def test_support_always_means_that_interval_and_test_agree(make_claim, mine, shift, kind, margin):
    claim = make_claim(kind=kind, margin=margin)
    found = judged(claim, mine, [x + shift for x in mine])
    low, high = found.numbers.interval
    line = {"superiority": margin, "noninferiority": -margin}.get(kind)
    if found.verdict == "SUPPORTED":
        assert found.numbers.p_holm <= 0.05
        assert low > line if line is not None else (-margin < low and high < margin)
    if found.verdict == "REFUTED":
        assert high < line if line is not None else (low >= margin or high <= -margin)
