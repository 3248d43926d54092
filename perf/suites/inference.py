"""Strict inference on tuples (P, Q): the decision that a deployment pays for."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np

import _inputs
from suites.case import Built, Case, WrongValue, size_name
from zeroproofml.scm import InferenceConfig, strict_inference

SEED = 20260403
SIZES = (1, 256, 100_000, 1_000_000)
QUICK_SIZES = SIZES[:3]
FEATURES, OUTPUTS = 4, 2
CONFIG = InferenceConfig(tau_infer=1e-5, tau_train=1e-3)


def build(n: int, kind: _inputs.Kind) -> Built:
    """One batch; ``new`` holds 1 % exact zeros among its denominators."""
    inputs = _inputs.make("div", "float64", n, kind, SEED)
    p, q = inputs.operands

    def raw() -> Any:
        with np.errstate(all="ignore"):
            return p / q

    def strict() -> Any:
        return strict_inference(p, q, CONFIG)

    def check() -> None:
        result = strict()
        if not np.array_equal(result.bottom_mask, inputs.mask):
            msg = "strict_inference: the mask differs from the oracle"
            raise WrongValue(msg)
        if not np.array_equal(result.decoded[~inputs.mask], raw()[~inputs.mask]):
            msg = "strict_inference: a decoded value differs from P/Q"
            raise WrongValue(msg)

    return Built(
        {"raw": raw, "numpy": strict},
        check,
        float(inputs.mask.mean()),
        ("numpy",),
        gap_rate=float(strict().gap_mask.mean()),
        denominators=q,
    )


@cache
def _head() -> Any:
    """A small head behind strict inference, the same in every process."""
    import torch

    from zeroproofml.torch import ProjectiveRationalMultiHead, SCMInferenceWrapper

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Linear(FEATURES, OUTPUTS + 1)
            self.head = ProjectiveRationalMultiHead(OUTPUTS, 3, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            z = self.body(x)
            p, q = self.head(z[:, :OUTPUTS], z[:, OUTPUTS])
            return p, q

    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return SCMInferenceWrapper(Head(), CONFIG).eval()


@cache
def _exported() -> Any:
    """An ONNX Runtime session of the same head, as a bundle carries it."""
    import onnxruntime
    import torch

    from zeroproofml.torch import export_bundle

    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(SEED)
        rows = torch.rand(8, FEATURES)
        bundle, _ = export_bundle(_head().module, rows, Path(folder) / "bundle", config=CONFIG)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = (bundle / "model.onnx").read_bytes()
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def build_head(n: int) -> Built:
    """A batch through a head and its decision: eager, compiled, and exported."""
    import torch

    x = torch.from_numpy(np.random.default_rng(SEED).random((n, FEATURES), np.float32))
    eager, session = _head(), _exported()
    name = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    torch._dynamo.reset()  # more than eight graphs of one function fall back silently
    made = torch.compile(eager, fullgraph=True, dynamic=False)
    compiled = cast("Callable[[Any], Any]", made)

    def exported() -> Any:
        return session.run(None, {name: x.numpy()})

    with torch.inference_mode():
        start = time.perf_counter()
        compiled(x)
        compile_s = {"compiled": time.perf_counter() - start}
        q = eager.raw(x)[1]

    def under(call: Callable[[Any], Any]) -> Any:
        with torch.inference_mode():
            return call(x)

    def check() -> None:
        want = under(eager)
        for impl, got in (
            ("compiled", under(compiled)),
            ("onnx", dict(zip(names, exported(), strict=True))),
        ):
            mask, decoded = (
                np.asarray(got[key] if isinstance(got, dict) else getattr(got, key))
                for key in ("bottom_mask", "decoded")
            )
            if not np.array_equal(mask, want.bottom_mask.numpy()):
                msg = f"{impl}: the mask differs from the eager head's"
                raise WrongValue(msg)
            if not np.allclose(decoded, want.decoded.numpy(), rtol=1e-4, equal_nan=True):
                msg = f"{impl}: a decoded value differs from the eager head's"
                raise WrongValue(msg)

    impls: dict[str, Callable[[], object]] = {
        "torch": partial(under, eager),
        "compiled": partial(under, compiled),
        "onnx": exported,
    }
    result = under(eager)
    return Built(
        impls,
        check,
        float((~result.accept_mask).float().mean()),
        gap_rate=float(result.gap_mask.float().mean()),
        denominators=q.numpy(),
        compile_s=compile_s,
    )


def cases(*, quick: bool, sizes: tuple[int, ...] | None = None) -> Iterator[Case]:
    """Every case of the suite, small before large; `sizes` instead of those of the suite."""
    kinds: tuple[_inputs.Kind, ...] = ("clean", "new")
    for n in sizes or (QUICK_SIZES if quick else SIZES):
        for kind in kinds:
            yield Case(
                id=f"inference/strict/float64/{size_name(n)}/{kind}",
                suite="inference",
                n=n,
                dtype="float64",
                data_kind=kind,
                backend="numpy",
                reference="raw",
                make=partial(build, n, kind),
                note="gap mask and causes included",
            )
        if all(importlib.util.find_spec(name) for name in ("torch", "onnxruntime", "onnxscript")):
            yield Case(
                id=f"inference/head/float32/{size_name(n)}/clean",
                suite="inference",
                n=n,
                dtype="float32",
                data_kind="clean",
                backend="torch",
                reference="torch",
                make=partial(build_head, n),
                note=f"{FEATURES} features, {OUTPUTS} outputs; a lane is a row",
            )
