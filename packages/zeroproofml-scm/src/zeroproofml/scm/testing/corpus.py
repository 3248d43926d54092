"""What the thirteen operations must return, as cases that any backend can run.

The cases are data (``cases.json``, packaged): an operation, operands and masks, and the expected
payload and mask, computed from exact rationals or 2400-bit arithmetic and rounded once. One failing
case fails the backend.
"""

from __future__ import annotations

import builtins
import importlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.optable import OPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Backend", "Case", "Report", "load_cases", "run_case", "run_corpus", "tolerance"]

_FIELD_OPS = frozenset({"add", "sub", "mul", "div", "inv", "neg"})


@dataclass(frozen=True, slots=True)
class Case:
    """One expectation; the arrays are decoded, of the stated dtypes.

    Attributes:
        id: name of the case.
        op: name of the operation, a key of ``OPS``.
        dtype: NumPy name of the dtype of x.
        y_dtype: the same for y; None for unary operations.
        out_dtype: dtype of the result; None if the call must raise.
        x: first operand.
        y: second operand, or None.
        mask_x: bool array, or None: the argument is left out.
        mask_y: the same for y.
        payload: expected payload, or None.
        mask: expected mask, or None.
        raises: name of the built-in exception that must be raised, or None.
        backends: where the case applies.
        tags: what it probes.
    """

    id: str
    op: str
    dtype: str
    y_dtype: str | None
    out_dtype: str | None
    x: NDArray[Any]
    y: NDArray[Any] | None
    mask_x: NDArray[Any] | None
    mask_y: NDArray[Any] | None
    payload: NDArray[Any] | None
    mask: NDArray[np.bool_] | None
    raises: str | None
    backends: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def arity(self) -> int:
        """1 or 2."""
        return OPS[self.op].arity

    @property
    def is_complex(self) -> bool:
        """Whether the result is complex."""
        return self.out_dtype is not None and np.dtype(self.out_dtype).kind == "c"


def _number(value: Any) -> float:
    return float(value)  # the strings "inf", "-inf", "nan" too


def _nested(value: Any, leaf: Callable[[Any], Any], *, pairs: bool) -> Any:
    """Decode nested lists; with ``pairs`` the innermost list of two is a complex number."""
    if not isinstance(value, list):
        return leaf(value)
    if pairs and len(value) == 2 and not any(isinstance(part, list) for part in value):
        return complex(_number(value[0]), _number(value[1]))
    return [_nested(item, leaf, pairs=pairs) for item in value]


def _decode(value: Any, dtype: str | None) -> NDArray[Any] | None:
    if value is None or dtype is None:
        return None
    kind = np.dtype(dtype).kind
    if kind in "iub":
        return np.array(value, dtype=dtype)
    with np.errstate(all="ignore"):
        return np.array(_nested(value, _number, pairs=kind == "c"), dtype=dtype)


def _decode_mask(value: Any) -> NDArray[Any] | None:
    if value is None:
        return None
    array = np.array(value)  # a float mask stays one: some cases must raise
    return array.astype(np.bool_) if array.size == 0 else array


def _case(raw: Mapping[str, Any]) -> Case:
    return Case(
        id=raw["id"],
        op=raw["op"],
        dtype=raw["dtype"],
        y_dtype=raw["y_dtype"],
        out_dtype=raw["out_dtype"],
        x=np.asarray(_decode(raw["x"], raw["dtype"])),
        y=_decode(raw["y"], raw["y_dtype"]),
        mask_x=_decode_mask(raw["mask_x"]),
        mask_y=_decode_mask(raw["mask_y"]),
        payload=_reshape(_decode(raw["payload"], raw["out_dtype"]), raw["shape"]),
        mask=_reshape(_decode(raw["mask"], "bool"), raw["shape"]),
        raises=raw["raises"],
        backends=tuple(raw["backends"]),
        tags=tuple(raw["tags"]),
    )


def _reshape(array: NDArray[Any] | None, shape: Any) -> NDArray[Any] | None:
    return None if array is None else array.reshape(tuple(shape))


def load_cases() -> list[Case]:
    """Every case of the packaged corpus.

    >>> cases = load_cases()
    >>> sorted({case.op for case in cases}) == sorted(OPS)
    True
    """
    text = files("zeroproofml.scm.testing").joinpath("cases.json").read_text(encoding="utf-8")
    return [_case(raw) for raw in json.loads(text)["cases"]]


def tolerance(case: Case, backend: str) -> float:
    """How far a regular lane may lie from the wanted value, in eps · max(|want|, tiny).

    Args:
        case: the case.
        backend: ``"numpy"`` is judged strictly; every other name as torch and jax are.

    >>> tolerance(next(c for c in load_cases() if c.op == "add"), "torch")
    0.0
    """
    strict = backend == "numpy"
    if case.is_complex:
        return 8.0
    if case.op in _FIELD_OPS:
        return 0.0
    if case.op == "sqrt":
        return 0.0 if strict else 1.0
    if case.op == "pow":
        return 8.0 if strict else 16.0
    return 4.0 if strict else 8.0


def _judge_values(payload: NDArray[Any], mask: NDArray[Any], case: Case, tol: float) -> str | None:
    """None, or the first thing that is wrong with a result."""
    if case.payload is None or case.mask is None:
        return f"returned a result where {case.raises} must be raised"
    for name, got, want in (("payload", payload, case.payload), ("mask", mask, case.mask)):
        if got.dtype != want.dtype:
            return f"{name} dtype {got.dtype}, wanted {want.dtype}"
        if got.shape != want.shape:
            return f"{name} shape {got.shape}, wanted {want.shape}"
    if not np.array_equal(mask, case.mask):
        return f"mask {mask.tolist()}, wanted {case.mask.tolist()}"
    if not np.all(np.isfinite(payload)):
        return f"payload not finite: {payload.tolist()}"
    if np.any(payload[case.mask] != 0):
        return f"payload not 0 under the mask: {payload.tolist()}"
    limits = np.finfo(payload.dtype)
    wide = np.clongdouble if payload.dtype.kind == "c" else np.longdouble
    want, got = case.payload.astype(wide), payload.astype(wide)
    room = tol * np.longdouble(limits.eps) * np.maximum(np.abs(want), np.longdouble(limits.tiny))
    wrong = np.abs(got - want) > room
    if np.any(wrong):
        return f"payload {payload.tolist()}, wanted {case.payload.tolist()} within {tol} eps"
    return None


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, np.generic)


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _call(
    fn: Callable[..., Any], case: Case, keyword: bool, put: Callable[[Any], Any]
) -> tuple[Any, list[Any], list[warnings.WarningMessage]]:
    raw = [case.x] if case.arity == 1 else [case.x, case.y]
    masks = [case.mask_x] if case.arity == 1 else [case.mask_x, case.mask_y]
    names = ("mask",) if case.arity == 1 else ("mask_x", "mask_y")
    moved = [put(np.array(a)) for a in raw]
    moved_masks = [None if m is None else put(np.array(m)) for m in masks]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if keyword:
            given = {n: m for n, m in zip(names, moved_masks, strict=True) if m is not None}
            result = fn(*moved, **given)
        else:  # leave out what is None at the end
            while moved_masks and moved_masks[-1] is None:
                moved_masks.pop()
            result = fn(*moved, *moved_masks)
    return result, [*moved, *moved_masks], caught


def _run_once(
    fn: Callable[..., Any],
    case: Case,
    keyword: bool,
    put: Callable[[Any], Any],
    get: Callable[[Any], Any],
    tol: float,
) -> str | None:
    try:
        result, moved, caught = _call(fn, case, keyword, put)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's function raises is a finding
        if case.raises and isinstance(error, getattr(builtins, case.raises)):
            return None
        wanted = case.raises or "a result"
        return f"raised {type(error).__name__}: {error}, wanted {wanted}"
    if case.raises:
        return f"returned a result where {case.raises} must be raised"
    if not isinstance(result, tuple) or len(result) != 2 or not all(map(_is_array, result)):
        return "did not return a pair of arrays (payload, mask)"
    ours = isinstance(result[0], np.ndarray)
    for warning in caught:
        if ours or issubclass(warning.category, DeprecationWarning):
            return f"warned: {warning.category.__name__}: {warning.message}"
    wrong = _judge_values(np.asarray(get(result[0])), np.asarray(get(result[1])), case, tol)
    if wrong:
        return wrong
    originals = [a for a in (case.x, case.y, case.mask_x, case.mask_y) if a is not None]
    after = [np.asarray(get(a)) for a in moved if a is not None]
    if not all(map(_same_bits, originals, after)):
        return "changed one of its inputs"
    return None


def run_case(
    fn: Callable[..., Any],
    case: Case,
    *,
    put: Callable[[Any], Any],
    get: Callable[[Any], Any],
    tol: float,
) -> str | None:
    """Run one case twice, with positional and with keyword masks.

    Args:
        fn: ``fn(x, mask)`` or ``fn(x, y, mask_x, mask_y)``, giving ``(payload, mask)``.
        case: the case.
        put: moves a NumPy array to the framework.
        get: moves an array of the framework back to NumPy.
        tol: see :func:`tolerance`.

    Returns:
        None if the case passes, else one line saying what is wrong.

    >>> from zeroproofml.scm.ops import scm_add_numpy
    >>> case = next(c for c in load_cases() if c.op == "add")
    >>> run_case(scm_add_numpy, case, put=lambda a: a, get=lambda a: a, tol=0.0) is None
    True
    """
    for keyword in (False, True):
        wrong = _run_once(fn, case, keyword, put, get, tol)
        if wrong:
            return (
                f"{case.op} {case.dtype}, masks by {'keyword' if keyword else 'position'}: {wrong}"
            )
    return None


def _identity(array: Any) -> Any:
    return array


@dataclass(frozen=True, slots=True)
class Backend:
    """Thirteen functions to be judged.

    Attributes:
        name: ``"numpy"``, ``"torch"``, ``"jax"``, or another; it selects the cases that apply and
            the tolerances.
        functions: operation name → function.
        put: moves a NumPy array to the framework; by default the function receives NumPy arrays.
        get: moves a result back; by default ``numpy.asarray``.
    """

    name: str
    functions: Mapping[str, Callable[..., Any]]
    put: Callable[[Any], Any] = _identity
    get: Callable[[Any], Any] = np.asarray

    @classmethod
    def load(
        cls,
        target: str,
        *,
        put: Callable[[Any], Any] = _identity,
        get: Callable[[Any], Any] = np.asarray,
    ) -> Backend:
        """The backend named by ``module:pattern``.

        A pattern that ends in ``_numpy``, ``_torch`` or ``_jax`` names the backend.

        Args:
            target: e.g. ``"zeroproofml.scm.ops:scm_{op}_numpy"``.
            put: see :class:`Backend`.
            get: see :class:`Backend`.

        Raises:
            SCMValueError: no ``{op}`` in the pattern, or a function is missing.
            ImportError: the module cannot be imported.

        >>> Backend.load("zeroproofml.scm.ops:scm_{op}_numpy").name
        'numpy'
        """
        where, colon, pattern = target.partition(":")
        if not (where and colon and "{op}" in pattern):
            msg = f"backend {target!r}: write module:pattern with {{op}} in the pattern"
            raise SCMValueError(msg)
        module = importlib.import_module(where)
        functions = {}
        for op in OPS:
            function = getattr(module, pattern.replace("{op}", op), None)
            if not callable(function):
                msg = f"backend {target!r}: {where} has no function {pattern.replace('{op}', op)}"
                raise SCMValueError(msg)
            functions[op] = function
        suffix = pattern.rpartition("_")[2]
        name = suffix if suffix in {"numpy", "torch", "jax"} else where
        return cls(name, functions, put, get)

    def takes(self, case: Case) -> bool:
        """Whether a case applies; a stranger's backend takes all."""
        return self.name in case.backends or self.name not in {"numpy", "torch", "jax"}

    def run(self, case: Case) -> str | None:
        """:func:`run_case` with this backend's function, movers and tolerance."""
        return run_case(
            self.functions[case.op],
            case,
            put=self.put,
            get=self.get,
            tol=tolerance(case, self.name),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a corpus.

    Attributes:
        passed: number of cases that pass.
        failed: number of cases that do not.
        skipped: number of cases that do not apply to the backend.
        failures: case id → what is wrong.
    """

    passed: int
    failed: int
    skipped: int
    failures: Mapping[str, str] = field(default_factory=dict)


def run_corpus(backend: Backend) -> Report:
    """Run every case that applies.

    >>> run_corpus(Backend.load("zeroproofml.scm.ops:scm_{op}_numpy")).failed
    0
    """
    cases = load_cases()
    failures = {}
    taken = [case for case in cases if backend.takes(case)]
    for case in taken:
        wrong = backend.run(case)
        if wrong:
            failures[case.id] = wrong
    return Report(len(taken) - len(failures), len(failures), len(cases) - len(taken), failures)
