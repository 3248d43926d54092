"""The pytest plugin, in processes of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zeroproofml.scm.testing import load_cases

N = len(load_cases())


def _pytest(folder, *args):
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:benchmark",
        *args,
    ]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_one_test_per_case(tmp_path):
    done = _pytest(tmp_path, "--scm-backend=zeroproofml.scm.ops:scm_{op}_numpy")
    assert done.returncode == 0, done.stdout
    assert f"{N} passed" in done.stdout


def test_a_strangers_backend_that_is_wrong_fails_and_says_where(tmp_path):
    (tmp_path / "stranger.py").write_text(
        """
import numpy as np
from zeroproofml.scm import ops
from zeroproofml.scm.optable import OPS

def _wrap(name):
    def run(*args, **kwargs):
        payload, mask = getattr(ops, f"scm_{name}_numpy")(*args, **kwargs)
        return (payload * 2 if name == "cos" and payload.ndim else payload), mask
    return run

for _name in OPS:
    globals()[f"my_{_name}"] = _wrap(_name)
""",
        encoding="utf-8",
    )
    (tmp_path / "conftest.py").write_text(
        "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parent))\n",
        encoding="utf-8",
    )
    done = _pytest(tmp_path, "--scm-backend=stranger:my_{op}")
    cosines = sum(c.op == "cos" and not c.raises for c in load_cases())
    failed = int(done.stdout.rsplit(" failed", 1)[0].rsplit(maxsplit=1)[-1])
    assert done.returncode == 1
    assert 0 < failed <= cosines
    assert "scm-conformance[stranger-cos" in done.stdout
    assert "payload" in done.stdout
    assert "Traceback" not in done.stdout


def test_cases_can_be_chosen_by_name(tmp_path):
    done = _pytest(
        tmp_path, "--scm-backend=zeroproofml.scm.ops:scm_{op}_numpy", "-k", "tan-float32"
    )
    chosen = sum(c.op == "tan" and c.dtype == "float32" for c in load_cases())
    assert f"{chosen} passed" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("zeroproofml.scm.ops", "pattern"),
        ("nowhere_at_all:scm_{op}", "nowhere_at_all"),
        ("zeroproofml.scm.ops:other_{op}", "other_add"),
    ],
)
def test_a_target_that_cannot_be_used_is_a_usage_error(tmp_path, target, said):
    done = _pytest(tmp_path, f"--scm-backend={target}")
    assert done.returncode == 4
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_the_option_nothing_happens_and_numpy_stays_out(tmp_path):
    (tmp_path / "test_one.py").write_text(
        "import sys\n\ndef test_one():\n    assert 'zeroproofml.scm.testing.plugin' in sys.modules\n"
        "    assert 'numpy' not in sys.modules\n",
        encoding="utf-8",
    )
    done = _pytest(tmp_path, "-p", "no:hypothesispytest")
    assert "1 passed" in done.stdout, done.stdout
