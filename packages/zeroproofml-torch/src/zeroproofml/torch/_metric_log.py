"""The metric log: one strict JSON record per line, ``zeroproofml.metric_log`` v1."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from zeroproofml.scm.errors import SCMTypeError, SCMValueError

__all__ = ["JsonlLogger"]

_CONTEXT = frozenset(
    {"domain", "mode", "protocol", "arm", "comparator", "seed", "run_id", "statistic"}
)


class JsonlLogger:
    """Append metric records to a file; the report package reads them.

    A NaN or an infinity is written as null with its reason, so that every line is strict JSON.

    Args:
        path: file to append to; its folder must exist.
        context: fields that every record carries: domain, mode, protocol, arm, comparator, seed,
            run_id, statistic; all optional.

    Raises:
        SCMValueError: an unknown field of the context.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> with JsonlLogger(path, context={"seed": 3}) as logger:
    ...     logger.write("train", {"loss": 0.5, "coverage": float("nan")}, step=10, epoch=0)
    >>> record = json.loads(path.read_text())
    >>> record["metrics"], record["reasons"]
    ({'coverage': None, 'loss': 0.5}, {'coverage': 'nan'})
    """

    def __init__(
        self, path: str | os.PathLike[str], *, context: Mapping[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        self.context = dict(context or {})
        if unknown := sorted(self.context.keys() - _CONTEXT):
            msg = (
                f"context has no field {unknown[0]!r}; the fields are {', '.join(sorted(_CONTEXT))}"
            )
            raise SCMValueError(msg)
        self._handle = self.path.open("a", encoding="utf-8", newline="\n")

    def write(
        self,
        phase: Literal["train", "eval"],
        metrics: Mapping[str, float],
        *,
        step: int | None = None,
        epoch: int | None = None,
    ) -> None:
        """Append one record and flush it.

        Raises:
            SCMTypeError: a metric that is not a number. SCMValueError: an unknown phase, or neither
                step nor epoch.
        """
        if phase not in ("train", "eval"):
            msg = f"phase must be 'train' or 'eval', got {phase!r}"
            raise SCMValueError(msg)
        if step is None and epoch is None:
            msg = "a record needs a step or an epoch"
            raise SCMValueError(msg)
        values: dict[str, float | None] = {}
        reasons: dict[str, str] = {}
        for name, value in metrics.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                msg = f"metric {name!r} must be a number, not {type(value).__name__}"
                raise SCMTypeError(msg)
            values[name] = float(value) if math.isfinite(value) else None
            if values[name] is None:
                reasons[name] = "nan" if math.isnan(value) else "infinite"
        record: dict[str, Any] = {
            "schema_name": "zeroproofml.metric_log",
            "schema_version": 1,
            "phase": phase,
            "context": self.context,
            "metrics": values,
            "reasons": reasons,
        }
        if step is not None:
            record["step"] = step
        if epoch is not None:
            record["epoch"] = epoch
        line = json.dumps(
            record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        self._handle.write(line + "\n")
        self._handle.flush()

    def close(self) -> None:
        """Sync to disk and close; a second call does nothing."""
        if not self._handle.closed:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
