"""Identities: code, environment, source; nothing that names a person or a machine."""

import getpass
import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from zeroproofml.benchmarks import hardware, provenance
from zeroproofml.report.contract.strict_json import digest

CONFIG = {"threads": 1, "device": "cpu"}


def _package(home: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return home


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Our packages replaced by small folders that a test may change."""
    homes = {
        name: _package(
            tmp_path / name,
            {
                "__init__.py": "1",
                "a/b.py": "2",
                "contract/c.py": "3",
                "domains/d.json": "{}",
                "pages/p.py": "4",
            },
        )
        for name in ("scm", "torch", "jax", "benchmarks", "report")
    }
    monkeypatch.setattr(provenance, "package_folder", homes.get)
    return homes


def test_code_is_the_digest_of_sorted_paths_and_hashes(packages):
    import hashlib

    rows = [
        [name, hashlib.sha256(text.encode()).hexdigest()]
        for name, text in (("contract/c.py", "3"), ("domains/d.json", "{}"))
    ]
    assert provenance.code()["zeroproofml-report"] == digest(rows)


@pytest.mark.parametrize(
    ("package", "file", "counts"),
    [
        ("report", "contract/c.py", True),
        ("report", "domains/d.json", True),
        ("report", "pages/p.py", False),
        ("scm", "a/b.py", True),
        ("benchmarks", "__init__.py", True),
        ("torch", "new.py", True),
        ("scm", "__pycache__/x.pyc", False),
        ("jax", "a/b.py", False),
    ],
)
def test_code_sees_what_can_change_a_raw_byte_and_nothing_else(packages, package, file, counts):
    before = provenance.code()
    _package(packages[package], {file: "changed"})
    assert (provenance.code() != before) is counts


def test_jax_counts_where_a_domain_uses_it(packages):
    assert "zeroproofml-jax" not in provenance.code(("torch",))
    assert "zeroproofml-jax" in provenance.code(("torch", "jax"))


def test_environment_identity_leaves_out_what_cannot_change_a_byte(monkeypatch):
    before = provenance.environment(CONFIG).identity.digest()
    monkeypatch.setattr(hardware, "_cpu_model", lambda: "another processor")
    monkeypatch.setattr(platform, "node", lambda: "another host")
    monkeypatch.setenv("LANG", "xx")
    assert provenance.environment(CONFIG).identity.digest() == before


def test_environment_identity_holds_threads_and_versions(monkeypatch):
    before = provenance.environment(CONFIG).identity
    assert before.digest() != provenance.environment({**CONFIG, "threads": 2}).identity.digest()
    real = provenance._packages
    monkeypatch.setattr(provenance, "_packages", lambda: {**real(), "numpy": "0.0"})
    after = provenance.environment(CONFIG).identity
    assert after.packages["numpy"] == "0.0"
    assert after.digest() != before.digest()


def test_environment_names_no_person_no_machine_and_no_secret(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "hunter2-secret")
    monkeypatch.setenv("ZPML_NOTE", "kept")
    monkeypatch.setattr(platform, "node", lambda: "very-private-host")
    made = provenance.environment(CONFIG)
    text = json.dumps(made.plain())
    assert "hunter2-secret" not in text
    assert "very-private-host" not in text
    assert str(Path.home()) not in text
    assert made.env["ZPML_NOTE"] == "kept"
    assert made.env["OMP_NUM_THREADS"] == "1"
    user = getpass.getuser()
    assert f'"{user}"' not in text


def test_unknown_is_null_with_a_reason(monkeypatch):
    monkeypatch.setattr(hardware, "_cpu_model", lambda: None)
    made = provenance.environment(CONFIG)
    assert made.system.cpu_model is None
    assert made.reasons["system.cpu_model"] == "missing"


def _git(home, *args):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *args],
        cwd=home,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(tmp_path):
    home = tmp_path / "repo"
    home.mkdir()
    _git(home, "init", "-q")
    (home / "other.txt").write_text("theirs")
    _git(home, "add", "other.txt")
    _git(home, "commit", "-qm", "theirs")
    return home


def test_a_surrounding_repository_is_never_reported(repository, monkeypatch):
    # T26: our files lie inside somebody's checkout, which does not track them.
    home = _package(repository / "venv" / "benchmarks", {"__init__.py": ""})
    monkeypatch.setattr(provenance, "package_folder", lambda name: home)
    monkeypatch.setattr(provenance, "_recorded_commit", lambda: None)
    made = provenance.source()
    assert (made.commit, made.dirty, made.diff_sha256, made.how) == (None, None, None, None)
    assert set(made.reasons.values()) == {"installed"}


def test_our_own_checkout_is_reported_with_its_changes(repository, monkeypatch):
    home = _package(repository / "benchmarks", {"__init__.py": ""})
    monkeypatch.setattr(provenance, "package_folder", lambda name: home)
    monkeypatch.setattr(provenance, "_recorded_commit", lambda: None)
    _git(repository, "add", "benchmarks")
    _git(repository, "commit", "-qm", "ours")
    clean = provenance.source()
    assert (clean.how, clean.dirty, clean.diff_sha256) == ("git", False, None)
    assert len(clean.commit) == 40
    (repository / "other.txt").write_text("not ours")
    assert provenance.source().dirty is False
    (home / "__init__.py").write_text("changed")
    changed = provenance.source()
    assert changed.dirty is True
    assert changed.diff_sha256.startswith("sha256:")


def test_git_variables_of_the_caller_do_not_mislead(repository, monkeypatch):
    home = _package(repository / "benchmarks", {"__init__.py": ""})
    monkeypatch.setenv("GIT_DIR", str(Path(__file__).parents[2] / ".git"))
    assert provenance.from_git(home) is None


def test_a_recorded_commit_comes_first(monkeypatch):
    monkeypatch.setattr(provenance, "_recorded_commit", lambda: "a" * 40)
    made = provenance.source()
    assert (made.commit, made.how, made.dirty) == ("a" * 40, "pep610", False)


def test_argv_hides_the_home_folder():
    home = str(Path.home())
    words = ["/usr/bin/zpml-bench", "ik", f"--out-root={home}/runs", f"{home}{os.sep}x", home]
    assert provenance.argv(words) == ["zpml-bench", "ik", "--out-root=~/runs", "~/x", "~"]
    assert provenance.argv([]) == []


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    from zeroproofml.report.errors import UsageError

    monkeypatch.setattr(hardware, "_ask_torch", lambda: {"cuda": None, "gpus": []})
    with pytest.raises(UsageError, match="--device cpu"):
        hardware.choose_device("cuda")
    assert hardware.choose_device("auto") == ("cpu", None)
    seen = {"cuda": "13.0", "gpus": [{"model": "X", "memory_mb": 1000}]}
    monkeypatch.setattr(hardware, "_ask_torch", lambda: seen)
    assert hardware.choose_device("auto") == ("cuda", seen)
    monkeypatch.setattr(hardware, "_driver", lambda: None)
    made = provenance.environment({**CONFIG, "device": "cuda"}, ("torch",), seen)
    assert (made.identity.cuda, made.identity.gpu) == ("13.0", "X")
    assert made.reasons == {"gpu.0.driver": "missing"}
