"""Mathematics written once, over an array namespace.

Every function takes keyword-only ``xp``: ``numpy``, ``torch`` or ``jax.numpy``. With NumPy no
function ever warns. Derivatives are finite by construction: operands are replaced *before* a root,
a division or an exponential, at the lanes where its derivative is not finite, never afterwards.
``stop_gradient`` is the framework's (``torch.Tensor.detach``, ``jax.lax.stop_gradient``); leave it
out with NumPy.

The modules: ``projective`` (tuples and targets), ``basis`` and ``rational``, ``losses``, ``strict``
(strict inference), ``norm`` (normalisation and softmax), ``parts`` (complex quotient and power).
"""
