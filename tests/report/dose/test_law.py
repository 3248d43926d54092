"""The packaged protocols: arms, settings, claims as declared; synthetic runs drive every verdict."""

from __future__ import annotations

import pytest

from zeroproofml.report import claims as judgement
from zeroproofml.report import domains
from zeroproofml.report.contrasts import Value
from zeroproofml.report.domains.dose.arms import arms
from zeroproofml.report.domains.dose.members import members

SEEDS = tuple(range(1, 11))


@pytest.mark.parametrize("name", ["standard", "classic"])
def test_a_law_is_complete_and_within_its_bounds(name):
    law = domains.get("dose", name)
    assert (law.domain, law.name, law.version) == ("dose", name, 1)
    assert law.metric_set == ("dose", 1)
    assert law.reference_arm == "tobit"
    assert law.required_arms == ("bayes_oracle",)
    assert dict(law.seeds) == {"contract": 1, "smoke": 2, "paper": 10}
    assert len(law.declared_metrics) <= 12
    assert set(law.declared_metrics) <= set(law.metrics)
    keys = {arm.key for arm in law.arms}
    assert keys == set(arms(name))
    for claim in law.claims:
        assert claim.metric in law.metrics
        assert {claim.arm, claim.comparator} <= keys | {None}
        assert (claim.eligible_modes, claim.min_seeds) == (("paper",), 10)
        assert (claim.alpha, claim.missing) == (0.05, "ineligible")
        assert claim.eligible_protocols == (name,)
    for mode, settings in law.settings.items():
        for digest in settings["digests"].values():
            assert digest.startswith("sha256:")
            assert set(digest[7:]) != {"0"}, mode
        assert set(settings["digests"]) == {"test", *settings["stress"]}


def test_both_protocols_have_one_metric_set():
    assert domains.get("dose").metrics == domains.get("dose", "classic").metrics


def test_settings_are_the_table_of_the_protocol():
    names = ("train", "calibration", "validation", "test", "batch", "epochs")
    table = {
        "contract": (512, 256, 128, 512, 128, 1),
        "smoke": (20_000, 5_000, 2_000, 10_000, 256, 6),
        "paper": (200_000, 20_000, 5_000, 30_000, 512, 20),
    }
    for mode, values in table.items():
        made = domains.get("dose").settings[mode]
        assert tuple(made[name] for name in names) == values
        assert made["schedule"] == "cosine"
        stress = dict.fromkeys(("noise2", "outlier"), 10_000) if mode == "paper" else {}
        assert made["stress"] == stress
    classic = domains.get("dose", "classic").settings
    assert tuple(classic["paper"][name] for name in names) == (*table["paper"][:5], 10)
    assert classic["contract"]["batch"] == 512
    assert {made["schedule"] for made in classic.values()} == {"constant"}
    assert domains.get("dose").settings["paper"]["budget"] == {
        "2000": {"batch": 64, "epochs": 60},
        "20000": {"batch": 256, "epochs": 20},
    }


def test_arms_of_the_standard_protocol():
    known = arms("standard")
    headline = {key for key, arm in known.items() if arm.part == "headline"}
    assert headline == {
        *("constant", "hill_fit", "clamped_mlp", "two_stage", "tobit"),
        *("scm_oriented", "scm_dirhead", "scm_original"),
    }
    budget = {key for key, arm in known.items() if arm.part == "budget"}
    families = ("two_stage", "tobit", "scm_oriented", "clamped_mlp")
    assert budget == {f"{family}_{size}" for family in families for size in ("2k", "20k")}
    law = {arm.key: arm for arm in domains.get("dose").arms}
    for key, arm in known.items():
        assert law[key].modes == (("paper",) if arm.part == "budget" else ())
        assert (arm.rows is not None) == (arm.part == "budget")
    assert known["scm_oriented"].tau_train == pytest.approx(1 / 5**0.5)
    molar = [k for k, arm in known.items() if arm.gauge is not None and arm.gauge.center == 0]
    assert set(molar) == {"scm_dirhead", "scm_original", "scm_original_noshock", "scm_flat_molar"}


def test_arms_of_the_classic_protocol():
    known = arms("classic")
    assert len(known) == 20
    assert sum(arm.score == "projective" for arm in known.values()) == 12
    assert all(arm.published == 0.025 for arm in known.values() if arm.score == "projective")


def test_members_follow_arms_and_sizes():
    settings = domains.get("dose").settings["paper"]
    made = members("standard", settings, ["tobit", "scm_dirhead", "constant"])
    assert made["tobit__noise2_prob"] == ("<f4", (10_000, 3))
    assert made["scm_dirhead__cal_orient"] == ("<f4", (20_000,))
    assert made["scm_dirhead__test_q"] == ("<f4", (30_000,))
    assert "constant__test_q" not in made
    assert made["data__cal_l_microdecades"] == ("<i4", (20_000,))
    assert not any(name.startswith("data__test") for name in made)


def test_the_claims_are_those_of_the_protocol():
    found = {
        claim.id.partition("_")[0]: (
            claim.kind,
            claim.metric,
            claim.arm,
            claim.comparator or claim.bound,
            claim.margin,
        )
        for name in ("standard", "classic")
        for claim in domains.get("dose", name).claims
    }
    us, mae = "scm_oriented", "finite_mae_window"
    published = "zeroproofml_scm_nodetachrenorm"
    assert found == {
        "d1": ("bound", "excess_cost_1_1", us, 0.002, 0),
        "d2": ("bound", "mae_ratio_bayes", us, 1.1, 0),
        "d3": ("every_seed", "swap_rate", us, 0.001, 0),
        "d4": ("noninferiority", "cost_1_1", us, "tobit", 0.002),
        "d5": ("noninferiority", "cost_1_1", us, "two_stage", 0.002),
        "d6": ("superiority", "swap_rate", us, "scm_original", 0.2),
        "d7": ("superiority", mae, us, "scm_dirhead", 0.05),
        "d8": ("equivalence", "cost_1_1", us, "scm_oriented_shock", 0.002),
        "d9": ("equivalence", "swap_rate", "scm_original", "scm_original_noshock", 0.05),
        "d10": ("superiority", mae, "scm_flat", "scm_flat_molar", 0.1),
        "d11": ("bound", "fp_cens_safety", us, 0.0115, 0),
        "d12": ("every_seed", "collapse", us, 0.0, 0),
        "d13": ("bound", "noise2_fp_cens_safety", us, 0.02, 0),
        "d14": ("superiority", "cost_1_1", "scm_oriented_2k", "tobit_2k", 0),
        "d15": ("noninferiority", mae, "scm_oriented_20k", "tobit_20k", 0.005),
        "b1": ("equivalence", "macro_f1", "twostage_iso", "bayes_oracle", 0.005),
        "b2": ("equivalence", "macro_f1", us, "bayes_oracle", 0.005),
        "b3": ("superiority", "swap_rate", us, published, 0.2),
    }
    assert judgement.family_size(domains.get("dose").claims) == 13
    assert 2.0**-9 < 0.05 / 13


def judge(law, gaps, seeds=SEEDS, mode="paper", spread=1e-6):
    """Verdicts when each claim's arm is better than comparator or bound by `gaps[claim]`.

    One claim at a time: two claims may share an arm and a metric.
    """
    out = {}
    for claim in law.claims:
        sign = 1.0 if law.metrics[claim.metric].direction == "higher" else -1.0
        base = 0.5 if claim.bound is None else claim.bound
        values = {}
        middle = sum(seeds) / len(seeds)
        for arm, gap, width in ((claim.arm, gaps(claim), spread), (claim.comparator, 0.0, 0.0)):
            if arm is not None:
                series = {s: Value(base + sign * gap + width * (s - middle)) for s in seeds}
                values[arm] = {claim.metric: series}
        run = judgement.Circumstances(
            mode, law.name, "cpu", tuple(seeds), False, False, law.metrics, values
        )
        absent = [c for c in law.claims if c.id != claim.id]
        # The others are present as claims, so that the family keeps its size.
        made = judgement.judge([claim, *absent], run)
        out[claim.id] = made.results[0].verdict
    return out


@pytest.mark.parametrize("name", ["standard", "classic"])
def test_synthetic_summaries_drive_every_claim_to_each_verdict(name):
    law = domains.get("dose", name)

    def far(claim):
        return 0.0 if claim.kind == "equivalence" else claim.margin + 0.01

    def worse(claim):
        return -claim.margin - 0.5

    def on_the_line(claim):
        if claim.kind == "equivalence":
            return claim.margin
        return -claim.margin if claim.kind == "noninferiority" else claim.margin

    assert set(judge(law, far).values()) == {"SUPPORTED"}
    assert set(judge(law, worse).values()) == {"REFUTED"}
    tested = {c.id for c in law.claims if judgement.carries_test(c)}
    wide = judge(law, on_the_line, spread=1e-3)
    assert {wide[key] for key in tested} == {"UNDERPOWERED"}
    few = judge(law, far, seeds=SEEDS[:9])
    assert set(few.values()) == {"UNDERPOWERED"}
    for mode in ("contract", "smoke"):
        assert set(judge(law, far, mode=mode).values()) == {"INELIGIBLE"}
