"""The corpus: every case passes, and a backend that is wrong somewhere does not."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest

from zeroproofml.scm import ops
from zeroproofml.scm.errors import SCMValueError
from zeroproofml.scm.optable import OPS
from zeroproofml.scm.testing import Backend, load_cases, run_case, run_corpus, tolerance

CASES = load_cases()
PATTERN = "zeroproofml.scm.ops:scm_{op}_numpy"


def _identity(array):
    return array


def _run(fn, case):
    return run_case(fn, case, put=_identity, get=_identity, tol=tolerance(case, "numpy"))


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.id}-{c.op}-{c.dtype}")
def test_every_case_passes_with_positional_and_keyword_masks(case):
    assert _run(getattr(ops, f"scm_{case.op}_numpy"), case) is None


def test_the_whole_corpus_passes_and_is_counted():
    report = run_corpus(Backend.load(PATTERN))
    assert (report.passed, report.failed, report.skipped) == (len(CASES), 0, 0)
    assert dict(report.failures) == {}


def test_the_corpus_covers_every_operation_and_ships_as_one_file():
    assert {case.op for case in CASES} == set(OPS)
    assert len({case.id for case in CASES}) == len(CASES) > 400
    assert files("zeroproofml.scm.testing").joinpath("cases.json").is_file()


def test_cases_that_do_not_apply_to_a_backend_are_skipped():
    numpy = Backend.load(PATTERN)
    report = run_corpus(Backend("jax", numpy.functions))
    inapplicable = sum("jax" not in case.backends for case in CASES)
    assert report.skipped == inapplicable > 0
    assert report.passed + report.failed == len(CASES) - inapplicable


def _first(op, tag=None, dtype="float64"):
    return next(
        c for c in CASES if c.op == op and c.dtype == dtype and (tag is None or tag in c.tags)
    )


def test_a_wrong_value_a_wrong_mask_and_a_wrong_dtype_are_found():
    case = _first("add", "basic")

    def off(x, y, *masks, **kw):
        payload, mask = ops.scm_add_numpy(x, y, *masks, **kw)
        return np.nextafter(payload, np.inf) * ~mask, mask

    def inverted(x, y, *masks, **kw):
        payload, mask = ops.scm_add_numpy(x, y, *masks, **kw)
        return payload, ~mask

    def narrow(x, y, *masks, **kw):
        payload, mask = ops.scm_add_numpy(x, y, *masks, **kw)
        return payload.astype(np.float32), mask

    assert "payload" in _run(off, case)
    assert "mask" in _run(inverted, case)
    assert "dtype" in _run(narrow, case)


def test_garbage_under_the_mask_is_found():
    case = _first("div", "singular")

    def dirty(x, y, *masks, **kw):
        payload, mask = ops.scm_div_numpy(x, y, *masks, **kw)
        return np.where(mask, 1.0, payload), mask

    assert "not 0 under the mask" in _run(dirty, case)


def test_a_scalar_instead_of_an_array_a_warning_and_a_written_input_are_found():
    case = _first("neg")
    zero_d = next(c for c in CASES if c.op == "neg" and "zero_d" in c.tags)

    def scalars(x, mask=None):
        payload, bottom = ops.scm_neg_numpy(x, mask)
        return payload[()], bottom[()]

    def warns(x, mask=None):
        np.log(np.zeros(1))
        return ops.scm_neg_numpy(x, mask)

    def writes(x, mask=None):
        result = ops.scm_neg_numpy(x, mask)
        x *= -1
        return result

    assert "pair of arrays" in _run(scalars, zero_d)
    assert "warned" in _run(warns, case)
    assert "input" in _run(writes, case)


def test_masks_taken_only_by_position_are_found():
    case = next(c for c in CASES if c.op == "exp" and c.mask_x is not None and not c.raises)

    def positional(x, mask=None, /):
        return ops.scm_exp_numpy(x, mask)

    assert "masks by keyword" in _run(positional, case)


def test_an_error_that_is_not_raised_and_one_of_the_wrong_class_are_found():
    case = next(c for c in CASES if c.raises == "TypeError" and c.op == "log")

    def accepts(x, mask=None):
        return ops.scm_log_numpy(x.astype(float), mask)

    def refuses(x, mask=None):
        msg = "no"
        raise ValueError(msg)

    assert "must be raised" in _run(accepts, case)
    assert "ValueError" in _run(refuses, case)


def test_a_missing_function_and_a_bad_pattern_are_named():
    with pytest.raises(SCMValueError, match=r"scm_add_nowhere"):
        Backend.load("zeroproofml.scm.ops:scm_{op}_nowhere")
    with pytest.raises(SCMValueError, match="pattern"):
        Backend.load("zeroproofml.scm.ops")
    with pytest.raises(SCMValueError, match="pattern"):
        Backend.load("zeroproofml.scm.ops:scm_add_numpy")


@pytest.mark.parametrize(
    ("op", "dtype", "numpy", "other"),
    [
        ("add", "float64", 0, 0),
        ("sqrt", "float32", 0, 1),
        ("log", "float64", 4, 8),
        ("pow", "float64", 8, 16),
        ("exp", "complex128", 8, 8),
        ("div", "complex64", 8, 8),
    ],
)
def test_tolerances_are_those_of_the_table(op, dtype, numpy, other):
    case = replace(_first(op, dtype=dtype), out_dtype=dtype)
    assert (tolerance(case, "numpy"), tolerance(case, "torch"), tolerance(case, "mine")) == (
        numpy,
        other,
        other,
    )


def test_torchlike_results_are_moved_back_before_they_are_judged():
    case = _first("mul", "basic")

    def boxed(x, y, mask_x=None, mask_y=None):
        payload, mask = ops.scm_mul_numpy(x.value, y.value, mask_x, mask_y)
        return tuple(
            SimpleNamespace(value=a, shape=a.shape, dtype=a.dtype) for a in (payload, mask)
        )

    def put(array):
        return SimpleNamespace(value=array)

    masks_left_out = case.mask_x is None and case.mask_y is None
    assert masks_left_out
    assert run_case(boxed, case, put=put, get=lambda box: box.value, tol=0.0) is None
