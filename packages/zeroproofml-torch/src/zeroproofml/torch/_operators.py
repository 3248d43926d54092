"""The Python operators of ``SCMTensor``, all of them by way of the torch functions it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from zeroproofml.torch.tensor import SCMTensor

__all__ = ["Operators"]


class Operators:
    """Arithmetic and comparisons; a class that inherits them says what ``_apply`` does."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == compares lanes

    if TYPE_CHECKING:  # what a class that inherits them brings; or NotImplemented

        def _apply(self, name: str, *operands: Any) -> SCMTensor: ...

        def _compare(self, name: str, other: object) -> Tensor: ...

    def __add__(self, other: Any) -> SCMTensor:
        return self._apply("add", self, other)

    def __radd__(self, other: Any) -> SCMTensor:
        return self._apply("add", other, self)

    def __sub__(self, other: Any) -> SCMTensor:
        return self._apply("sub", self, other)

    def __rsub__(self, other: Any) -> SCMTensor:
        return self._apply("sub", other, self)

    def __mul__(self, other: Any) -> SCMTensor:
        return self._apply("mul", self, other)

    def __rmul__(self, other: Any) -> SCMTensor:
        return self._apply("mul", other, self)

    def __truediv__(self, other: Any) -> SCMTensor:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: Any) -> SCMTensor:
        return self._apply("div", other, self)

    def __pow__(self, other: Any) -> SCMTensor:
        return self._apply("pow", self, other)

    def __rpow__(self, other: Any) -> SCMTensor:
        return self._apply("pow", other, self)

    def __matmul__(self, other: Any) -> SCMTensor:
        return self._apply("matmul", self, other)

    def __rmatmul__(self, other: Any) -> SCMTensor:
        return self._apply("matmul", other, self)

    def __neg__(self) -> SCMTensor:
        return self._apply("neg", self)

    def __pos__(self) -> SCMTensor:
        return self._apply("positive", self)

    def __abs__(self) -> SCMTensor:
        return self._apply("abs", self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # a mask, as torch gives
        return self._compare("eq", other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]  # a mask, as torch gives
        return self._compare("ne", other)

    def __lt__(self, other: Any) -> Tensor:
        return self._compare("lt", other)

    def __le__(self, other: Any) -> Tensor:
        return self._compare("le", other)

    def __gt__(self, other: Any) -> Tensor:
        return self._compare("gt", other)

    def __ge__(self, other: Any) -> Tensor:
        return self._compare("ge", other)
