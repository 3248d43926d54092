"""The models: strictness, the null rule, versions, round trips, and the published schemas."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zeroproofml.report.contract import (
    ArmResult,
    Cell,
    Claim,
    Contrast,
    JournalEvent,
    Manifest,
    MetricContext,
    MetricRecord,
    Provenance,
    ResumeState,
    SeedCommit,
    SeedResult,
    Summary,
    Training,
)
from zeroproofml.report.contract.base import FileModel
from zeroproofml.report.contract.paths import check_path, is_safe_path, twins
from zeroproofml.report.contract.published import MODELS, published, schema_files
from zeroproofml.report.contract.strict_json import canonical, dump, parse
from zeroproofml.report.errors import FileInvalid, UsageError

FILES = {
    "manifest.json": Manifest,
    "provenance.json": Provenance,
    "resume_state.json": ResumeState,
    "seed_1/per_seed_result.json": SeedResult,
    "seed_1/commit.json": SeedCommit,
    "aggregated/summary.json": Summary,
}


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def put(value, path, new):
    made = json.loads(json.dumps(value))
    here = made
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = new
    return made


def at(value, path):
    for part in path:
        value = value[part]
    return value


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_round_trips_to_the_same_bytes(toy_run, name):
    data = (toy_run / name).read_bytes()
    assert FILES[name].from_bytes(data, path=name).to_bytes() == data


@pytest.mark.parametrize("name", FILES)
def test_every_leaf_has_one_type(toy_run, name):
    """A number as text, text as a number, true for 1: each is refused, wherever it stands."""
    value = parse((toy_run / name).read_bytes())
    refused = 0
    for path in leaves(value):
        if {"settings", "diagnostics", "determinism"} & set(path):
            continue
        old = at(value, path)
        for new in ([], {}, [old], {"a": old}):
            with pytest.raises(FileInvalid):
                FILES[name].from_plain(put(value, path, new))
        if isinstance(old, int | float):
            for new in (str(old), bool(old)):
                with pytest.raises(FileInvalid) as caught:
                    FILES[name].from_plain(put(value, path, new))
                assert caught.value.code == "schema"
            if isinstance(old, float) and old.is_integer():
                with pytest.raises(FileInvalid, match="whole number"):
                    FILES[name].from_plain(put(value, path, int(old)))
        elif isinstance(old, str):
            with pytest.raises(FileInvalid):
                FILES[name].from_plain(put(value, path, 7))
        refused += 1
    assert refused > 5


@pytest.mark.parametrize("name", FILES)
def test_no_field_may_be_missing_or_extra(toy_run, name):
    value = parse((toy_run / name).read_bytes())
    for key in list(value):
        less = {k: v for k, v in value.items() if k != key}
        with pytest.raises(FileInvalid):
            FILES[name].from_plain(less)
    with pytest.raises(FileInvalid) as caught:
        FILES[name].from_plain({**value, "more": 1})
    assert caught.value.pointer == "/more"


@pytest.mark.parametrize("name", FILES)
def test_versions_and_names(toy_run, name):
    value = parse((toy_run / name).read_bytes())
    for change, code in (
        ({"schema_name": "other.tool"}, "schema_foreign"),
        ({"schema_name": 3}, "schema_foreign"),
        ({"schema_version": 2}, "schema_newer"),
        ({"schema_version": 0}, "schema"),
        ({"schema_version": "1"}, "schema"),
        ({"schema_version": True}, "schema"),
        ({"schema_version": 1.0}, "schema"),
    ):
        with pytest.raises(FileInvalid) as caught:
            FILES[name].from_plain({**value, **change})
        assert caught.value.code == code, change
        assert caught.value.exit_code == 5


@pytest.mark.parametrize("value", [None, 1, "x", [], [1]])
def test_a_file_is_an_object(value):
    with pytest.raises(FileInvalid):
        Manifest.from_plain(value)


def test_models_are_frozen_and_lists_become_tuples(toy_run):
    manifest = Manifest.from_bytes((toy_run / "manifest.json").read_bytes())
    assert isinstance(manifest.files, tuple)
    with pytest.raises(ValidationError):
        manifest.generation = 7


def arm(**changes):
    given_ = {
        "status": "ok",
        "reason": None,
        "n_parameters": 1,
        "training": Training(steps=1, epochs=1, final_loss=0.5),
        "thresholds": None,
        "metrics": {"mae": 1.0},
        "reasons": {"thresholds": "not_applicable"},
        "diagnostics": {},
    }
    return ArmResult(**{**given_, **changes})


def test_the_null_rule_of_an_arm():
    none = {"thresholds": "not_applicable"}
    assert arm(metrics={"mae": None}, reasons={**none, "mae": "empty_set"}).metrics["mae"] is None
    bad = [
        {"metrics": {"mae": None}},
        {"reasons": {**none, "mae": "empty_set"}},
        {"reasons": {}},
        {"metrics": {"mae": None}, "reasons": {**none, "mae": "because"}},
        {"diagnostics": {"a": {"b": [None]}}},
        {"diagnostics": {"a": 1}, "reasons": {**none, "diagnostics.a": "missing"}},
        {"status": "failed", "reason": "diverged"},
        {"status": "failed", "metrics": {"mae": None}, "reasons": {**none, "mae": "arm_failed"}},
        {"reason": "diverged"},
        {"metrics": {"mae": float("nan")}},
        {"metrics": {"mae": float("inf")}},
        {"metrics": {"mae": True}},
        {"metrics": {"mae": "nan"}},
        {"metrics": {"a__b": 1.0}},
        {"metrics": {"training": 1.0}},
        {"metrics": {"<script>": 1.0}},
        {"metrics": {"a|b": 1.0}},
        {"metrics": {"\u202emae": 1.0}},
    ]
    for changes in bad:
        with pytest.raises(ValidationError):
            arm(**changes)
    nulls = {**none, "diagnostics.a.b.0": "infinite"}
    assert arm(diagnostics={"a": {"b": [None]}}, reasons=nulls).reasons == nulls
    failed = {**none, "mae": "arm_failed"}
    assert arm(status="failed", reason="x", metrics={"mae": None}, reasons=failed).metrics


EXTREMES = (
    st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([-0.0, 5e-324, -5e-324, 1.7976931348623157e308, 0.1, 1e16, 1.0, 2**53 + 0.0])
)


@given(st.dictionaries(st.from_regex(r"[a-d](_?[a-z0-9]){0,3}", fullmatch=True), EXTREMES))
def test_metric_records_round_trip_bit_equal(metrics):
    reasons = {name: "overflow" for name, value in metrics.items() if value is None}
    record = MetricRecord(
        phase="eval", epoch=0, context=MetricContext(), metrics=metrics, reasons=reasons
    )
    line = record.to_line()
    assert line.count(b"\n") == 1
    again = MetricRecord.from_bytes(line)
    assert again.to_line() == line
    assert {k: str(v) for k, v in again.metrics.items()} == {k: str(v) for k, v in metrics.items()}


def record(**changes):
    base = {"phase": "train", "step": 0, "context": MetricContext(), "metrics": {}, "reasons": {}}
    merged = {**base, **changes}
    return MetricRecord(**{k: v for k, v in merged.items() if v is not ...})


def test_what_each_phase_of_a_metric_log_needs():
    full = {"domain": "toy", "mode": "paper", "protocol": "standard/1", "arm": "scm"}
    assert record(step=..., epoch=1)
    assert record(phase="benchmark_summary", step=..., context=MetricContext(**full))
    assert record(phase="benchmark_seed", step=3, context=MetricContext(**full, seed=3))
    assert record(
        phase="benchmark_delta", step=..., context=MetricContext(**full, comparator="mlp")
    )
    for changes in (
        {"step": ...},
        {"step": None},
        {"step": -1},
        {"step": True},
        {"phase": "test"},
        {"phase": "benchmark_summary"},
        {"phase": "benchmark_seed", "step": 2, "context": MetricContext(**full, seed=3)},
        {"phase": "benchmark_seed", "step": 3, "context": MetricContext(**full)},
        {"phase": "benchmark_delta", "context": MetricContext(**full)},
        {"metrics": {"a": [1.0]}},
        {"metrics": {"a": False}},
        {"metrics": {"a": None}},
        {"loss": 1.0},
    ):
        with pytest.raises(ValidationError):
            record(**changes)
    with pytest.raises(ValidationError, match="leave it out"):
        MetricContext(arm=None)


def test_claims_are_well_posed():
    good = {
        "id": "c",
        "text": "t",
        "kind": "superiority",
        "metric": "mae",
        "arm": "scm",
        "comparator": "mlp",
        "bound": None,
        "margin": 0.0,
        "alpha": 0.05,
        "min_seeds": 6,
        "eligible_modes": ["paper"],
        "eligible_protocols": ["standard"],
        "devices": None,
        "missing": "ineligible",
    }
    assert Claim(**good)
    assert Claim(**{**good, "missing": 1.0}).missing == 1.0
    for changes in (
        {"comparator": None},
        {"comparator": "scm"},
        {"bound": 1.0},
        {"kind": "bound"},
        {"margin": -1.0},
        {"alpha": 0.0},
        {"arm": "data"},
        {"arm": "A"},
        {"missing": float("inf")},
        {"missing": "worst"},
    ):
        with pytest.raises(ValidationError):
            Claim(**{**good, **changes})


def test_an_event_carries_its_own_data_only(toy_run):
    lines = (toy_run / "journal.jsonl").read_bytes().splitlines()
    events = [JournalEvent.from_bytes(line) for line in lines]
    assert events[0].event == "created"
    assert events[-1].event == "sealing"
    for event in events:
        for data in ({**event.data, "more": 1}, dict(list(event.data.items())[1:]) or {"x": 1}):
            with pytest.raises(FileInvalid):
                JournalEvent.from_plain({**event.plain(), "data": data})
    with pytest.raises(FileInvalid):
        JournalEvent.from_plain({**events[0].plain(), "event": "sold"})


def test_cells_and_contrasts_explain_every_null():
    assert "reasons" in Cell.model_fields
    assert "reasons" in Contrast.model_fields
    nothing = dict.fromkeys(
        ("mean", "sd", "median", "q25", "q75", "min", "max", "ci_t", "ci_bca"), None
    )
    reasons = dict.fromkeys(nothing, "too_few")
    assert Cell(n=0, n_null=2, nulls={"nan": 2}, **nothing, reasons=reasons)
    with pytest.raises(ValidationError):
        Cell(n=0, n_null=1, nulls={"nan": 2}, **nothing, reasons=reasons)
    with pytest.raises(ValidationError):
        Cell(n=0, n_null=0, nulls={}, **nothing, reasons={**reasons, "p": "nan"})
    with pytest.raises(ValidationError):
        Cell(n=1, n_null=0, nulls={}, **{**nothing, "ci_t": (2.0, 1.0)}, reasons=reasons)


SAFE = ["a", "seed_1/commit.json", "figures/x/y-1.svg", "A.b", "a" * 100, "0"]
UNSAFE = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a\\b", "a\0b", "a:b", "a b"),
    *("a.", "a/.b", "é", "e\u0301", "a\nb", "CON", "con.txt", "a/NUL", "com1", "LPT9.x", "aux"),
    *("a" * 101, "/".join(["ab"] * 100), "a?", "-a", "_a", "~", "a\u202eb"),
]


@pytest.mark.parametrize("path", SAFE)
def test_safe_paths(path):
    assert is_safe_path(path)
    assert check_path(path) == path


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths(path):
    assert not is_safe_path(path)
    with pytest.raises(ValueError, match="unsafe"):
        check_path(path)


def test_twins():
    assert twins(["a", "b", "A", "B/c", "b/C"]) == [("a", "A"), ("B/c", "b/C")]


def test_published_schemas_are_those_of_the_models():
    """Regenerate: write the bytes of ``published.schema_files()`` into contract/schemas/."""
    made = schema_files()
    folder = Path(__import__("zeroproofml.report.contract", fromlist=["x"]).__file__).parent
    assert {file.name for file in (folder / "schemas").iterdir()} == made.keys()
    for name, data in made.items():
        stem, _, version = name.removesuffix(".json").rpartition(".v")
        assert published(stem, int(version)) == data, f"{name} is stale"
        value = json.loads(data)
        assert value["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert value["$id"] == f"urn:zeroproofml:schema:{stem}:{version}"
    with pytest.raises(UsageError):
        published("zeroproofml.unknown")
    with pytest.raises(UsageError):
        published("../../errors")


def test_names_and_versions_come_first():
    for model in MODELS:
        assert issubclass(model, FileModel)
        assert list(model.model_fields)[:2] == ["schema_name", "schema_version"]
        config = model.model_config
        assert (config["extra"], config["strict"], config["frozen"]) == ("forbid", True, True)
        assert config["allow_inf_nan"] is False


def accepts(schema, value, root):
    """Whether ``value`` satisfies the part of JSON Schema that the published files use."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "null": type(None),
    }
    kind = schema.get("type")
    if kind == "integer" and not (isinstance(value, int) and not isinstance(value, bool)):
        return False
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return False
    if kind in kinds and not isinstance(value, kinds[kind]):
        return False
    checks = [
        "const" not in schema or schema["const"] == value,
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(accepts(s, value, root) for s in schema["anyOf"]),
    ]
    if isinstance(value, str):
        checks += [
            re.search(schema.get("pattern", ""), value) is not None,
            len(value) <= schema.get("maxLength", len(value)),
        ]
    if isinstance(value, int | float) and not isinstance(value, bool):
        checks += [
            value >= schema.get("minimum", value),
            value <= schema.get("maximum", value),
        ]
    if isinstance(value, list):
        if "prefixItems" in schema:
            checks.append(len(value) == len(schema["prefixItems"]))
        elif "items" in schema:
            checks += [accepts(schema["items"], item, root) for item in value]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        checks.append(set(schema.get("required", ())) <= value.keys())
        for key, item in value.items():
            rest = schema.get("additionalProperties", True)
            by_pattern = [s for p, s in schema.get("patternProperties", {}).items()]
            rule = known.get(key, by_pattern[0] if by_pattern else rest)
            checks.append(rule if isinstance(rule, bool) else accepts(rule, item, root))
    return all(checks)


@pytest.mark.parametrize("name", FILES)
def test_published_schemas_accept_real_files_and_refuse_extra_fields(toy_run, name):
    value = parse((toy_run / name).read_bytes())
    model = FILES[name]
    schema = json.loads(published(model.SCHEMA.removesuffix(".*")))
    assert accepts(schema, value, schema)
    assert not accepts(schema, {**value, "more": 1}, schema)
    assert not accepts(schema, {k: v for k, v in value.items() if k != "schema_name"}, schema)
    assert not accepts(schema, {**value, "schema_version": "1"}, schema)


def test_the_two_byte_forms_hold_the_same_values(toy_run):
    value = parse((toy_run / "manifest.json").read_bytes())
    assert parse(canonical(value)) == value
    assert dump(value) == (toy_run / "manifest.json").read_bytes()
