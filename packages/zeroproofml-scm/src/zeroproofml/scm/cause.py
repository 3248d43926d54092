"""Why a lane is ⊥: bit flags, stored as uint8, joined by OR.

The rule of joining (first match wins): an operand that is ⊥ on entry passes its causes on and the
operation adds nothing; otherwise the fault of the operation that holds; otherwise ``OVERFLOW`` if
the result is not finite. The invariant everywhere: ``(cause != 0) == mask``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FAULT", "SEMANTIC", "Cause", "count_causes", "describe"]


class Cause(enum.IntFlag):
    """The reasons a lane can be ⊥.

    >>> Cause.DIV_ZERO | Cause.DOMAIN
    <Cause.DIV_ZERO|DOMAIN: 12>
    """

    NONE = 0
    MASKED = 1  # mask True on entry, reason unknown
    NONFINITE = 2  # NaN or ±inf on entry
    DIV_ZERO = 4
    DOMAIN = 8
    OVERFLOW = 16
    THRESHOLD = 32  # |Q| below tau_infer
    NULL_TUPLE = 64  # the tuple (0, 0)
    VALIDITY = 128  # a validity factor is zero or below its threshold


FAULT = Cause.NONFINITE | Cause.OVERFLOW
SEMANTIC = Cause.DIV_ZERO | Cause.DOMAIN | Cause.THRESHOLD | Cause.NULL_TUPLE | Cause.VALIDITY


def describe(cause: int) -> str:
    """Name a cause, bits in ascending order.

    Args:
        cause: a :class:`Cause` or its integer value, 0 to 255.

    Returns:
        The names joined by ``|``; ``"NONE"`` for 0.

    >>> describe(Cause.DIV_ZERO | Cause.OVERFLOW)
    'DIV_ZERO|OVERFLOW'
    >>> describe(0)
    'NONE'
    """
    return "|".join(flag.name for flag in Cause if flag & int(cause) and flag.name) or "NONE"


def count_causes(causes: NDArray[np.uint8] | Any) -> dict[str, int]:
    """Count the lanes that carry each bit; a lane with two causes counts under both.

    Args:
        causes: integer array of any shape.

    Returns:
        One entry per bit that occurs, in ascending order of the bits.

    >>> import numpy as np
    >>> count_causes(np.array([0, 4, 12, 4], dtype=np.uint8))
    {'DIV_ZERO': 3, 'DOMAIN': 1}
    """
    import numpy as np

    histogram = np.bincount(np.asarray(causes, dtype=np.uint8).ravel(), minlength=256)
    values = np.arange(256)
    counts = {flag: int(histogram[(values & int(flag)) != 0].sum()) for flag in Cause if flag}
    return {flag.name: n for flag, n in counts.items() if n and flag.name}
