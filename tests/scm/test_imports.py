"""What importing the core loads, and what it exports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import zeroproofml.scm as scm

EXPORTS = [
    "SCMValue",
    "BOTTOM",
    "SCMArray",
    "Cause",
    "GradientPolicy",
    "gradient_policy",
    "weak_sign",
    "from_ieee",
    "to_ieee",
    "InferenceConfig",
    "InferenceResult",
    "strict_inference",
    "scm_add",
    "scm_sub",
    "scm_mul",
    "scm_div",
    "scm_pow",
    "scm_inv",
    "scm_neg",
    "scm_log",
    "scm_exp",
    "scm_sqrt",
    "scm_sin",
    "scm_cos",
    "scm_tan",
    "ZeroProofError",
    "SCMTypeError",
    "SCMValueError",
    "BottomError",
    "TrainingError",
    "NamespaceConflict",
    "__version__",
]


def _loaded(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_exports_are_those_of_the_specification():
    assert set(scm.__all__) == set(EXPORTS)
    assert set(dir(scm)) >= set(EXPORTS)
    for name in EXPORTS:
        assert getattr(scm, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = scm.nothing_like_it
    assert not any(name.endswith("_numpy") for name in scm.__all__)


@pytest.mark.parametrize(
    "statement",
    [
        "import zeroproofml.scm",
        "from zeroproofml.scm.errors import ZeroProofError",
        "from zeroproofml.scm import SCMTypeError, NamespaceConflict",
        "import zeroproofml.scm.testing.plugin",
    ],
)
def test_errors_and_plugin_are_reached_without_numpy(statement):
    assert "numpy" not in _loaded(statement)


def test_the_core_imports_nothing_but_numpy():
    loaded = _loaded(
        "from zeroproofml.scm import SCMArray, strict_inference; SCMArray([1.0]).sum()"
    )
    assert "numpy" in loaded
    for package in ("torch", "jax", "pandas", "pyarrow", "scipy", "pydantic", "pytest"):
        assert package not in loaded


def test_a_captured_namespace_is_refused_with_the_mend(tmp_path):
    code = f"""
import sys, types
import zeroproofml
zeroproofml.__file__ = {str(tmp_path / "__init__.py")!r}
try:
    import zeroproofml.scm
except ImportError as error:
    from zeroproofml.scm import errors
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("zeroproofml.scm.errors.NamespaceConflict: ")
    assert "pip uninstall zeroproofml" in last
    assert str(tmp_path) in last
