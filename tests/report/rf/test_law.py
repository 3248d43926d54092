"""The RF protocols as data: arms, modes, settings, metrics, claims and what a run can make of them."""

from __future__ import annotations

import pytest

from zeroproofml.report import claims as judgement
from zeroproofml.report import domains
from zeroproofml.report.contrasts import Value

ARMS = (
    *("scm_rational", "scm_rational_abs", "rational_softplus", "mlp_rel", "mlp_abs", "mlp_deep"),
    *("rational_plain", "rational_eps", "knn_score", "gate_score", "two_stage"),
    *("ident_sk", "ident_vf", "ident_aaa", "zero", "oracle"),
)
CLASSIC_ARMS = (
    *("scm_transfer", "scm_transfer_rel", "scm_transfer_eps", "rational_transfer"),
    *("scm_decoupled", "mlp_silu", "mlp_relu", "mlp_deep_silu", "mlp_iso_silu", "two_stage"),
    *("zero", "oracle"),
)
SUPPORTED = {  # values of the two sides that meet the claim with room
    "rf_q100_iso": (-19.0, -1.8),
    "rf_q100_deep": (-19.0, -5.5),
    "rf_in_deep": (-34.9, -29.9),
    "rf_link": (0.83, 0.18),
    "rf_refuse": (0.95, None),
    "rf_accept": (0.001, None),
    "rf_axis": (0.92, None),
    "rf_score_knn": (0.008, 0.085),
    "rf_score_gate": (0.008, 0.012),
    "rf_division": (1e-13, None),
    "rf_reach": (-14.0, None),
    "rf_humility": (-52.0, -50.0),
}


@pytest.fixture
def law():
    """The standard protocol."""
    return domains.get("rf")


def test_the_standard_law_is_complete(law):
    assert (law.domain, law.name, law.version) == ("rf", "standard", 1)
    assert law.metric_set == ("rf_standard", 1)
    assert tuple(arm.key for arm in law.arms) == ARMS
    assert law.reference_arm == "mlp_abs"
    assert dict(law.seeds) == {"contract": 1, "smoke": 2, "paper": 10}
    assert set(law.declared_metrics) <= set(law.metrics)
    assert len(law.declared_metrics) <= 12
    needs = {arm.key: arm.needs for arm in law.arms if arm.needs}
    assert needs == dict.fromkeys(
        ("rational_plain", "rational_eps", "knn_score", "gate_score"), ("scm_rational",)
    )


def test_which_arms_run_in_which_mode(law):
    def of(mode):
        return {arm.key for arm in law.arms if arm.runs_in(mode)}

    assert of("paper") == set(ARMS)
    paper = {"scm_rational_abs", "mlp_rel", "mlp_deep"}
    assert of("smoke") == set(ARMS) - paper
    assert of("contract") == of("smoke") - {"rational_softplus", "gate_score"}
    classic = domains.get("rf", "classic")
    assert {a.key for a in classic.arms if a.runs_in("contract")} == {*CLASSIC_ARMS} - {
        "mlp_deep_silu"
    }
    assert {a.key for a in classic.arms if a.runs_in("smoke")} == {
        *("scm_transfer", "mlp_iso_silu", "scm_transfer_eps", "two_stage", "zero", "oracle")
    }


def test_settings_are_the_table_of_the_protocol(law):
    names = (
        "train",
        "samples",
        "validation",
        "calibration",
        "gate_bottom",
        "stable",
        "neg",
        "axis",
    )
    names += ("steps", "learning_rate", "heads_per_step", "mlps_per_step", "ident", "ident_clean")
    table = {
        "contract": (64, 32, 16, 32, 0, 16, 12, 4, 200, 5e-3, 16, 16, 4, 0),
        "smoke": (256, 64, 128, 256, 64, 64, 96, 32, 1500, 5e-3, 32, 16, 16, 0),
        "paper": (1024, 64, 128, 256, 256, 128, 192, 64, 8000, 3e-3, 64, 16, 128, 32),
    }
    for mode, values in table.items():
        found = law.settings[mode]
        assert {name: found[name] for name in names} == dict(zip(names, values, strict=True))
        assert set(found) == {*names, "representatives", "test_digest"}


def test_the_classic_law_has_no_claim():
    law = domains.get("rf", "classic")
    assert tuple(arm.key for arm in law.arms) == CLASSIC_ARMS
    assert law.claims == ()
    assert law.reference_arm == "mlp_iso_silu"
    published = {name for name in law.metrics if name.startswith("published_")}
    assert published == {
        *("published_pointwise_mse", "published_peak_retention_yield"),
        *("published_false_peak_hallucination_rate", "published_peak_ratio_mean"),
        "published_denominator_min_abs_p50",
    }
    names = ("train", "validation", "test", "points", "epochs", "batch")
    table = {
        "contract": (32, 8, 8, 16, 2, 128),
        "smoke": (256, 64, 128, 64, 10, 1024),
        "paper": (2048, 512, 1024, 64, 20, 1024),
    }
    for mode, values in table.items():
        assert tuple(law.settings[mode][name] for name in names) == values


def test_one_name_has_one_meaning_in_both_protocols(law):
    classic = domains.get("rf", "classic")
    for name in law.metrics.keys() & classic.metrics.keys():
        mine, other = law.metrics[name], classic.metrics[name]
        assert (mine.direction, mine.unit, mine.kind) == (other.direction, other.unit, other.kind)
    assert not any(name.startswith("published_") for name in law.metrics)


def test_the_claims_are_those_of_the_protocol(law):
    found = {c.id: (c.kind, c.metric, c.comparator, c.bound, c.margin) for c in law.claims}
    assert found == {
        "rf_q100_iso": ("superiority", "rel_err_db_p50_q100", "mlp_abs", None, 12),
        "rf_q100_deep": ("superiority", "rel_err_db_p50_q100", "mlp_deep", None, 10),
        "rf_in_deep": ("superiority", "rel_err_db_p50_in", "mlp_deep", None, 2),
        "rf_link": ("superiority", "peak_success_q100", "rational_softplus", None, 0.3),
        "rf_refuse": ("bound", "bottom_recall_neg", None, 0.9, 0),
        "rf_accept": ("bound", "false_bottom_q5_300", None, 0.01, 0),
        "rf_axis": ("bound", "bottom_recall_axis_safe", None, 0.8, 0),
        "rf_score_knn": ("superiority", "excess_aurc", "knn_score", None, 0.03),
        "rf_score_gate": ("noninferiority", "excess_aurc", "gate_score", None, 0.005),
        "rf_division": ("every_seed", "division_gap_max", None, 1e-10, 0),
        "rf_reach": ("bound", "rel_err_db_p50_q300", None, -10, 0),
        "rf_humility": ("noninferiority", "rel_err_db_p50_in", "ident_vf", None, 3),
    }
    for claim in law.claims:
        assert claim.arm == "scm_rational"
        assert claim.metric in law.metrics
        assert (claim.alpha, claim.min_seeds, claim.missing) == (0.05, 10, "ineligible")
        assert (claim.eligible_modes, claim.eligible_protocols) == (("paper",), ("standard",))
        assert "given" in claim.text or claim.id == "rf_division"
    assert judgement.family_size(law.claims) == 11


def circumstances(law, values, seeds=10, mode="paper"):
    return judgement.Circumstances(
        mode, "standard", "cpu", tuple(range(1, seeds + 1)), False, False, law.metrics, values
    )


def values_of(law, pairs, seeds=10, spread=1e-3):
    made = {}
    for claim in law.claims:
        for arm, value in zip((claim.arm, claim.comparator), pairs[claim.id], strict=True):
            if arm is None:
                continue
            wiggle = spread * abs(value)
            by_seed = {
                s: Value(value + wiggle * ((s * 7919) % 11 - 5) / 5) for s in range(1, seeds + 1)
            }
            made.setdefault(arm, {})[claim.metric] = by_seed
    return made


def judged(law, pairs, **options):
    known = {k: v for k, v in options.items() if k in ("seeds", "mode")}
    rest = {k: v for k, v in options.items() if k not in ("mode",)}
    found = judgement.judge(law.claims, circumstances(law, values_of(law, pairs, **rest), **known))
    return {result.id: (result.verdict, *result.reasons) for result in found.results}


def one_claim_at_a_time(law, pairs, **options):
    """Claims share arms and metrics: each is judged in a world of its own pair."""
    out = {}
    for claim in law.claims:
        world = {**SUPPORTED, **{c.id: pairs[claim.id] for c in law.claims
                                 if c.metric == claim.metric and c.arm == claim.arm}}  # fmt: skip
        world[claim.id] = pairs[claim.id]
        order = [c for c in law.claims if c.id != claim.id] + [claim]
        made = values_of(
            type("Law", (), {"claims": order}),
            world,
            **{k: v for k, v in options.items() if k != "mode"},
        )
        known = {k: v for k, v in options.items() if k in ("seeds", "mode")}
        found = judgement.judge(law.claims, circumstances(law, made, **known))
        result = next(r for r in found.results if r.id == claim.id)
        out[claim.id] = (result.verdict, *result.reasons)
    return out


def test_a_run_can_support_every_claim(law):
    found = one_claim_at_a_time(law, SUPPORTED)
    assert set(found.values()) == {("SUPPORTED",)}


def test_a_run_can_refute_every_claim(law):
    worse = {
        **dict.fromkeys(("rf_q100_iso", "rf_q100_deep"), (-3.0, -2.5)),
        "rf_in_deep": (-29.0, -29.9),
        "rf_link": (0.3, 0.28),
        "rf_refuse": (0.5, None),
        "rf_accept": (0.2, None),
        "rf_axis": (0.3, None),
        "rf_score_knn": (0.08, 0.085),
        "rf_score_gate": (0.08, 0.012),
        "rf_division": (1e-3, None),
        "rf_reach": (-7.8, None),
        "rf_humility": (-34.9, -48.5),
    }
    assert set(one_claim_at_a_time(law, worse).values()) == {("REFUTED",)}


def test_small_modes_and_few_seeds_support_nothing(law):
    assert {v[0] for v in judged(law, SUPPORTED, mode="smoke").values()} == {"INELIGIBLE"}
    few = judged(law, SUPPORTED, seeds=4)
    assert set(few.values()) == {("UNDERPOWERED", "too_few_seeds")}
