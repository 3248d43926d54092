"""The thirteen operations on torch tensors: ``(payload, mask)`` in, ``(payload, mask)`` out.

Payloads are floating or complex tensors, Python numbers (weak: they take the tensor's dtype), lists,
or NumPy arrays; integers become float64 first; bool is refused. Masks are bool, or integer with
non-zero meaning True; ``None`` is all False. Shapes broadcast, masks included. The payload that
comes back is finite everywhere and 0 under the mask.

A lane of the result is ⊥ when an operand is ⊥ (masked, NaN or infinite), when the operation is
undefined there, or when the result overflows. Gradients are finite by construction: 0 on ⊥ lanes,
and 0 on regular lanes whose local derivative is not representable. Every function works eagerly, under
``torch.func`` and under ``torch.compile(fullgraph=True)``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zeroproofml.torch._arguments import broadcast, mask_tensor, operands
from zeroproofml.torch._execute import execute

__all__ = [
    "scm_add_torch",
    "scm_cos_torch",
    "scm_div_torch",
    "scm_exp_torch",
    "scm_inv_torch",
    "scm_log_torch",
    "scm_mul_torch",
    "scm_neg_torch",
    "scm_pow_torch",
    "scm_sin_torch",
    "scm_sqrt_torch",
    "scm_sub_torch",
    "scm_tan_torch",
    "weak_sign_torch",
]


def scm_add_torch(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> tuple[Tensor, Tensor]:
    """x + y; ⊥ where the sum overflows.

    Args:
        x, y: payloads, broadcast against each other and the masks.
        mask_x, mask_y: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape; the payload has the promoted dtype.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_add_torch(torch.tensor([1.0, 3e38]), 3e38)
    (tensor([3.0000e+38, 0.0000e+00]), tensor([False,  True]))
    """
    return execute("add", (x, y), (mask_x, mask_y))


def scm_sub_torch(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> tuple[Tensor, Tensor]:
    """x − y; ⊥ where the difference overflows.

    Args:
        x, y: payloads, broadcast against each other and the masks.
        mask_x, mask_y: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape; the payload has the promoted dtype.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_sub_torch(torch.tensor([1.0, -3e38]), 3e38)
    (tensor([-3.0000e+38,  0.0000e+00]), tensor([False,  True]))
    """
    return execute("sub", (x, y), (mask_x, mask_y))


def scm_mul_torch(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> tuple[Tensor, Tensor]:
    """x · y; ⊥ where the product overflows.

    Args:
        x, y: payloads, broadcast against each other and the masks.
        mask_x, mask_y: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape; the payload has the promoted dtype.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_mul_torch(torch.tensor([2.0, 1e30]), 1e30)
    (tensor([2.0000e+30, 0.0000e+00]), tensor([False,  True]))
    """
    return execute("mul", (x, y), (mask_x, mask_y))


def scm_div_torch(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> tuple[Tensor, Tensor]:
    """x / y; ⊥ where y = 0 or the quotient overflows.

    Args:
        x, y: payloads, broadcast against each other and the masks.
        mask_x, mask_y: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape; the payload has the promoted dtype.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_div_torch(torch.tensor([1.0, 1.0]), torch.tensor([4.0, 0.0]))
    (tensor([0.2500, 0.0000]), tensor([False,  True]))
    """
    return execute("div", (x, y), (mask_x, mask_y))


def scm_inv_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """1 / x; ⊥ where x = 0 or the inverse overflows.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_inv_torch(torch.tensor([4.0, 0.0]))
    (tensor([0.2500, 0.0000]), tensor([False,  True]))
    """
    return execute("inv", (x,), (mask,))


def scm_neg_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """−x.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_neg_torch(torch.tensor([1.0, 2.0]), [False, True])
    (tensor([-1.,  0.]), tensor([False,  True]))
    """
    return execute("neg", (x,), (mask,))


def scm_pow_torch(x: Any, y: Any, mask_x: Any = None, mask_y: Any = None) -> tuple[Tensor, Tensor]:
    """x to the real power y; ⊥ where 0 meets a negative exponent, or a negative real base a
    fractional one. 0⁰ = 1.

    Args:
        x, y: payloads, broadcast against each other and the masks; y is real.
        mask_x, mask_y: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape; the payload has the promoted dtype.

    Raises:
        SCMTypeError: a bool or unsupported payload, a complex exponent, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_pow_torch(torch.tensor([-2.0, 0.0]), torch.tensor([3.0, -1.0]))
    (tensor([-8.,  0.]), tensor([False,  True]))
    """
    return execute("pow", (x, y), (mask_x, mask_y))


def scm_log_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """Natural logarithm; ⊥ where a real x ≤ 0, or a complex x = 0.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_log_torch(torch.tensor([1.0, -1.0]))
    (tensor([0., 0.]), tensor([False,  True]))
    """
    return execute("log", (x,), (mask,))


def scm_exp_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """eˣ; ⊥ where it overflows.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_exp_torch(torch.tensor([0.0, 1000.0]))
    (tensor([1., 0.]), tensor([False,  True]))
    """
    return execute("exp", (x,), (mask,))


def scm_sqrt_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """Square root; ⊥ where a real x < 0.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_sqrt_torch(torch.tensor([4.0, -4.0]))
    (tensor([2., 0.]), tensor([False,  True]))
    """
    return execute("sqrt", (x,), (mask,))


def scm_sin_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """Sine of x in radians.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_sin_torch(torch.tensor([0.0, torch.inf]))
    (tensor([0., 0.]), tensor([False,  True]))
    """
    return execute("sin", (x,), (mask,))


def scm_cos_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """Cosine of x in radians.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_cos_torch(torch.tensor([0.0, torch.nan]))
    (tensor([1., 0.]), tensor([False,  True]))
    """
    return execute("cos", (x,), (mask,))


def scm_tan_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """Tangent of x in radians.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast, or an integer beyond float64.

    >>> scm_tan_torch(torch.tensor([0.0, torch.inf]))
    (tensor([0., 0.]), tensor([False,  True]))
    """
    return execute("tan", (x,), (mask,))


def weak_sign_torch(x: Any, mask: Any = None) -> tuple[Tensor, Tensor]:
    """Weak sign: s(⊥) = ⊥, s(0) = 0, else x/|x|.

    Real signs come from a comparison. Complex ones are divided by their larger part before the
    modulus is taken, so neither MAX nor subnormals go wrong.

    Args:
        x: payload, broadcast against the mask.
        mask: True where the operand is ⊥.

    Returns:
        ``(payload, mask)`` of the broadcast shape. The real sign has gradient 0.

    Raises:
        SCMTypeError: a bool or unsupported payload, or a float mask.
        SCMValueError: shapes that do not broadcast.

    >>> weak_sign_torch(torch.tensor([-3.0, 0.0, torch.nan]))
    (tensor([-1.,  0.,  0.]), tensor([False, False,  True]))
    """
    (value,) = operands(("x",), (x,))
    bottom = ~torch.isfinite(value.detach())
    given = mask_tensor("mask", mask, value.device)
    if given is not None:
        value = value.expand(broadcast((value.shape, given.shape), ("x", "mask")))
        bottom = bottom | given
    value = torch.where(bottom, 0.0, value)
    if not value.is_complex():
        return torch.sign(value), bottom
    zero = value.detach() == 0
    value = torch.where(zero, 1.0, value)
    larger = torch.maximum(value.real.abs(), value.imag.abs())
    real, imag = value.real / larger, value.imag / larger
    modulus = torch.sqrt(real * real + imag * imag)
    unit = torch.complex(real / modulus, imag / modulus)
    return torch.where(zero, 0.0, unit), bottom
