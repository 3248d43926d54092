"""How an ``SCMTensor`` is printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from zeroproofml.torch._planes import Planes

__all__ = ["show"]


def show(planes: Planes) -> str:
    """Numbers in the shortest digits of their own precision, ⊥ for bottom, the dtype if not torch's
    default."""
    payload = planes.payload.detach().resolve_conj().cpu()
    dtype = payload.dtype
    numbers = (payload.float() if dtype == torch.bfloat16 else payload).numpy()
    bottom = planes.mask.cpu().numpy()

    def lane(index: Any) -> str:
        return "⊥" if bottom.flat[index] else str(numbers.flat[index])

    if not numbers.ndim:
        body = lane(0)
    else:  # lanes are printed by number, so that a long tensor is cut before it is formatted
        places = np.arange(numbers.size).reshape(numbers.shape)
        body = np.array2string(
            places, separator=", ", prefix="SCMTensor(", formatter={"int_kind": lane}
        )
    shape = f", shape={tuple(numbers.shape)}" if not numbers.size and numbers.ndim > 1 else ""
    default = dtype == torch.get_default_dtype()
    return f"SCMTensor({body}{shape}{'' if default else f', dtype={str(dtype)[6:]}'})"
