"""A strict model as ONNX bytes, and the proof that ONNX Runtime decides as torch does.

``onnx`` and ``onnxruntime`` are imported where they are used: the extra ``export`` is optional.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zeroproofml.scm.errors import ZeroProofError
from zeroproofml.scm.formulas import strict
from zeroproofml.torch._reference import OUTPUTS, Arrays, expected, six
from zeroproofml.torch.inference import SCMInferenceWrapper

__all__ = ["OPSET", "ExportError", "as_onnx", "check_same", "session_of"]

OPSET = 18
MOST_ULP = 4
_NETWORK = 1024  # rounding of P and Q, in eps of their row: matrix products sum in another order
_PROBES = ("probe_p", "probe_q")
_MOST_BYTES = 2**31 - 1
_ELEMENTS = {"float32": 1, "float64": 11, "int32": 6, "int64": 7, "bool": 9}


class ExportError(ZeroProofError):
    """A model cannot become a bundle: it does not export, or the export decides differently."""


class _Decision(nn.Module):
    """Inputs to the six outputs, and P and Q; no derivative, so the quotient is computed once."""

    def __init__(self, wrapper: SCMInferenceWrapper) -> None:
        super().__init__()
        self.wrapper = wrapper

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        P, Q, *factors = self.wrapper.raw(*inputs)
        pairs = list(zip(factors, self.wrapper.factor_thresholds, strict=True))
        result = strict.strict_inference(
            P, Q, self.wrapper.config, xp=torch, array_type=Tensor, factors=pairs
        )
        return (*six(result), P, Q)


def as_onnx(
    wrapper: SCMInferenceWrapper, rows: Arrays, wanted: Arrays, properties: Mapping[str, str]
) -> tuple[bytes, bytes, dict[str, Any]]:
    """Export with a free batch axis.

    Returns:
        The file's bytes; the same model with P and Q as further outputs, which only the comparison
        uses; and the description: versions, inputs, outputs.

    Raises:
        ExportError: torch cannot trace the model with a free batch, or it is above 2 GiB.
    """
    try:
        import onnx
    except ImportError as error:
        msg = "onnx is not installed; pip install 'zeroproofml-torch[export]'"
        raise ExportError(msg) from error
    inputs = tuple(torch.from_numpy(array[:2].copy()) for array in rows.values())
    batch = torch.export.Dim("batch", min=0)
    try:
        with _quiet():
            program = torch.onnx.export(
                _Decision(wrapper).eval(),
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=[*rows],
                output_names=[*OUTPUTS, *_PROBES],
                dynamic_shapes=(tuple({0: batch} for _ in inputs),),
                verbose=False,
            )
    except Exception as error:
        # the exporter raises plain exceptions of many classes, with pages of advice
        first = str(error.__cause__ or error).strip().splitlines()
        msg = f"torch cannot export the model with a free batch axis: {(first or ['?'])[0]:.300}"
        raise ExportError(msg) from error
    made = program.model_proto  # type: ignore[union-attr]  # None only without dynamo
    _strip(made)
    probe = made.SerializeToString(deterministic=True)
    del made.graph.output[len(OUTPUTS) :]
    if made.ByteSize() > _MOST_BYTES:
        msg = "the model is above 2 GiB; a bundle holds its weights in one file"
        raise ExportError(msg)
    found = {o.domain: o.version for o in made.opset_import}
    if found != {"": OPSET} or len(made.functions):
        msg = f"the exported model needs the operator sets {found}; a bundle holds ONNX's own only"
        raise ExportError(msg)
    specs = {
        "ir_version": made.ir_version,
        "opset": OPSET,
        "inputs": _specs(made.graph.input, rows),
        "outputs": _specs(made.graph.output, wanted),
    }
    for key, value in sorted(properties.items()):
        made.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True), probe, specs


def _specs(declared: Any, arrays: Arrays) -> list[dict[str, Any]]:
    """Names, dtypes and shapes as the file says them; anything but the arrays' own is an error."""
    made = []
    for value, (name, array) in zip(declared, arrays.items(), strict=True):
        tensor = value.type.tensor_type
        axes = [
            axis.dim_value if axis.HasField("dim_value") else "batch" for axis in tensor.shape.dim
        ]
        wanted = ["batch", *array.shape[1:]]
        dtype = array.dtype.name
        if (value.name, axes, tensor.elem_type) != (name, wanted, _ELEMENTS[dtype]):
            msg = f"{name}: exported with shape {axes}, expected {wanted}; the batch must stay free"
            raise ExportError(msg)
        tensor.shape.dim[0].dim_param = "batch"
        made.append({"name": name, "dtype": dtype, "shape": wanted})
    return made


def _strip(model: Any) -> None:
    """Take out what the exporter notes for its own debugging: stack traces, paths, names of code."""
    graphs, functions = [model.graph], list(model.functions)
    model.doc_string = ""
    del model.metadata_props[:]
    while graphs or functions:
        holder = graphs.pop() if graphs else functions.pop()
        holder.doc_string = ""
        del holder.metadata_props[:]
        nodes = list(holder.node)
        values = [*getattr(holder, "initializer", ()), *holder.value_info]
        if hasattr(holder, "initializer"):
            values += [*holder.input, *holder.output]
        for item in [*nodes, *values]:
            item.doc_string = ""
            del item.metadata_props[:]
        for node in nodes:
            for attribute in node.attribute:
                attribute.doc_string = ""
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += list(attribute.graphs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints progress, logs about packages that are not installed, and warns."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def session_of(model: bytes) -> Any:
    """ONNX Runtime on the CPU, from bytes.

    Raises:
        ExportError: onnxruntime is not installed, or does not take the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        msg = "onnxruntime is not installed; pip install 'zeroproofml-torch[export]'"
        raise ExportError(msg) from error
    try:
        return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    except Exception as error:
        msg = f"ONNX Runtime does not take the model: {str(error).strip().splitlines()[0]:.300}"
        raise ExportError(msg) from error


def check_same(model: bytes, probe: bytes, wrapper: SCMInferenceWrapper, rows: Arrays) -> int:
    """Compare for the whole batch, for every row alone, and for no row.

    Masks and provenance are those of torch bit for bit. ``decoded`` lies within 4 ULP of the quotient
    of the P and Q that ONNX Runtime itself has computed, and these within rounding of torch's: a
    matrix product that sums in another order moves a quotient near its pole by many ULP, without
    any difference in the decision.

    Returns:
        The largest distance of ``decoded`` from torch's in ULP.

    Raises:
        ExportError: the first difference: row, output, both values.
    """
    compare = _Comparison(session_of(model), session_of(probe), wrapper)
    n = len(next(iter(rows.values())))
    compare.run(rows, 0, "in the whole batch")
    for row in range(n):
        compare.run({name: array[row : row + 1] for name, array in rows.items()}, row, "alone")
    compare.run({name: array[:0] for name, array in rows.items()}, 0, "in an empty batch")
    return compare.largest


class _Comparison:
    def __init__(self, session: Any, probe: Any, wrapper: SCMInferenceWrapper) -> None:
        self.session, self.probe, self.wrapper = session, probe, wrapper
        self.largest = 0

    def run(self, rows: Arrays, first: int, words: str) -> None:
        wanted, _ = expected(self.wrapper, rows)
        found = dict(zip(OUTPUTS, self.session.run([*OUTPUTS], rows), strict=True))
        for name in OUTPUTS:
            a, b = wanted[name], found[name]
            if a.dtype != b.dtype or a.shape != b.shape:
                msg = (
                    f"{name} {words}: ONNX Runtime gives {b.dtype}{list(b.shape)}, "
                    f"torch {a.dtype}{list(a.shape)}"
                )
                raise ExportError(msg)
        # masks before values: a wrong mask is what makes a value wrong
        for name in OUTPUTS[1:]:
            _demand(found[name] == wanted[name], name, wanted, found, first, words)
        same = np.isnan(wanted["decoded"]) == np.isnan(found["decoded"])
        _demand(same, "decoded", wanted, found, first, words)
        sound = np.isfinite(wanted["decoded"])
        distance = _ulps(wanted["decoded"][sound], found["decoded"][sound])
        self.largest = max(self.largest, int(distance.max(initial=0)))
        self._values(rows, wanted, first, words)

    def _values(self, rows: Arrays, wanted: Arrays, first: int, words: str) -> None:
        names = ["decoded", *_PROBES]
        decoded, P, Q = self.probe.run(names, rows)
        raw = self.wrapper.raw(*(torch.from_numpy(array) for array in rows.values()))
        shape, kept = decoded.shape, np.isfinite(wanted["decoded"])
        with np.errstate(all="ignore"):
            Q = _spread(Q, shape)
            quotient = np.where(kept, P / Q, 0).astype(decoded.dtype)
            close = _ulps(np.where(kept, decoded, 0).astype(decoded.dtype), quotient)
        told = {"decoded": quotient}
        _demand(close <= MOST_ULP, "decoded", told, {"decoded": decoded}, first, words)
        own = {name: _spread(part.numpy(), shape) for name, part in zip("PQ", raw, strict=False)}
        sound = {name: np.where(kept, part, 0) for name, part in own.items()}
        axes = tuple(range(1, len(shape)))
        scale = np.maximum(
            *(np.abs(part).max(axis=axes, keepdims=True, initial=0) for part in sound.values())
        )
        bound = _NETWORK * np.finfo(decoded.dtype).eps * scale
        for name, theirs in (("P", P), ("Q", Q)):
            near = np.abs(np.where(kept, theirs, 0) - sound[name]) <= bound
            _demand(near, name, own, {name: theirs}, first, words)


def _spread(part: Any, shape: tuple[int, ...]) -> Any:
    """P or Q over all lanes: Q may lack P's last axis."""
    return np.broadcast_to(part if part.ndim == len(shape) else part[..., None], shape)


def _demand(holds: Any, name: str, wanted: Arrays, found: Arrays, first: int, words: str) -> None:
    if holds.all():
        return
    place = tuple(int(k) for k in np.argwhere(~holds)[0])
    a, b = wanted[name][place], found[name][place]
    lane = f", lane {list(place[1:])}" if len(place) > 1 else ""
    msg = (
        f"row {first + place[0]}{lane} {words}: {name} is {a} in torch and {b} in ONNX Runtime; "
        "replace the operation that differs (a one-sided clip hides infinities)"
    )
    raise ExportError(msg)


def _ulps(a: Any, b: Any) -> Any:
    """Distance in units in the last place: exact where it is small, rounded where it is absurd."""
    left, right = _ordered(a), _ordered(b)
    rough = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return np.where(rough < 2.0**53, np.abs(left - right), rough)


def _ordered(x: Any) -> Any:
    """Floats as int64 in the same order, neighbours one apart, both zeros at 0."""
    pattern = np.int64 if x.dtype == np.float64 else np.int32
    held = x.view(pattern).astype(np.int64)
    return np.where(held < 0, np.iinfo(pattern).min - held, held)
