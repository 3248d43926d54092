"""How a number looks on a page or a plate. Every rule of the house is here and nowhere else.

A leading minus is U+2212, thousands are set apart by U+202F from 10 000 on, and a value shows as many
digits as its interval supports. JSON keeps ``-`` and full precision; only pages round.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

__all__ = [
    "REASONS",
    "binary_size",
    "count",
    "difference",
    "p_value",
    "percent",
    "percent_interval",
    "points",
    "points_interval",
    "reason_words",
    "si",
    "undefined",
    "value",
    "value_interval",
]

MINUS = "−"
THIN = "\u202f"
_MOST_DIGITS = 15

REASONS = {
    "not_applicable": "not applicable",
    "empty_set": "no accepted lane",
    "zero_denominator": "zero denominator",
    "infinite": "infinite",
    "nan": "not a number",
    "overflow": "overflow",
    "arm_failed": "arm failed",
    "too_few": "too few values",
    "degenerate": "no spread",
    "missing": "missing",
}


def value(x: float) -> str:
    """Three significant digits, trailing zeros kept.

    >>> value(0.5), value(-0.0), value(12345.6), value(0.00012345)
    ('0.500', '0', '12\u202f300', '1.23e-4')
    """
    if x == 0:
        return "0"
    exponent = _exponent(x, 3)
    if -3 <= exponent < 5:
        return _plain(_rounded(x, 2 - exponent), max(0, 2 - exponent))
    return _plain(_rounded(x, 2 - exponent).scaleb(-exponent), 2) + _suffix(exponent)


def value_interval(x: float, low: float, high: float) -> str:
    """A value and its interval, to two significant digits of the half width, one exponent.

    >>> value_interval(0.000412, 0.000323, 0.000537)
    '4.1e-4 [3.2e-4, 5.4e-4]'
    >>> value_interval(0.8613, 0.8412, 0.8814)
    '0.861 [0.841, 0.881]'
    """
    half = (high - low) / 2
    if not half > 0:
        shown = value(x)
        return f"{shown} [{shown}, {shown}]"
    largest = max(abs(x), abs(low), abs(high))
    top = _exponent(largest, 3)
    decimals = min(1 - _exponent(half, 2), _MOST_DIGITS - 1 - top)
    if -3 <= top < 5:
        shift, suffix = 0, ""
    else:
        shift, suffix = top, _suffix(top)
    digits = max(0, decimals + shift)
    cells = [
        _plain(_rounded(each, decimals).scaleb(-shift), digits) + suffix for each in (x, low, high)
    ]
    return f"{cells[0]} [{cells[1]}, {cells[2]}]"


def percent(share: float, hits: int | None = None, n: int | None = None) -> str:
    """A rate: one decimal, exact 0 and 100 only when exact, with the count below n = 1 000.

    >>> percent(0.02, 4, 200), percent(0.0), percent(0.0001), percent(0.9999)
    ('2.0 % (4 of 200)', '0 %', '< 0.1 %', '> 99.9 %')
    """
    shown = _percent(share) + " %"
    if hits is not None and n is not None and n < 1000:
        shown += f" ({count(hits)} of {count(n)})"
    return shown


def percent_interval(share: float, low: float, high: float) -> str:
    """A rate and its interval.

    >>> percent_interval(0.5, 0.41, 0.59)
    '50.0 % [41.0 %, 59.0 %]'
    """
    return f"{percent(share)} [{percent(low)}, {percent(high)}]"


def points(share: float) -> str:
    """A difference of two rates, in percentage points, with its sign.

    >>> points(0.0213), points(-0.5), points(0.0)
    ('+2.1 pp', '−50.0 pp', '0 pp')
    """
    if share == 0:
        return "0 pp"
    shown = _plain(_rounded(share * 100, 1), 1)
    if share > 0:
        return f"+{shown} pp"
    return f"{shown} pp"


def points_interval(share: float, low: float, high: float) -> str:
    """A difference of two rates and its interval.

    >>> points_interval(0.02, -0.01, 0.05)
    '+2.0 pp [−1.0 pp, +5.0 pp]'
    """
    return f"{points(share)} [{points(low)}, {points(high)}]"


def difference(x: float) -> str:
    """A signed value without interval.

    >>> difference(0.25), difference(-0.25)
    ('+0.250', '−0.250')
    """
    return f"+{value(x)}" if x > 0 else value(x)


def count(n: int) -> str:
    """An integer.

    >>> count(9999), count(51200), count(-12)
    ('9999', '51\u202f200', '−12')
    """
    return _plain(Decimal(n), 0)


def p_value(p: float) -> str:
    """A p-value: three decimals, or an upper bound.

    >>> p_value(0.0019531), p_value(1e-5), p_value(1.0)
    ('0.002', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else _plain(_rounded(p, 3), 3)


def si(x: float, unit: str) -> str:
    """Seconds and hertz with an SI prefix.

    >>> si(0.00123, "s"), si(2.5e9, "Hz"), si(0.0, "s")
    ('1.23 ms', '2.50 GHz', '0 s')
    """
    if x == 0:
        return f"0 {unit}"
    exponent = _exponent(x, 3)
    step = max(-4, min(4, exponent // 3))
    prefix = {-4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T"}[step]
    return f"{value(float(Decimal(x).scaleb(-3 * step)))} {prefix}{unit}"


def binary_size(n: int) -> str:
    """A number of bytes, with a binary prefix.

    >>> binary_size(512), binary_size(1536), binary_size(5 * 1024**3)
    ('512 B', '1.50 KiB', '5.00 GiB')
    """
    if n < 1024:
        return f"{n} B"
    step = min(4, (n.bit_length() - 1) // 10)
    return f"{value(n / 1024**step)} {'KMGT'[step - 1]}iB"


def reason_words(code: str) -> str:
    """The null rule's reason code in words.

    >>> reason_words("empty_set")
    'no accepted lane'
    """
    return REASONS[code]


def undefined(code: str) -> str:
    """A cell whose number does not exist.

    >>> undefined("empty_set")
    'undefined (no accepted lane)'
    """
    return f"undefined ({reason_words(code)})"


def _percent(share: float) -> str:
    if share in (0, 1):
        return "0" if share == 0 else "100"
    shown = _rounded(Fraction(share) * 100, 1)
    if shown == 0 and share > 0:
        return "< 0.1"
    if shown == 100 and share < 1:
        return "> 99.9"
    return _plain(shown, 1)


def _exponent(x: float, digits: int) -> int:
    """The decimal exponent of x once it is rounded to so many significant digits."""
    return int(f"{abs(x):.{digits - 1}e}".partition("e")[2])


def _rounded(x: float | Fraction, decimals: int) -> Decimal:
    """Round half to even, exactly: a Fraction has no context that could run out of digits."""
    return Decimal(round(Fraction(x) * Fraction(10) ** decimals)).scaleb(-decimals)


def _plain(x: Decimal, decimals: int) -> str:
    x = x.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    whole, _, part = f"{abs(x):f}".partition(".")
    if len(whole) > 4:
        groups = [whole[max(0, i - 3) : i] for i in range(len(whole), 0, -3)]
        whole = THIN.join(reversed(groups))
    sign = MINUS if x < 0 else ""
    return f"{sign}{whole}.{part}" if part else sign + whole


def _suffix(exponent: int) -> str:
    return f"e{exponent}"  # a hyphen here, so that a copied number still parses
