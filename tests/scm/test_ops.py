"""What the operations must return: the edges of the table, one defect of 0.6.1 after the other."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import warnings

import numpy as np
import pytest

from zeroproofml.scm import ops
from zeroproofml.scm.errors import SCMTypeError, SCMValueError
from zeroproofml.scm.optable import OPS

F64 = np.finfo(np.float64)
MAX, ULP, SUB = F64.max, F64.max - np.nextafter(F64.max, 0), F64.smallest_subnormal


def _lane(pair):
    payload, mask = pair
    assert payload.shape == mask.shape == (1,)
    assert not mask[0], "⊥"
    return payload[0]


def _bottom(pair):
    payload, mask = pair
    return bool(mask.all() and (payload == 0).all())


def test_seed_example_runs_with_warnings_as_errors():
    code = """
import numpy as np
from zeroproofml.scm.ops import scm_add_numpy, scm_div_numpy
values = np.array([1.0, 0.0, -2.0])
mask = np.array([False, True, False])
num, num_mask = scm_add_numpy(values, values, mask, mask)
den, den_mask = scm_div_numpy(num, np.ones_like(num), num_mask, np.zeros_like(num_mask))
assert den.tolist() == [2.0, 0.0, -4.0] and den_mask.tolist() == [False, True, False]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


# --- §2: the regular edges -------------------------------------------------------------------


def test_add_rounds_at_the_limit_as_ieee_does(call):
    assert _bottom(call("add", [MAX], [ULP / 2]))
    assert _lane(call("add", [MAX], [ULP / 4])) == MAX
    assert _lane(call("add", [F64.tiny], [SUB])) == F64.tiny + SUB
    assert _lane(call("sub", [F64.tiny], [SUB])) == F64.tiny - SUB


def test_mul_underflows_regularly_and_overflows_to_bottom(call):
    assert _lane(call("mul", [SUB], [0.5])) == 0
    assert _bottom(call("mul", [1e200], [1e200]))


def test_div_edges(call):
    ys = np.array([1.0, -3.0, SUB, F64.tiny, MAX])
    assert (call("div", np.zeros(5), ys)[0] == 0).all()
    assert (call("div", ys, ys)[0] == 1).all()
    assert not call("div", ys, ys)[1].any()
    assert _lane(call("div", [1.0], [1e-160])) == 1e160
    assert _bottom(call("div", [1.0], [SUB]))
    assert call("div", [0.0, 1.0, -1.0], [0.0, 0.0, -0.0])[1].all()


def test_inv_is_div_of_one_in_every_lane(call, lanes):
    x = np.array([0.0, -0.0, 1.0, 49.0, SUB, MAX, np.inf, np.nan, -7.0, 1e-160])
    for dtype in ("float16", "float32", "float64", "longdouble"):
        with np.errstate(all="ignore"):
            narrow = x.astype(dtype)
        a, b = call("inv", narrow), call("div", np.ones_like(narrow), narrow)
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


def test_pow_edges(call):
    assert call("pow", [0.0, -0.0, 5.0], [0.0, 0.0, 0.0])[0].tolist() == [1, 1, 1]
    assert _lane(call("pow", [-2.0], [3.0])) == -8
    assert _lane(call("pow", [1.0], [1e308])) == 1
    assert _lane(call("pow", [2.0], [-1100.0])) == 0
    assert _bottom(call("pow", [0.0], [-1.0]))
    assert _bottom(call("pow", [-8.0], [1 / 3]))
    assert _bottom(call("pow", [2.0], [1024.0]))
    assert _lane(call("pow", [0j], [2.0])) == 0
    assert _lane(call("pow", [0j], [0.0])) == 1
    assert _bottom(call("pow", [0j], [-1.0]))


@pytest.mark.parametrize("e", [2, -1, 0.5, 2.0, -1.0])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_pow_with_a_python_exponent_equals_pow_with_an_array_of_it(call, close, e, dtype):
    x = np.array([0.0, -0.0, 1.0, -4.0, 9.0, 1e-3, 200.0, np.inf, np.nan], dtype)
    exponents = np.full(x.shape, e, x.real.dtype)
    short, long = call("pow", x, e), call("pow", x, exponents)
    assert np.array_equal(short[1], long[1])
    assert short[0].dtype == long[0].dtype == x.dtype
    assert close(short[0], long[0], 8)


def test_log_exp_sqrt_edges(call):
    assert call("log", [0.0, -0.0, -1.0])[1].all()
    assert _lane(call("log", [SUB])) == pytest.approx(-744.4400719213812, rel=1e-15)
    assert _lane(call("log", np.array([-1 + 0j]))) == pytest.approx(np.pi * 1j)
    assert _bottom(call("log", [0j]))
    assert _lane(call("exp", [-1000.0])) == 0
    assert _bottom(call("exp", [-np.inf]))
    assert _lane(call("sqrt", [-0.0])) == 0
    assert _bottom(call("sqrt", [-1.0]))
    assert _lane(call("sqrt", [-1 + 0j])) == 1j


def test_trigonometric_edges(call):
    assert _lane(call("sin", [1e22])) == pytest.approx(-0.8522008497671888, abs=5e-16)
    assert _lane(call("tan", [np.pi / 2])) == 1.633123935319537e16
    assert _lane(call("tan", [1 + 1000j])) == 1j
    assert _lane(call("tan", [1 - 1000j])) == -1j
    assert _bottom(call("sin", [0.5 + 800j]))
    assert call("sin", [np.inf, -np.inf, np.nan])[1].all()


@pytest.mark.parametrize(
    ("x", "y", "want"),
    [
        (1e300 * (1 + 1j), 1e300 * (1 + 1j), 1),
        (1e-310 + 0j, 1e-310 * (1 + 1j), 0.5 - 0.5j),
        (1 + 0j, 1.7e308 * (1 + 1j), (1 - 1j) / 2 / 1.7e308),
        (5e-324 * (1 + 1j), 1e-300 * (1 + 0.5j), 5e-324 * (1 + 1j) / 1e-300 / (1 + 0.5j)),
        (MAX * (1 + 1j), MAX * (1 + 1j), 1),
        (SUB * (1 + 1j), SUB * (1 + 1j), 1),
    ],
)
def test_complex_division_is_right_wherever_it_is_representable(call, close, x, y, want):
    got = call("div", np.array([x]), np.array([y]))
    # the parts of x and y are near powers apart; scale both exactly and compare
    assert not got[1].any()
    if abs(want) > F64.tiny and abs(x) > F64.tiny:
        assert close(got[0], np.array([want], complex), 8)
    else:
        assert abs(got[0][0] - want) <= 8 * F64.eps * max(abs(want), F64.tiny) * 4


def test_complex_inverse_equals_complex_division(call, equal_pairs):
    z = np.array(
        [1e300 * (1 + 1j), 1e-310 * (1 - 1j), 1.7e308j, 0, 3 - 4j, np.inf, complex(0, np.nan)]
    )
    assert equal_pairs(call("inv", z), call("div", np.ones_like(z), z))
    assert call("inv", z)[1].tolist() == [False, True, False, True, False, True, True]


def test_complex_powers_keep_eight_eps_where_the_result_is_large(call, close):
    z, e = np.array([1.5 - 2.5j, 3 + 4j, -2 + 0.1j]), np.array([300.5, 99.0, -97.0])
    want = np.exp(e.astype(np.longdouble) * np.log(z.astype(np.clongdouble))).astype(complex)
    payload, mask = call("pow", z, e)
    assert not mask.any()
    assert close(payload, want, 8)
    assert not call("pow", np.array([1e200 * (1 + 1j)]), [-2.0])[1].any()  # underflows to 0


def test_infinite_operands_are_bottom_whatever_the_result_would_be(call):
    assert _bottom(call("div", [1.0], [np.inf]))
    assert _bottom(call("mul", [np.inf], [0.0]))
    assert _bottom(call("pow", [2.0], [-np.inf]))
    assert _bottom(call("pow", [np.inf], [-1.0]))
    assert _bottom(call("pow", [np.nan], [0.0]))
    assert _bottom(call("inv", [np.inf]))
    assert _bottom(call("tan", [complex(1, np.inf)]))
    assert _bottom(call("div", [1 + 0j], [complex(np.inf, 0)]))


# --- §13: defects of 0.6.1 -------------------------------------------------------------------


def test_D01_a_derivative_that_overflows_masks_nothing(call):
    assert _lane(call("div", [1.0], [1e-160])) == 1e160
    assert _lane(call("div", [0.0], [1e-200])) == 0
    assert _lane(call("div", [0.0], [SUB])) == 0
    third = np.float16(0.003)
    got = _lane(call("div", np.array([1], np.float16), np.array([third])))
    assert got == np.float16(1 / float(third))
    assert _lane(call("inv", [1e-160])) == 1e160
    assert _lane(call("log", [1e-310])) == np.log(1e-310)


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)
def test_D02_integers_become_float64_before_anything_else(call, dtype):
    x = np.array([16], dtype)
    payload, mask = call("div", x, x)
    assert (payload.dtype, payload[0], mask[0]) == (np.float64, 1.0, False)
    top = np.iinfo(dtype).max
    assert _lane(call("add", np.array([top], dtype), np.array([1], dtype))) == float(top) + 1
    assert _lane(call("mul", np.array([top], dtype), np.array([top], dtype))) == float(top) ** 2
    assert _lane(call("sub", np.array([0], dtype), np.array([top], dtype))) == -float(top)
    low = np.iinfo(dtype).min
    assert _lane(call("neg", np.array([low], dtype))) == -float(low)
    assert _lane(call("pow", np.array([top], dtype), 2)) == float(top) ** 2


def test_D02_the_values_of_acceptance_five(call):
    two63 = 9.223372036854775808e18
    assert _lane(call("add", np.array([2**63 - 1]), np.array([1]))) == two63
    assert _lane(call("neg", np.array([-128], np.int8))) == 128.0
    assert _lane(call("div", np.array([0.0]), np.array([5e-324]))) == 0.0


def test_D13_complex_exponents_are_refused_and_complex_zero_to_the_zero_is_one(call):
    for exponent in (1j, np.array([1j]), 2 + 0j, [1j], np.complex64(1)):
        with pytest.raises(SCMTypeError, match=r"^y: .*exponent"):
            call("pow", np.array([2.0]), exponent)
    assert _lane(call("pow", np.array([0j]), np.array([0.0]))) == 1
    assert _lane(call("pow", np.array([0], np.complex64), np.array([0], np.float32))) == 1


def test_D29_lists_numbers_and_arrays_mean_the_same(call, equal_pairs):
    arrays = call("div", np.array([1.0, 2.0]), np.array([4.0, 0.0]))
    assert equal_pairs(arrays, call("div", [1.0, 2.0], [4.0, 0.0]))
    assert equal_pairs(arrays, call("div", (1, 2), (4, 0)))
    number = call("div", 1, 4)
    assert number[0].shape == ()
    assert (number[0].dtype, number[0].item(), number[1].item()) == (np.float64, 0.25, False)
    assert call("div", 1.0, [[4.0], [0.0]])[0].shape == (2, 1)


# --- threads, results, layout ----------------------------------------------------------------


def test_threads_emit_no_warning_and_do_not_disturb_each_other():
    x = np.array([0.0, -1.0, 1e308, np.inf, np.nan, 2.0] * 50)
    want = {n: getattr(ops, f"scm_{n}_numpy")(*(x, x[::-1])[: OPS[n].arity]) for n in OPS}

    def work(seed):
        for k in range(30):
            name = list(OPS)[(seed + k) % len(OPS)]
            got = getattr(ops, f"scm_{name}_numpy")(*(x, x[::-1])[: OPS[name].arity])
            if not all(map(np.array_equal, got, want[name])):
                return name
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [None] * 8


def test_the_error_state_of_the_caller_is_left_alone(call):
    with np.errstate(divide="raise", over="raise", invalid="raise", under="raise"):
        before = np.geterr()
        for name, op in OPS.items():
            assert call(name, *([0.0, 1e308, -1.0, 1e-320],) * op.arity)[0].shape == (4,)
        assert np.geterr() == before


@pytest.mark.parametrize("n", [1, 1000, 1001, 8192, 8193, 65537, 262_144, 262_145, 400_001])
@pytest.mark.parametrize("name", ["add", "div", "exp"])
def test_blocks_change_nothing(call, name, n):
    rng = np.random.default_rng(n)
    operands = [rng.standard_normal(n).astype(np.float32) for _ in range(OPS[name].arity)]
    for operand in operands:
        operand[rng.integers(0, n, n // 20 + 1)] = rng.choice([0.0, np.inf, np.nan])
    masks = [rng.random(n) < 0.03 for _ in operands]
    payload, mask = call(name, *operands, masks=masks)
    with np.errstate(all="ignore"):
        raw = {"add": np.add, "div": np.divide, "exp": np.exp}[name](*operands)
    bad = ~np.isfinite(raw)
    for operand, given in zip(operands, masks, strict=True):
        bad |= given | ~np.isfinite(operand)
    assert np.array_equal(mask, bad)
    assert np.array_equal(payload, np.where(bad, 0, raw))


def test_an_operation_outside_the_table_has_no_function():
    names = {n for n in ops.__all__ if n.endswith("_numpy")}
    assert names == {f"scm_{op}_numpy" for op in OPS}
    assert len(names) == 13
    assert set(ops.__all__) - names == {f"scm_{op}" for op in OPS}


def test_D28_nothing_but_the_result_decides_close_to_zero(call):
    """No threshold hides in the operations: the smallest divisor is as good as any."""
    y = np.array([SUB, 1e-308, 1e-160, 1e-20, 1e-12, 1e-7])
    assert not call("div", y, y)[1].any()
    assert not call("div", np.full(6, SUB), y)[1].any()


def test_shape_clash_names_all_shapes(call):
    with pytest.raises(SCMValueError, match=r"x \(3,\), y \(2,\), mask_x \(3,\)"):
        call("div", np.ones(3), np.ones(2), masks=(np.zeros(3, bool),))
