"""Layers and losses of torch and JAX against one golden file: outputs, ⊥, gradients."""

import importlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.usefixtures("x64")
BOTH = pytest.mark.parametrize("fw", ["torch", "jax"], indirect=True)
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))["cases"]
EPS = np.finfo(float).eps


def _array(fw, values):
    return fw.array(np.array(values, dtype=float))  # "nan" is read as NaN


def _torch_layer(case, arrays):
    cls = getattr(importlib.import_module("zeroproofml.torch.layers"), case["callable"])
    has = {"dtype": torch.float64} if case["parameters"] else {}
    layer = cls(**case["make"], **case["options"], **has)
    return lambda *inputs: torch.func.functional_call(layer, arrays, inputs)


def _jax_layer(case, arrays):
    cls = getattr(importlib.import_module("zeroproofml.jax.layers"), case["callable"])
    return cls(**arrays, **case["options"])


def _outputs(fw, case, arrays, inputs):
    """The results as arrays of numbers, and the masks that come with them."""
    name = "torch" if fw.xp is torch else "jax"
    if case["kind"] == "loss":
        function = getattr(importlib.import_module(f"zeroproofml.{name}.losses"), case["callable"])
        weight = _array(fw, case["make"]["weight"])
        return [fw.xp.reshape(function(*inputs, weight=weight, **case["options"]), (1,))], None
    layer = (_torch_layer if name == "torch" else _jax_layer)(case, arrays)
    mask = [] if case["mask"] is None else [fw.mask(case["mask"])]
    first, second = layer(*inputs, *mask)
    return ([first], second) if len(case["outputs"]) == 1 else ([first, second], None)


def _near(got, want, eps):
    assert np.abs(got - want).max() <= eps * EPS * max(1.0, np.abs(want).max())


@BOTH
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_35_golden(fw, case):
    names = [*case["parameters"], *(f"input{k}" for k in range(len(case["inputs"])))]
    values = [_array(fw, v) for v in (*case["parameters"].values(), *case["inputs"])]
    count = len(case["parameters"])

    def run(*arrays):
        parameters = dict(zip(names, arrays[:count], strict=False))
        return _outputs(fw, case, parameters, arrays[count:])

    outputs, mask = run(*values)
    for got, want in zip(outputs, case["outputs"], strict=True):
        _near(fw.to_numpy(got), np.array(want), 4)
    if mask is not None and case["callable"] != "SCMSoftmax":  # a row's mask, not a logit's
        np.testing.assert_array_equal(fw.to_numpy(mask), case["bottom"][0])

    def total(*arrays):
        parts = run(*arrays)[0]
        pairs = zip(parts, case["cotangents"], strict=True)
        return sum(fw.xp.sum(_array(fw, c) * part) for part, c in pairs)

    for name, got in zip(names, fw.grads(total, *values), strict=True):
        want = np.array(case["gradients"][name])
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=name)


@BOTH
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_35_float32_agrees_with_the_same_file(fw, case):
    values = [
        _array(fw, v).astype("float32") if fw.xp is not torch else _array(fw, v).float()
        for v in (*case["parameters"].values(), *case["inputs"])
    ]
    count = len(case["parameters"])
    parameters = dict(zip(case["parameters"], values[:count], strict=True))
    outputs, _ = _outputs(fw, case, parameters, values[count:])
    for got, want in zip(outputs, case["outputs"], strict=True):
        np.testing.assert_allclose(fw.to_numpy(got), want, rtol=2e-5, atol=2e-6)


def test_both_packages_have_the_same_names():
    ours, theirs = (importlib.import_module(f"zeroproofml.{name}") for name in ("torch", "jax"))
    torch_only = {"SCMTensor", "SCMInferenceWrapper", "SCMTrainer", "TrainerConfig", "JsonlLogger"}
    torch_only |= {"export_bundle"}
    assert set(theirs.__all__) - set(ours.__all__) <= {"SCMArray", "make_train_step"}
    shared = set(ours.__all__) & set(theirs.__all__)
    assert {"SCMRationalLayer", "SCMLoss", "strict_inference", "Cause"} <= shared
    for module in ("layers", "losses"):
        pair = [
            importlib.import_module(f"zeroproofml.{name}.{module}") for name in ("torch", "jax")
        ]
        assert set(pair[0].__all__) == set(pair[1].__all__)


def test_parameters_bear_the_same_names_and_shapes():
    from zeroproofml.jax import layers as jax_layers
    from zeroproofml.torch import layers as torch_layers

    for case in GOLDEN:
        if case["kind"] != "layer" or not case["parameters"]:
            continue
        options = {**case["make"], **case["options"]}
        drawn = getattr(jax_layers, case["callable"]).init(jax.random.key(0), **options)
        built = getattr(torch_layers, case["callable"])(**options)
        for name, parameter in built.named_parameters():
            assert tuple(parameter.shape) == getattr(drawn, name).shape
        assert {n for n, _ in built.named_parameters()} == set(case["parameters"])
