"""The other side of `--peer`: runs in the peers' environment and imports nothing of ours.

It makes the same seeded inputs, and samples a call whenever it is asked for one.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import _inputs
import _measure

PEERS = ("zeroproofml", "pandas", "pyarrow")
Calls = dict[str, Callable[[], Any]]


def _old(module: str) -> Any:
    """A module of zeroproofml 0.6.1, or None."""
    try:
        return importlib.import_module(f"zeroproof.{module}")
    except ImportError:
        return None


def operation(op: str, dtype: str, n: int, kind: _inputs.Kind, seed: int) -> tuple[Calls, Any]:
    """What each installed package calls for an operation; and the mask that is right."""
    inputs = _inputs.make(op, dtype, n, kind, seed)
    operands = inputs.operands
    calls: Calls = {"raw": partial(_inputs.raw, op, *operands)}
    masks = [
        np.zeros(x.shape, bool) if m is None else m
        for x, m in zip(operands, inputs.masks, strict=True)
    ]
    old = _old("scm.ops")
    if old is not None:
        function = getattr(old, f"scm_{op}_numpy")
        if op == "pow":
            calls["zeroproofml"] = partial(function, *operands, masks[0])
        elif len(operands) == 2:
            calls["zeroproofml"] = partial(function, *operands, mask_x=masks[0], mask_y=masks[1])
        else:
            calls["zeroproofml"] = partial(function, operands[0], masks[0])
    ufunc = _inputs.UFUNC.get(op)
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        arrays = [
            pd.arrays.FloatingArray(x.copy(), m.copy())
            for x, m in zip(operands, masks, strict=True)
        ]
        if op == "inv":
            calls["pandas"] = lambda: 1.0 / arrays[0]
        elif ufunc is not None:
            calls["pandas"] = partial(ufunc, *arrays)
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
    except ImportError:
        pass
    else:
        columns = [pa.array(x, mask=m) for x, m in zip(operands, masks, strict=True)]
        name = {"sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power"}.get(op, op)
        name = {"neg": "negate", "log": "ln"}.get(name, name)
        if op == "div":  # Arrow raises at an integer or float zero; its float kernel needs none
            columns[1] = pa.array(np.where(operands[1] == 0, 1, operands[1]), mask=masks[1])
        if hasattr(pc, name):
            calls["pyarrow"] = partial(getattr(pc, name), *columns)
    return calls, inputs.mask


def _lent_torch(folder: str) -> Any:
    """The parent's Torch: the same build on both sides, and nothing else of that environment."""
    if "torch" not in sys.modules:
        sys.path.append(folder)
        try:
            torch: Any = importlib.import_module("torch")
            x = torch.ones(1, requires_grad=True)
            torch.autograd.grad(2 * x, x, torch.ones(1))  # its first use imports the rest
        finally:
            sys.path.remove(folder)
    return sys.modules["torch"]


def torch_division(
    folder: str, n: int, kind: _inputs.Kind, seed: int, gradient: bool
) -> tuple[Calls, Any]:
    """Division in Torch, float64, with or without its gradient; and the mask that is right."""
    torch = _lent_torch(folder)
    import _plain_torch as plain

    torch.set_num_threads(1)
    inputs = _inputs.make("div", "float64", n, kind, seed)
    x, y = (torch.from_numpy(v).requires_grad_(gradient) for v in inputs.operands)
    none = torch.zeros(n, dtype=torch.bool)
    formulas: Calls = {"raw": lambda: x / y}
    old = _old("scm.ops")
    if old is not None:
        divide = partial(old.scm_div_torch, x, y, mask_x=none, mask_y=none)
        if not gradient:
            return {**formulas, "zeroproofml": divide}, inputs.mask
        formulas["zeroproofml"] = lambda: divide()[0]
    if not gradient:
        return formulas, inputs.mask
    return {k: partial(plain.gradient, f, (x, y)) for k, f in formulas.items()}, None


def torch_rational(
    folder: str, n: int, seed: int, numerator: list[float], denominator: list[float]
) -> tuple[Calls, Any]:
    """Gradients of a rational layer in Torch, float32, with the parent's coefficients."""
    torch = _lent_torch(folder)
    import _plain_torch as plain

    torch.set_num_threads(1)
    x = plain.points(n, seed)
    p, q = (torch.tensor(row).requires_grad_() for row in (numerator, denominator))
    calls: Calls = {"raw": partial(plain.gradient, lambda: plain.rational(p, q, x), (x, p, q))}
    old = _old("layers.scm_rational")
    if old is not None:
        layer = old.SCMRationalLayer(len(numerator) - 1, len(denominator) - 1, singular_epsilon=0.0)
        with torch.no_grad():
            layer.numerator.copy_(p)
            layer.denominator.copy_(q)
        leaves = (x, layer.numerator, layer.denominator)
        calls["zeroproofml"] = partial(plain.gradient, lambda: layer(x)[0], leaves)
    return calls, None


MAKERS: dict[str, Callable[..., tuple[Calls, Any]]] = {
    "operation": operation,
    "torch_division": torch_division,
    "torch_rational": torch_rational,
}


def _lanes_that_differ(calls: Calls, mask: Any) -> dict[str, int]:
    """Lanes where a package's missing lanes are not our ⊥ lanes."""
    found = {}
    for name, call in calls.items():
        if name == "zeroproofml":
            theirs = np.asarray(call()[1])
        elif name == "pandas":
            theirs = np.asarray(call().isna())
        elif name == "pyarrow":
            theirs = np.asarray(call().is_null())
        else:
            continue
        found[name] = int((theirs != mask).sum())
    return found


def versions() -> dict[str, str | None]:
    """The version of every peer here; None where it is absent."""
    found: dict[str, str | None] = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def serve() -> None:
    """Answer requests, one JSON line each, until standard input ends."""
    warnings.simplefilter("ignore")
    calls: Calls = {}
    inner: dict[str, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        if "versions" in request:
            answer = dict(versions())
        elif "prepare" in request:
            calls, mask = MAKERS[request["prepare"]](**request["given"])
            inner = {name: _measure.calibrate(call) for name, call in calls.items()}
            differ = {} if mask is None else _lanes_that_differ(calls, mask)
            answer = {"impls": list(calls), "differ": differ}
        else:
            name = request["sample"]
            calls[name]()
            wall, cpu = _measure.one_sample(calls[name], inner[name])
            answer = {"wall": wall, "cpu": cpu, "inner": inner[name]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
