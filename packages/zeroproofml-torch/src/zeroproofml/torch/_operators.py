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

    def _apply(self, name: str, *operands: Any) -> Any:
        raise NotImplementedError

    def __add__(self, other: Any) -> SCMTensor:
        return self._apply("add", self, other)  # type: ignore[no-any-return]  # or NotImplemented

    def __radd__(self, other: Any) -> SCMTensor:
        return self._apply("add", other, self)  # type: ignore[no-any-return]

    def __sub__(self, other: Any) -> SCMTensor:
        return self._apply("sub", self, other)  # type: ignore[no-any-return]  # or NotImplemented

    def __rsub__(self, other: Any) -> SCMTensor:
        return self._apply("sub", other, self)  # type: ignore[no-any-return]

    def __mul__(self, other: Any) -> SCMTensor:
        return self._apply("mul", self, other)  # type: ignore[no-any-return]  # or NotImplemented

    def __rmul__(self, other: Any) -> SCMTensor:
        return self._apply("mul", other, self)  # type: ignore[no-any-return]

    def __truediv__(self, other: Any) -> SCMTensor:
        return self._apply("div", self, other)  # type: ignore[no-any-return]  # or NotImplemented

    def __rtruediv__(self, other: Any) -> SCMTensor:
        return self._apply("div", other, self)  # type: ignore[no-any-return]

    def __pow__(self, other: Any) -> SCMTensor:
        return self._apply("pow", self, other)  # type: ignore[no-any-return]  # or NotImplemented

    def __rpow__(self, other: Any) -> SCMTensor:
        return self._apply("pow", other, self)  # type: ignore[no-any-return]

    def __matmul__(self, other: Any) -> SCMTensor:
        return self._apply("matmul", self, other)  # type: ignore[no-any-return]  # or NotImplemented

    def __rmatmul__(self, other: Any) -> SCMTensor:
        return self._apply("matmul", other, self)  # type: ignore[no-any-return]

    def __neg__(self) -> SCMTensor:
        return self._apply("neg", self)  # type: ignore[no-any-return]

    def __pos__(self) -> SCMTensor:
        return self._apply("positive", self)  # type: ignore[no-any-return]

    def __abs__(self) -> SCMTensor:
        return self._apply("abs", self)  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # a mask, as torch gives
        return self._apply("eq", self, other)  # type: ignore[no-any-return]

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]  # a mask, as torch gives
        return self._apply("ne", self, other)  # type: ignore[no-any-return]

    def __lt__(self, other: Any) -> Tensor:
        return self._apply("lt", self, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> Tensor:
        return self._apply("le", self, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> Tensor:
        return self._apply("gt", self, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> Tensor:
        return self._apply("ge", self, other)  # type: ignore[no-any-return]
