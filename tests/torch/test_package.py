"""The package as a whole: its names, its examples, what importing it costs."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zeroproofml.torch as package

README = Path(__file__).parents[2] / "packages" / "zeroproofml-torch" / "README.md"
MODULES = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "_version")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"zeroproofml.torch.{name}")
    found = doctest.testmod(module)
    assert found.failed == 0


def test_every_public_function_and_class_has_an_example():
    for name in ("ops", "policy", "inference", "losses", "layers", "tensor", "training"):
        module = importlib.import_module(f"zeroproofml.torch.{name}")
        for public in module.__all__:
            item = getattr(module, public)
            if callable(item) and item.__module__ == module.__name__:
                assert item.__doc__, public
                assert ">>>" in item.__doc__, public


def test_names_are_lazy_and_complete():
    code = (
        "import sys, zeroproofml.torch as t; assert 'torch' not in sys.modules; print(len(dir(t)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_what_the_specification_names_is_exported():
    promised = {
        "SCMTensor",
        "SCMRationalLayer",
        "ProjectiveRationalMultiHead",
        "AngularProjectiveHead",
        "ProjectiveNormalize",
        "SCMNorm",
        "SCMSoftmax",
        "strict_inference",
        "SCMInferenceWrapper",
        "SCMTrainer",
        "TrainerConfig",
        "JsonlLogger",
        "Cause",
        "GradientPolicy",
        "gradient_policy",
        "InferenceConfig",
        "InferenceResult",
        "chordal_loss",
        "oriented_chordal_loss",
        "implicit_loss",
        "margin_loss",
        "sign_consistency_loss",
        "soft_coverage_loss",
        "separation_losses",
        "coverage",
        "rejection_penalty",
        "LossConfig",
        "SCMLoss",
    }
    assert promised <= set(package.__all__)


def test_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one block writes a bundle
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    space = {}
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(README), "exec"), space)
        wanted = re.findall(r"print\(.*\)\s+# (.*)", block)
        assert printed.getvalue().splitlines()[: len(wanted)] == wanted
