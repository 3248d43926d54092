"""The executor: one row of ``OPS`` on torch tensors, in two forms with the same values.

Eager mode and ``torch.func`` run one ``autograd.Function`` per row: forward computes once, tests
once and fills in place, and pays nothing for derivatives that nobody takes. ``torch.compile``
refuses a Function that defines ``jvp``, and without it forward mode fails; so under compilation the
same row runs as a composition of ordinary operations, which the compiler fuses. Which form runs is
decided by ``torch.compiler.is_compiling()``, a query that tracing folds away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled, unpack_dual

from zeroproofml.torch import _eager
from zeroproofml.torch._arguments import broadcast, mask_tensor, operands
from zeroproofml.torch._rules import RULES, Rule

__all__ = ["apply", "execute", "primal", "to_front"]


def to_front(value: Tensor, dim: int | None, dims: int) -> Tensor:
    """The batch axis of vmap first (of size 1 if there is none), then ``dims`` axes, 1 where missing."""
    value = value.unsqueeze(0) if dim is None else value.movedim(dim, 0)
    return value.reshape(value.shape[0], *(1,) * (dims + 1 - value.dim()), *value.shape[1:])


def primal(value: Tensor) -> Tensor:
    """A tensor without its tangent at the current level of forward mode, keeping outer levels."""
    found: Tensor = unpack_dual(value).primal  # type: ignore[no-untyped-call]  # untyped in torch
    return found


def _function(rule: Rule) -> type[torch.autograd.Function]:
    """The autograd.Function of a row."""
    arity = rule.op.arity
    keep = tuple(used or rule.op.hazard is not None for used in rule.uses)

    def saved(ctx: Any) -> tuple[list[Any], Tensor, Tensor]:
        tensors = list(ctx.saved_tensors)
        return [tensors.pop(0) if kept else None for kept in keep], tensors[0], tensors[1]

    def off_lanes(values: list[Any], result: Tensor, bottom: Tensor) -> Tensor:
        """⊥ lanes and hazards: every partial derivative there is 0."""
        detached = tuple(None if value is None else value.detach() for value in values)
        hazard = rule.hazard(detached, result.detach())
        return bottom if hazard is None else bottom | hazard

    def safe(values: list[Any], off: Tensor) -> list[Any]:
        return [
            torch.where(off, at, value) if used else None
            for value, at, used in zip(values, rule.op.safe, rule.uses, strict=True)
        ]

    class Row(torch.autograd.Function):
        @staticmethod
        def forward(mask: Tensor | None, *values: Tensor) -> tuple[Tensor, Tensor]:
            found = _eager.run(rule.op, rule.kernel, mask, values)
            if found is not None:
                return found
            result = rule.kernel(*values)
            probe = rule.probe(result, *values)
            bottom = probe != probe
            if mask is not None:
                bottom = bottom | mask
            return result.masked_fill_(bottom, 0.0), bottom

        @staticmethod
        def vmap(
            info: Any, in_dims: tuple[int | None, ...], mask: Tensor | None, *values: Tensor
        ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
            # Written out, since torch's generated rule would put batched tensors into jvp, where
            # their tangents cannot be unpacked. The operations are elementwise: one axis more.
            size, dims = info.batch_size, values[0].dim() - (in_dims[1] is not None)
            moved = [
                to_front(value, dim, dims).expand(size, *(-1,) * dims)
                for value, dim in zip(values, in_dims[1:], strict=True)
            ]
            if mask is not None:
                mask = to_front(mask, in_dims[0], dims)
            return Row.apply(mask, *moved), (0, 0)  # type: ignore[no-untyped-call]  # untyped in torch

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            result, bottom = output
            ctx.mark_non_differentiable(bottom)
            ctx.set_materialize_grads(False)
            kept = [value for value, keeps in zip(inputs[1:], keep, strict=True) if keeps]
            ctx.save_for_backward(*kept, result, bottom)
            ctx.save_for_forward(*kept, result, bottom)

        @staticmethod
        def backward(ctx: Any, grad: Tensor | None, _: Any) -> Any:
            if grad is None:
                return (None,) * (arity + 1)
            values, result, bottom = saved(ctx)
            needs = ctx.needs_input_grad[1:]
            again = torch.is_grad_enabled()
            if rule.op.name == "div" and not again:
                pair = _eager.quotient_gradient(grad, values[1], result, bottom, needs[1])
                if pair is not None:
                    return None, pair[0] if needs[0] else None, pair[1]
            off = off_lanes(values, result, bottom)
            if again:
                # Someone will differentiate this: operands are replaced before the arithmetic.
                grad = torch.where(off, 0.0, grad)
                values = safe(values, off)
                result = torch.where(off, 1.0, result) if rule.uses_result else result
            conjugate = [None if value is None else value.conj() for value in values]
            seeds = tuple(grad if need else None for need in needs)
            terms = rule.terms(seeds, tuple(conjugate), result.conj())
            grads: list[Tensor | None] = [None]
            for term, real in zip(terms, _real_places(rule, result), strict=True):
                if term is not None and not again:
                    term = torch.where(off, 0.0, term)
                grads.append(term.real if term is not None and real else term)
            return tuple(grads)

        @staticmethod
        def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> Any:
            # torch calls this with forward mode switched off, and a jvp of a jvp would be a silent
            # 0. Switched on, the saved operands must shed the tangents of this very level.
            with _set_fwd_grad_enabled(True):
                values, result, bottom = saved(ctx)
                values = [None if v is None else primal(v) for v in values]
                off = off_lanes(values, result, bottom)
                seeds = tuple(None if t is None else torch.where(off, 0.0, t) for t in tangents)
                result = torch.where(off, 1.0, result)
                terms = rule.terms(seeds, tuple(safe(values, off)), result)
                total = None
                for term in terms:
                    if term is not None:
                        total = term if total is None else total + term
                return total, None

    Row.__name__ = Row.__qualname__ = f"scm_{rule.op.name}"
    return Row


def _real_places(rule: Rule, result: Tensor) -> tuple[bool, ...]:
    """Which gradients belong to a real operand of a complex operation (pow's exponent)."""
    if rule.op.name == "pow":
        return False, result.is_complex()
    return (False,) * rule.op.arity


_FUNCTIONS: Mapping[str, type[torch.autograd.Function]] = {
    name: _function(rule) for name, rule in RULES.items()
}


def _compose(rule: Rule, mask: Tensor | None, values: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The row as ordinary operations: probe detached, replace, operate, put constants back."""
    op = rule.op
    still = tuple(value.detach() for value in values)
    is_complex = values[0].is_complex()
    bottom = ~torch.isfinite(still[0])
    for value in still[1:]:
        bottom = bottom | ~torch.isfinite(value)
    for _, fault in op.faults:
        bottom = bottom | fault(torch, is_complex, *still)
    if mask is not None:
        bottom = bottom | mask
    still = tuple(torch.where(bottom, at, v) for v, at in zip(still, op.safe, strict=True))
    constant = rule.kernel(*still)
    overflow = ~torch.isfinite(constant)
    bottom = bottom | overflow
    off = bottom
    if op.hazard is not None:
        off = off | op.hazard(torch, is_complex, *still, constant)
    plain: Any = _PLAIN.get(op.name, rule.kernel)
    if not is_complex or op.name not in _PLAIN:
        replaced = tuple(torch.where(off, at, v) for v, at in zip(values, op.safe, strict=True))
        return torch.where(off, torch.where(bottom, 0.0, constant), plain(*replaced)), bottom
    # torch's own complex quotient and power give the derivative, the kernel gives the value. Where
    # the former leave the numbers, or a modulus does, a representable value is a constant.
    off = off | ~torch.isfinite(plain(*still)) | ~torch.isfinite(still[-1].abs())
    replaced = tuple(torch.where(off, at, v) for v, at in zip(values, op.safe, strict=True))
    slope = plain(*replaced)
    return torch.where(bottom, 0.0, constant + (slope - slope.detach())), bottom


def _composed_power(x: Tensor, e: Tensor) -> Tensor:
    """x**e whose derivative by e is 0 for x < 0, where torch's own is NaN."""
    if x.is_complex():
        zero = x == 0
        # torch's forward mode drops the imaginary part of the derivative by a real exponent.
        exponent = torch.where(zero, 0.0, e).to(x.dtype)
        power = torch.pow(torch.where(zero, 1.0, x), exponent)
        return torch.where(zero, (e == 0).to(power.dtype), power)
    negative, zero = x < 0, x == 0
    fixed = e.detach()
    odd = fixed != 2 * torch.floor(fixed / 2)
    size = torch.where(zero, 1.0, torch.where(negative, -x, x))
    power = torch.pow(size, torch.where(negative, fixed, e))
    power = torch.where(negative & odd, -power, power)
    # At 0 torch's second derivative is 0·inf; there x**e is x, x·x, or flat to second order.
    flat = torch.where(fixed == 1, x, torch.where(fixed == 2, x * x, 0.0))
    return torch.where(zero, flat, power)


_PLAIN = {"div": torch.divide, "inv": torch.reciprocal, "pow": _composed_power}


def apply(rule: Rule, mask: Tensor | None, *values: Tensor) -> tuple[Tensor, Tensor]:
    """Run a row on tensors of one shape, dtype and device."""
    if torch.compiler.is_compiling():
        return _compose(rule, mask, values)
    if not (torch.is_grad_enabled() and any(value.requires_grad for value in values)):
        found = _eager.run(rule.op, rule.kernel, mask, values)
        if found is not None:  # nobody differentiates: a Function costs more than ten lanes
            return found
    result: tuple[Tensor, Tensor] = _FUNCTIONS[rule.op.name].apply(mask, *values)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return result


def execute(name: str, payloads: tuple[Any, ...], masks: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """Run the operation ``name`` on whatever a caller passed; see the public functions."""
    rule = RULES[name]
    if rule.op.arity == 1:
        names: tuple[str, ...] = ("x",)
        mask_names: tuple[str, ...] = ("mask",)
    else:
        names, mask_names = ("x", "y"), ("mask_x", "mask_y")
    values = operands(names, payloads, real_last=name == "pow")
    device = values[0].device
    given = [
        mask_tensor(label, mask, device) for label, mask in zip(mask_names, masks, strict=True)
    ]
    shapes = [value.shape for value in values]
    labels = list(names)
    mask: Tensor | None = None
    for label, each in zip(mask_names, given, strict=True):
        if each is not None:
            shapes.append(each.shape)
            labels.append(label)
    shape = shapes[0]
    if any(other != shape for other in shapes[1:]):
        shape = torch.Size(broadcast(shapes, labels))
        values = tuple(value.expand(shape) for value in values)
    for each in given:
        if each is not None:
            mask = each if mask is None else mask | each
    return apply(rule, mask, *values)
