"""Section 9 of the run contract against scipy, brute force and published laws."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from zeroproofml.report import stats
from zeroproofml.scm.errors import SCMValueError

finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))


def sample(n, seed=0, scale=1.0):
    return list(np.random.default_rng(seed).normal(0.3, scale, n))


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_t_interval_equals_scipy(n):
    x = sample(n, n)
    expected = reference.t.interval(0.95, n - 1, loc=np.mean(x), scale=reference.sem(x))
    assert stats.t_interval(x) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_t_interval_edges():
    assert stats.t_interval([1.5]) is None
    assert stats.t_interval([]) is None
    same = [0.7, 0.7, 0.7]
    assert stats.sd(same) == 0.0
    assert stats.t_interval(same) == (stats.mean(same), stats.mean(same))


@pytest.mark.parametrize("q", [0.0, 0.1, 0.25, 0.5, 0.75, 0.975, 1.0])
def test_quantile_is_type_seven(q):
    x = sample(11, 3)
    assert stats.quantile(x, q) == pytest.approx(np.quantile(x, q), rel=1e-14)


def test_mean_and_sd():
    x = [1e16, 1.0, -1e16, 1.0]
    assert stats.mean(x) == 0.5
    assert stats.sd([1.0]) is None
    assert stats.sd(sample(9)) == pytest.approx(np.std(sample(9), ddof=1), rel=1e-14)
    with pytest.raises(SCMValueError, match="values"):
        stats.mean([])


@pytest.mark.parametrize("scale", [1e-200, 5e-324, 1e-310, 1e200])
def test_spread_of_tiny_and_huge_values(scale):
    x = [scale * k for k in (1, 2, 4, 8, 9, 11, 30, 40, 41)]
    ones = [v / x[0] for v in x]
    assert stats.sd(x) == pytest.approx(stats.sd(ones) * scale, rel=1e-9, abs=5e-324)
    for interval in (stats.t_interval, stats.bca_interval):
        low, high = interval(x)
        assert low <= stats.mean(x) <= high


def brute_bca(x, level=0.95):
    """The textbook interval from the shared index matrix, with nothing else shared."""
    x = np.asarray(x)
    matrix = np.stack(list(stats.resample_rows(len(x))), axis=1)
    means = np.array([math.fsum(x[row]) / len(x) for row in matrix])
    centre = math.fsum(x) / len(x)
    share = (np.sum(means < centre) + np.sum(means == centre) / 2) / len(means)
    z0 = reference.norm.ppf(np.clip(share, 1 / len(means), 1 - 1 / len(means)))
    jackknife = np.array([np.delete(x, i).mean() for i in range(len(x))])
    gap = jackknife.mean() - jackknife
    a = np.sum(gap**3) / (6 * np.sum(gap**2) ** 1.5)
    z = z0 + reference.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    return np.quantile(means, reference.norm.cdf(z0 + z / (1 - a * z)))


@pytest.mark.parametrize("n", [8, 10, 20, 33])
@pytest.mark.parametrize("skewed", [False, True])
def test_bca_equals_the_textbook(n, skewed):
    x = sample(n, n)
    if skewed:
        x = list(np.exp(x))
    assert stats.bca_interval(x) == pytest.approx(brute_bca(x), rel=1e-10, abs=1e-12)


def test_bca_agrees_with_scipy_within_resampling_noise():
    x = list(np.exp(sample(12, 5)))
    other = reference.bootstrap(
        (x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    width = other.high - other.low
    assert stats.bca_interval(x) == pytest.approx((other.low, other.high), abs=0.05 * width)


def test_bca_needs_eight_values_and_survives_ties():
    assert stats.bca_interval(sample(7)) is None
    assert stats.bca_interval([3.0] * 9) == (3.0, 3.0)
    low, high = stats.bca_interval([0.0] * 7 + [1.0])
    assert 0.0 <= low <= high <= 1.0


def test_index_matrix_follows_the_integer_rule_and_is_the_same_when_streamed(monkeypatch):
    n = 9
    rows = np.stack(list(stats.resample_rows(n)))
    assert rows.shape == (n, 9_999)
    assert rows.min() == 0
    assert rows.max() == n - 1
    counts = np.bincount(rows.ravel(), minlength=n) / rows.size
    assert np.all(np.abs(counts - 1 / n) < 0.005)
    monkeypatch.setattr(stats, "_CACHED_CELLS", 0)
    assert np.array_equal(rows, np.stack(list(stats.resample_rows(n))))


def test_index_matrix_is_pinned():
    """Stored intervals depend on these draws: a change is a new derive version."""
    first = next(iter(stats.resample_rows(10)))
    assert first[:12].tolist() == [6, 2, 7, 7, 2, 6, 0, 2, 3, 0, 7, 8]


def brute_sign_flip(d, alternative):
    tolerance = 1e-12 * sum(abs(x) for x in d)
    statistic = {
        "two-sided": abs,
        "greater": lambda s: s,
        "less": lambda s: -s,
    }[alternative]
    observed = statistic(math.fsum(d))
    sums = (
        statistic(math.fsum(s * x for s, x in zip(signs, d, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(d))
    )
    return sum(s >= observed - tolerance for s in sums) / 2 ** len(d)


@given(
    d=st.lists(st.one_of(finite, st.integers(-3, 3).map(float)), min_size=2, max_size=8),
    alternative=st.sampled_from(["two-sided", "greater", "less"]),
)
def test_sign_flip_equals_brute_force(d, alternative):
    assert stats.sign_flip(d, alternative).p == brute_sign_flip(d, alternative)


def test_sign_flip_equals_scipy():
    d = sample(10, 2)
    other = reference.permutation_test(
        (np.array(d),), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert stats.sign_flip(d).p == pytest.approx(other.pvalue, rel=1e-10)


def test_sign_flip_floor_and_method():
    for n in (2, 6, 20):
        test = stats.sign_flip([1.0] * n)
        assert (test.p, test.p_floor, test.method) == (2.0 ** (1 - n), 2.0 ** (1 - n), "exact")
        assert test.permutations == 2**n
    assert stats.sign_flip([1.0]) is None
    assert stats.sign_flip([0.0, 0.0, 0.0]).p == 1.0
    assert stats.sign_flip([1.0, 1.0], "greater").p_floor == 0.25


def test_sign_flip_sampled_above_twenty():
    d = [1.0] * 25
    test = stats.sign_flip(d)
    assert (test.method, test.permutations) == ("sampled", 99_999)
    assert test.p == test.p_floor == 1 / 100_000
    mixed = sample(21, 8, scale=1.2)
    exact = reference.norm.sf(abs(np.sum(mixed)) / np.sqrt(np.sum(np.square(mixed)))) * 2
    assert stats.sign_flip(mixed).p == pytest.approx(exact, abs=0.02)
    many = stats.sign_flip(sample(130, 1))
    assert many.p_floor <= many.p <= 1
    assert many == stats.sign_flip(sample(130, 1))


def test_sign_flip_tie_tolerance_survives_rounding():
    # 0.1 + 0.2 - 0.3 is not 0.0 in binary: without a tolerance these patterns would be lost
    d = [0.1, 0.2, -0.3, 0.1, 0.2, -0.3]
    assert stats.sign_flip(d).p == 1.0


@given(
    p=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    extra=st.integers(0, 5),
)
def test_holm_is_the_closed_definition(p, extra):
    adjusted = stats.holm(p, size=len(p) + extra)
    full = sorted([*p, *([1.0] * extra)])
    for value, result in zip(p, adjusted, strict=True):
        expected = max(min(1.0, (len(full) - j) * full[j]) for j in range(full.index(value) + 1))
        assert result == pytest.approx(expected, rel=1e-12)
    order = np.argsort(p, kind="stable")
    assert all(a <= b for a, b in itertools.pairwise(np.asarray(adjusted)[order]))


def test_holm_refuses_a_family_smaller_than_its_members():
    assert stats.holm([]) == []
    with pytest.raises(SCMValueError, match="size"):
        stats.holm([0.1, 0.2], size=1)


def test_hedges_g_and_share_better():
    d = sample(10, 4)
    expected = np.mean(d) / np.std(d, ddof=1) * (1 - 3 / (4 * 9 - 1))
    assert stats.hedges_g(d) == pytest.approx(expected, rel=1e-12)
    assert stats.hedges_g([2.0, 2.0, 2.0]) is None
    assert stats.hedges_g([1.0]) is None
    assert stats.share_better([]) is None
    assert stats.share_better([0.0, 0.0]) == 0.5


def test_t_coverage_on_gaussian_data():
    rng = np.random.default_rng(11)
    n, runs = 5, 2_000
    hits = 0
    for x in rng.normal(0.0, 1.0, (runs, n)):
        low, high = stats.t_interval(list(x))
        hits += low <= 0.0 <= high
    assert 0.93 <= hits / runs <= 0.97
