"""Fixtures of the torch suite."""

import warnings

import pytest
import torch

from zeroproofml.torch import _eager

UNARY = ("inv", "neg", "log", "exp", "sqrt", "sin", "cos", "tan")
BINARY = ("add", "sub", "mul", "div", "pow")


@pytest.fixture(scope="session", autouse=True)
def _forward_mode_is_loaded():
    """Load torch's forward-mode decompositions once: torch 2.13 warns about its own jit.script."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))


@pytest.fixture(scope="session")
def _inductor_is_loaded():
    """Load the code generator once: torch 2.13 warns about its own torch.jit while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.compile(torch.sin, fullgraph=True)(torch.zeros(2))


@pytest.fixture
def compiling(_inductor_is_loaded):
    """A compiler without memory: dynamo ends fullgraph after 8 recompilations of one function."""
    torch._dynamo.reset()
    yield torch.compile
    torch._dynamo.reset()


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(params=UNARY + BINARY)
def name(request):
    """Each of the thirteen operations."""
    return request.param


@pytest.fixture
def arity(name):
    return 2 if name in BINARY else 1


@pytest.fixture
def op(name):
    from zeroproofml.torch import ops

    return getattr(ops, f"scm_{name}_torch")


@pytest.fixture(params=["shortcut", "function", "composition"])
def form(request, monkeypatch):
    """Every form of an operation.

    The composition is what torch.compile traces, here run eagerly; the shortcut is what dense CPU
    tensors take where it applies, and "function" is eager mode without it.
    """
    if request.param == "composition":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    if request.param == "function":
        monkeypatch.setattr(_eager, "is_plain", lambda *tensors: False)
    return request.param
