"""One framework of the parity report, in a process of its own.

    python perf/_parity_worker.py FRAMEWORK FOLDER N TILES ROUNDS OPS DTYPES

Each class of lanes is repeated TILES times, so that every position of a vectorised loop is seen. Of
the repetitions come back the smallest and the largest payload of a lane, and whether its mask was
True somewhere and everywhere: a backend whose answer depends on the position cannot hide.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import _parity_curve
from _parity_lanes import CLASSES, Lanes, lanes

Pair = tuple[Any, Any]
MODES = {"numpy": ("eager",), "torch": ("eager", "compiled"), "jax": ("eager", "jit")}
OPERATORS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "inv": np.reciprocal,
    "neg": np.negative,
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
}


@dataclass(frozen=True)
class Framework:
    """How arrays go in and out, and how a function is called in each mode."""

    name: str
    namespace: Any
    put: Callable[[Any], Any]
    wait: Callable[[Any], Any]
    transform: Callable[[str, Callable[..., Any]], Callable[..., Any]]
    causes: Callable[[str, str, Lanes], Any]
    strict: Callable[..., Any]

    def function(self, op: str) -> Callable[..., Pair]:
        module = "scm" if self.name == "numpy" else self.name
        ops = importlib.import_module(f"zeroproofml.{module}.ops")
        function: Callable[..., Pair] = getattr(ops, f"scm_{op}_{self.name}")
        return function


def _numpy() -> Framework:
    from zeroproofml.scm import SCMArray, strict_inference

    def causes(op: str, mode: str, given: Lanes) -> Any:
        arrays = [SCMArray(x, m) for x, m in zip(given.operands, given.masks, strict=True)]
        return OPERATORS[op](*arrays).cause

    return Framework(
        "numpy", np, np.asarray, lambda x: x, lambda mode, f: f, causes, strict_inference
    )


def _torch() -> Framework:
    import torch

    from zeroproofml.torch import SCMTensor, strict_inference

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)

    def transform(mode: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if mode == "eager":
            return function
        torch._dynamo.reset()  # more than eight graphs of one function fall back silently
        return torch.compile(function, fullgraph=True, dynamic=False)

    def causes(op: str, mode: str, given: Lanes) -> Any:
        if mode == "compiled":
            return None  # the class is compared eagerly: its compiled form is another program
        tensors = [
            SCMTensor(torch.from_numpy(x.copy()), torch.from_numpy(m.copy()))
            for x, m in zip(given.operands, given.masks, strict=True)
        ]
        name = {"div": "true_divide", "inv": "reciprocal"}.get(op, op)
        return getattr(torch, name)(*tensors).cause

    return Framework(
        "torch",
        torch,
        lambda x: torch.from_numpy(np.array(x)),
        lambda x: x,
        transform,
        causes,
        strict_inference,
    )


def _jax(x64: bool) -> Framework:
    jax: Any = importlib.import_module("jax")  # its functions are untyped
    jax.config.update("jax_enable_x64", x64)
    import jax.numpy as jnp

    from zeroproofml.jax import SCMArray, strict_inference

    def transform(mode: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(function) if mode == "jit" else function

    def causes(op: str, mode: str, given: Lanes) -> Any:
        arrays = [
            SCMArray(jnp.asarray(x), jnp.asarray(m))
            for x, m in zip(given.operands, given.masks, strict=True)
        ]
        operator = transform(mode, lambda *values: OPERATORS[op](*values))  # a ufunc has no weakref
        return operator(*arrays).cause

    return Framework(
        "jax", jnp, jnp.asarray, jax.block_until_ready, transform, causes, strict_inference
    )


def framework(name: str, dtypes: Sequence[str]) -> Framework:
    """Load one framework; JAX takes float64 only with x64, which is set once per process."""
    if name == "numpy":
        return _numpy()
    return _torch() if name == "torch" else _jax("float64" in dtypes)


def _fold(values: Any, tiles: int) -> np.ndarray[Any, Any]:
    return np.asarray(values).reshape(tiles, -1)


def evaluate(
    name: str, n: int, tiles: int, rounds: int, ops: Sequence[str], dtypes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the operations and the curve of one framework.

    Args:
        name: "numpy", "torch" or "jax".
        n: distinct lanes per class.
        tiles: how often they are repeated in one call.
        rounds: timed calls per class; the best one counts.
        ops, dtypes: which rows.

    Returns:
        Arrays by "op/dtype/mode/class/what", and numbers by "op/dtype/mode/class" and
        "op/dtype/mode/compile".
    """
    loaded = framework(name, dtypes)
    arrays: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    for mode in MODES[name]:
        for dtype in dtypes:
            for op in ops:
                function = loaded.transform(mode, loaded.function(op))
                for kind in CLASSES:
                    given = lanes(op, dtype, kind, n)
                    key = f"{op}/{dtype}/{mode}/{kind}"
                    moved = [loaded.put(np.tile(v, tiles)) for v in given.operands + given.masks]
                    start = time.perf_counter()
                    payload, mask = loaded.wait(function(*moved))
                    first = time.perf_counter() - start
                    if kind == CLASSES[0]:
                        numbers[f"{op}/{dtype}/{mode}/compile"] = first
                    numbers[key] = n * tiles / _best(function, loaded.wait, moved, rounds)
                    folded, masks = _fold(payload, tiles), _fold(mask, tiles)
                    arrays[f"{key}/low"], arrays[f"{key}/high"] = folded.min(0), folded.max(0)
                    arrays[f"{key}/some"], arrays[f"{key}/every"] = masks.any(0), masks.all(0)
                    cause = loaded.causes(op, mode, given)
                    if cause is not None:
                        arrays[f"{key}/cause"] = np.asarray(cause)
            arrays |= _parity_curve.run(loaded, mode, dtype)
    return arrays, numbers


def _best(
    function: Callable[..., Any], wait: Callable[[Any], Any], moved: list[Any], rounds: int
) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        wait(function(*moved))
        best = min(best, time.perf_counter() - start)
    return best


def main(argv: list[str]) -> int:
    """Evaluate one framework and leave arrays and numbers in the folder."""
    name, folder, n, tiles, rounds, ops, dtypes = argv
    arrays, numbers = evaluate(
        name, int(n), int(tiles), int(rounds), ops.split(","), dtypes.split(",")
    )
    np.savez(Path(folder) / "arrays.npz", **arrays)
    (Path(folder) / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
