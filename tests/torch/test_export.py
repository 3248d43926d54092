"""Export of a deployment bundle: every path of the decision survives ONNX Runtime, or nothing is
written. The report package reads what the torch package writes: one contract, two sides."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from zeroproofml.report.bundle import load_bundle, replay
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.torch import (
    ExportError,
    InferenceConfig,
    ProjectiveRationalMultiHead,
    SCMInferenceWrapper,
    export_bundle,
)
from zeroproofml.torch import export as export_module

CONFIG = InferenceConfig(tau_infer=1e-2, tau_train=0.5)
CLASSES = ("finite", "gap", "fault", "semantic", "both")


class Pair(nn.Module):
    """P and Q are the columns of x: every path can be reached."""

    def forward(self, x):
        return x[:, :1], x[:, 1:]


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU())
        self.p, self.q = nn.Linear(16, 3), nn.Linear(16, 1)

    def forward(self, x):
        hidden = self.body(x)
        return self.p(hidden), self.q(hidden).squeeze(-1)  # one denominator per row


class Rational(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = ProjectiveRationalMultiHead(2, 3, 2)

    def forward(self, z, w):
        return self.head(z, w)


class Factors(nn.Module):
    """Two inputs, two validity factors of the shapes that strict inference takes."""

    def forward(self, x, y):
        return x * y, x - y, x.abs()[:, :1], y[:, 0]


class Clipped(nn.Module):
    """A one-sided clip: ONNX Runtime turns infinities into the largest finite number."""

    def forward(self, x):
        return x.clamp(min=-1.0), torch.ones_like(x)


def examples(columns, dtype=torch.float32, rows=7):
    return torch.randn(rows, columns, dtype=dtype, generator=torch.Generator().manual_seed(3))


def case(name, dtype):
    torch.manual_seed(5)
    if name == "mlp":
        return Mlp().to(dtype), (examples(2, dtype),), {}
    if name == "rational":
        return Rational().to(dtype), (examples(2, dtype), examples(1, dtype)), {}
    if name == "factors":
        two = (examples(2, dtype), examples(2, dtype).flip(0))
        return Factors(), two, {"factor_thresholds": (0.25, 0.0)}
    rows = torch.tensor([[1, 4], [1, 0.1], [1, 1e-3], [1, 0], [0, 0], [torch.inf, 0]], dtype=dtype)
    return Pair(), (rows,), {}


@pytest.mark.slow
@pytest.mark.parametrize("gauge", ["raw", "l2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["pair", "mlp", "rational", "factors"])
def test_round_trip(tmp_path, name, dtype, gauge):
    config = InferenceConfig(tau_infer=1e-2, tau_train=0.5, gauge=gauge)
    model, inputs, more = case(name, dtype)
    path, digest = export_bundle(model, inputs, tmp_path / "b", config=config, **more)
    bundle = load_bundle(path, expect=digest)
    assert replay(bundle).mask_differences == 0
    wrapper = SCMInferenceWrapper(model, config, **more).eval()
    for rows in (0, 1, 7):
        fresh = [torch.cat([x[:1]] * 7)[:rows] if rows else x[:0] for x in inputs]
        with torch.no_grad():
            wanted = wrapper(*fresh)
        found = bundle.run({f"input_{k}": x.numpy() for k, x in enumerate(fresh)})
        for field in ("bottom_mask", "gap_mask", "fault_mask", "semantic_bottom_mask"):
            assert np.array_equal(getattr(found, field), getattr(wanted, field).numpy()), field
        assert np.array_equal(found.bottom_provenance, wanted.bottom_provenance.numpy())
        np.testing.assert_allclose(
            found.decoded, wanted.decoded.numpy(), rtol=1e-3 if dtype == torch.float32 else 1e-9
        )
    if name == "pair":
        assert min(bundle.metadata.reference.lanes.plain().values()) > 0, "every path exercised"
        assert bundle.metadata.reference.largest_ulp <= 4


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model, inputs, _ = case("pair", torch.float32)
    model.train()
    path, digest = export_bundle(
        model,
        inputs,
        tmp_path_factory.mktemp("export") / "bundle",
        config=CONFIG,
        ids={
            "preprocessing_id": "scale <v1> | `x`",
            "normalization": {"input_0": {"mean": [0, 1], "scale": np.array([1.0, 2.0])}},
        },
        run={
            "run_id": "a" * 26,
            "raw_digest": "sha256:" + "0" * 64,
            "domain": "ik",
            "arm": "scm",
            "seed": 3,
        },
    )
    assert model.training, "the mode is put back"
    return path, digest


@pytest.mark.slow
def test_the_reference_tries_every_kind_of_row(exported):
    bundle = load_bundle(exported[0])
    rows = bundle.reference_inputs["input_0"]
    top = np.finfo(np.float32).max
    assert rows.shape == (6 + 1 + 2 * 5, 2)
    assert not rows[6].any()
    for column in (0, 1):
        for value in (top, -top, np.nan, np.inf, -np.inf):
            other = rows[7:, 1 - column] == rows[0, 1 - column]
            hit = np.isnan(rows[7:, column]) if np.isnan(value) else rows[7:, column] == value
            assert (hit & other).any(), (column, value)


@pytest.mark.slow
def test_what_is_told_is_kept(exported):
    metadata = load_bundle(exported[0]).metadata
    assert metadata.contracts.preprocessing_id == "scale <v1> | `x`"
    assert metadata.contracts.normalization["input_0"].mean == (0.0, 1.0)
    assert metadata.run.seed == 3
    assert metadata.decoding.tau_infer_effective == float(np.float32(CONFIG.tau_infer))


@pytest.mark.slow
def test_the_digest_is_that_of_the_metadata(exported):
    path, digest = exported
    listing = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=path, capture_output=True, text=True, check=True
    )
    assert "metadata.json: OK" in listing.stdout
    told = subprocess.run(["sha256sum", "metadata.json"], cwd=path, capture_output=True, text=True)
    assert digest == "sha256:" + told.stdout.split()[0]


@pytest.mark.slow
def test_no_path_of_the_machine_is_in_the_model(exported):
    data = (exported[0] / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in data
    assert not re.search(rb"\.py\b|site-packages|/home/", data)


@pytest.mark.slow
def test_equal_exports_have_equal_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    model, inputs, _ = case("mlp", torch.float32)
    paths = [export_bundle(model, inputs, tmp_path / n, config=CONFIG)[0] for n in ("a", "b")]
    trees = [
        {p.relative_to(r).as_posix(): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in paths
    ]
    assert trees[0] == trees[1]
    assert json.loads(trees[0]["metadata.json"])["created_utc"] == "2023-11-14T22:13:20Z"


@pytest.mark.slow
def test_a_model_that_decides_otherwise_is_refused_with_the_row(tmp_path):
    with pytest.raises(ExportError, match=r"row 8, lane \[0\].*is True in torch and False in ONNX"):
        export_bundle(Clipped(), examples(2, rows=4), tmp_path / "b", config=CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_batch_that_is_not_free_is_refused(tmp_path):
    class Fixed(nn.Module):
        def forward(self, x):
            return x * (2 if x.shape[0] == 2 else 3), torch.ones_like(x)

    with pytest.raises(ExportError, match=r"free batch axis|must stay free") as caught:
        export_bundle(Fixed(), torch.ones(1, 4), tmp_path / "b", config=CONFIG)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["write", "read back", "rename"])
def test_a_failure_leaves_no_half_bundle_and_the_old_one_whole(tmp_path, monkeypatch, place):
    model, inputs, _ = case("pair", torch.float32)
    target = tmp_path / "b"
    _, digest = export_bundle(model, inputs, target, config=CONFIG)

    def fail(*_args, **_kwargs):
        raise KeyboardInterrupt

    if place == "write":
        monkeypatch.setattr(export_module.os, "fsync", fail)
    elif place == "read back":
        monkeypatch.setattr(export_module, "_read_back", fail)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path,
            "rename",
            lambda self, to: (
                fail() if re.fullmatch(r"\.zpml-tmp-\w+", self.name) else rename(self, to)
            ),
        )
    with pytest.raises(KeyboardInterrupt):
        export_bundle(model, inputs, target, config=CONFIG, overwrite=True)
    monkeypatch.undo()
    assert load_bundle(target, expect=digest).digest == digest
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.slow
def test_a_kill_while_writing_leaves_no_bundle(tmp_path):
    code = (
        "import os, torch; from torch import nn\n"
        "from zeroproofml.torch import InferenceConfig, export, export_bundle\n"
        "class M(nn.Module):\n"
        "    def forward(self, x): return x, x\n"
        "export._read_back = lambda *a: os._exit(9)\n"
        f"export_bundle(M(), torch.ones(2, 2), {str(tmp_path / 'b')!r}, config=InferenceConfig())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 9
    assert not (tmp_path / "b").exists()
    assert all(p.name.startswith(".zpml-tmp-") for p in tmp_path.iterdir())


@pytest.mark.slow
def test_overwrite_replaces_and_nothing_is_left_over(tmp_path):
    model, inputs, _ = case("pair", torch.float32)
    target = tmp_path / "deep" / "b"
    _, first = export_bundle(model, inputs, target, config=CONFIG)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_bundle(model, inputs, target, config=CONFIG)
    _, second = export_bundle(
        model, inputs, target, config=InferenceConfig(tau_infer=0.5), overwrite=True
    )
    assert first != second
    assert load_bundle(target, expect=second).metadata.decoding.tau_train is None
    assert [p.name for p in target.parent.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"example_inputs": torch.ones(0, 2)}, SCMValueError, "has no row"),
        ({"example_inputs": torch.ones(2, 0)}, SCMValueError, "none of them empty"),
        ({"example_inputs": ()}, SCMValueError, "1 to 64 tensors"),
        ({"example_inputs": [1.0]}, SCMTypeError, "must be a tensor"),
        ({"example_inputs": torch.ones(2, 2).half()}, SCMTypeError, "float16"),
        ({"example_inputs": (torch.ones(2), torch.ones(3))}, SCMValueError, "equal for all"),
        ({"ids": {"foo": "x"}}, SCMValueError, "no field 'foo'"),
        ({"ids": {"preprocessing_id": 3}}, SCMTypeError, "must be a str"),
        ({"ids": {"preprocessing_id": ""}}, SCMValueError, "1 to 200"),
        ({"ids": {"normalization": {"x": {"mean": [0], "scale": [1]}}}}, SCMValueError, "input_0"),
        (
            {"ids": {"normalization": {"input_0": {"mean": [0], "scale": [0]}}}},
            SCMValueError,
            "positive scales",
        ),
        ({"run": {"run_id": "a"}}, SCMValueError, "run lacks"),
        ({"factor_thresholds": (0.5,)}, SCMTypeError, "1 factors"),
        ({"config": InferenceConfig(tau_infer=1e-300)}, SCMValueError, "rounds to 0"),
    ],
)
def test_what_a_bundle_cannot_hold_is_refused_before_anything_exists(
    tmp_path, arguments, error, words
):
    given = {"example_inputs": torch.ones(2, 2), "config": CONFIG, **arguments}
    with pytest.raises(error, match=words) as caught:
        export_bundle(Pair(), out_dir=tmp_path / "b", **given)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_wrapper_is_taken_with_its_own_thresholds_only(tmp_path):
    wrapper = SCMInferenceWrapper(Pair(), CONFIG)
    with pytest.raises(SCMValueError, match="differ from the wrapper's"):
        export_bundle(wrapper, torch.ones(2, 2), tmp_path / "b", config=InferenceConfig())


def test_importing_the_package_or_its_export_loads_no_onnx():
    code = (
        "import sys, zeroproofml.torch, zeroproofml.torch.export\n"
        "print([m for m in sys.modules if m.startswith(('onnx', 'zeroproofml.report'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
