"""The one door to the file system: links, pipes and swaps never get through it."""

import ast
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from zeroproofml.report import _fs
from zeroproofml.report._fs import Tree, hooked
from zeroproofml.report.contract.strict_json import sha256
from zeroproofml.report.errors import FileInvalid, StorageError, ZeroProofError

posix = pytest.mark.skipif(os.name != "posix", reason="needs links and pipes of POSIX")


@pytest.fixture(params=[True, False], ids=["openat", "by path"])
def tree(tmp_path, request, monkeypatch):
    """A tree; the second kind is the stated fallback of systems without ``openat``."""
    monkeypatch.setattr(_fs, "_HAS_DIR_FD", request.param and _fs._HAS_DIR_FD)
    root = tmp_path / "run"
    root.mkdir()
    return Tree(root)


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim.txt"
    path.write_bytes(b"secret")
    return path


def test_write_read_hash_list(tree):
    tree.write("a/b/c.txt", b"hello")
    tree.write("a/b/c.txt", b"hello again")
    assert tree.read("a/b/c.txt") == b"hello again"
    size, sha = tree.hash("a/b/c.txt")
    assert size == 11
    assert sha.startswith("sha256:")
    assert [(e.name, e.kind) for e in tree.names("a")] == [("b", "dir")]
    assert [e.name for e in tree.names("a/b")] == ["c.txt"]
    assert tree.kind("a/b/c.txt") == "file"
    assert tree.kind("nothing") is None
    assert tree.names("nothing") == []
    assert tree.stat("nothing") is None


def test_append_and_truncate(tree):
    tree.append("j", b"one\n")
    tree.append("j", b"two\n")
    assert tree.read("j") == b"one\ntwo\n"
    tree.truncate("j", 4)
    assert tree.read("j") == b"one\n"


def test_rename_never_replaces(tree):
    tree.write("a", b"1")
    tree.write("b", b"2")
    with pytest.raises(FileInvalid, match="exists"):
        tree.rename("a", "b")
    tree.rename("a", "new/c")
    assert tree.read("new/c") == b"1"
    with pytest.raises(FileInvalid):
        tree.rename("gone", "d")


def test_limits_and_absence(tree):
    tree.write("a", b"12345")
    with pytest.raises(FileInvalid) as caught:
        tree.read("a", limit=4)
    assert caught.value.code == "size"
    assert tree.read("a", limit=5) == b"12345"
    for call in (tree.read, tree.hash):
        with pytest.raises(FileInvalid) as caught:
            call("nothing/at/all")
        assert caught.value.code == "missing"


@posix
@pytest.mark.parametrize("call", ["read", "hash", "append", "write", "truncate"])
@pytest.mark.parametrize("kind", ["link", "dangling", "dir link", "pipe", "dir", "loop"])
def test_nothing_but_a_regular_file(tree, victim, call, kind):
    target = tree.path / "x"
    if kind == "link":
        target.symlink_to(victim)
    elif kind == "dangling":
        target.symlink_to(tree.path / "nowhere")
    elif kind == "dir link":
        target.symlink_to(tree.path.parent)
    elif kind == "loop":
        target.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
    arguments = {"append": (b"!",), "write": (b"!",), "truncate": (0,)}.get(call, ())
    with pytest.raises(ZeroProofError):
        getattr(tree, call)("x", *arguments)
    assert victim.read_bytes() == b"secret"
    assert not (tree.path / "nowhere").exists()
    assert [entry.name for entry in tree.path.iterdir()] == ["x"]


@posix
@pytest.mark.parametrize("call", ["read", "write", "append", "makedirs", "names", "rename"])
def test_no_component_may_be_a_link(tree, tmp_path, call):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"secret")
    (tree.path / "d").symlink_to(outside)
    tree.write("mine", b"1")
    with pytest.raises(FileInvalid) as caught:
        {
            "read": lambda: tree.read("d/f"),
            "write": lambda: tree.write("d/new", b""),
            "append": lambda: tree.append("d/f", b"!"),
            "makedirs": lambda: tree.makedirs("d/e"),
            "names": lambda: tree.names("d"),
            "rename": lambda: tree.rename("mine", "d/mine"),
        }[call]()
    assert caught.value.code == "path_unsafe"
    assert [entry.name for entry in outside.iterdir()] == ["f"]
    assert (outside / "f").read_bytes() == b"secret"


@posix
def test_removing_a_tree_removes_links_and_not_their_targets(tree, tmp_path, victim):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_bytes(b"1")
    tree.write("t/a/b", b"1")
    (tree.path / "t/a/link").symlink_to(outside)
    (tree.path / "t/file").symlink_to(victim)
    tree.remove_tree("t")
    assert tree.kind("t") is None
    assert (outside / "keep").exists()
    assert victim.exists()
    (tree.path / "top").symlink_to(outside)
    tree.remove_tree("top")
    assert (outside / "keep").exists()
    tree.remove_tree("never there")


@posix
def test_the_root_may_not_be_a_link(tree, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tree.path)
    with pytest.raises(FileInvalid) as caught:
        Tree(link)
    assert caught.value.code == "path_unsafe"
    for path in (tmp_path / "nothing", tmp_path / ("x" * 5000), "a\0b"):
        with pytest.raises(ZeroProofError):
            Tree(path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileInvalid):
        Tree(tmp_path / "file")


@pytest.mark.parametrize("path", ["..", "../victim.txt", "a/../../victim.txt", "/etc/passwd", "."])
def test_paths_stay_inside(tree, victim, path):
    for call in (lambda: tree.read(path), lambda: tree.write(path, b"!")):
        with pytest.raises(ZeroProofError):
            call()
    assert victim.read_bytes() == b"secret"


@posix
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_swap_between_check_and_open(tmp_path, victim, what):
    """T28: the descriptor walk refuses what was put in place after it looked."""
    root = tmp_path / "run"
    root.mkdir()
    tree = Tree(root)
    tree.write("d/f", b"mine")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"secret")
    original = _fs._Dir.lstat
    swapped = []

    def swapping(self, name):
        seen = original(self, name)
        if not swapped and name == ("f" if what == "file" else "d"):
            swapped.append(name)
            shutil.move(root / "d", tmp_path / "moved")
            if what == "file":
                (root / "d").mkdir()
                (root / "d").rename(tmp_path / "unused")
                (tmp_path / "moved" / "f").unlink()
                (tmp_path / "moved" / "f").symlink_to(victim)
            else:
                (root / "d").symlink_to(tmp_path / "outside")
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fs._Dir, "lstat", swapping)
        with pytest.raises(ZeroProofError) as caught:
            tree.read("d/f")
    assert swapped
    assert getattr(caught.value, "code", "") == "path_unsafe"


def test_a_failed_write_keeps_the_old_file(tree):
    tree.write("a", b"old")
    for failing in ("open", "write", "fsync", "replace"):

        def fail(operation, path, action, arguments, failing=failing):
            if operation == failing:
                raise OSError(28, "No space left on device")
            return action(*arguments)

        with hooked(fail), pytest.raises(StorageError, match="No space left") as caught:
            tree.write("a", b"new")
        assert caught.value.exit_code == 1
        assert caught.value.path == "a"
        assert tree.read("a") == b"old"
        assert [entry.name for entry in tree.names()] == ["a"]


def test_a_write_syncs_file_then_directory(tree):
    seen, before = [], _fs._hook

    def watch(operation, path, action, arguments):
        seen.append(operation)
        return action(*arguments)

    with hooked(watch):
        tree.write("a", b"1")
    assert _fs._hook is before
    steps = [op for op in seen if op in ("open", "write", "fsync", "replace")]
    expected = ["open", "write", "fsync", "replace"]
    assert steps == [*expected, "fsync"] if _fs._HAS_DIR_FD else expected


def settle(monkeypatch):
    """Let the clock run on, so that what was written before counts as long ago."""
    time.sleep(0.05)  # the next write falls into another tick of the file system's clock
    now = time.time_ns()
    monkeypatch.setattr(_fs.time, "time_ns", lambda: now + 60 * 10**9)


def reads_of(call):
    seen = []

    def watch(operation, path, action, arguments):
        seen.append(operation)
        return action(*arguments)

    with hooked(watch):
        call()
    return seen.count("read")


def test_a_file_that_has_long_stood_is_hashed_once(tree, monkeypatch):
    tree.write("a", b"one")
    assert reads_of(lambda: tree.hash("a")) > 0
    assert reads_of(lambda: tree.hash("a")) > 0  # it may still be written to, within one tick
    settle(monkeypatch)
    first = tree.hash("a")
    assert (reads_of(lambda: tree.hash("a")) == 0) == _fs._HAS_DIR_FD
    assert tree.hash("a") == first == (3, sha256(b"one"))


def test_a_change_that_hides_its_times_is_seen(tree, monkeypatch):
    tree.write("a", b"one")
    settle(monkeypatch)
    tree.hash("a")
    before = (tree.path / "a").stat()
    (tree.path / "a").write_bytes(b"two")
    os.utime(tree.path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert tree.hash("a") == (3, sha256(b"two"))


def test_a_change_while_it_is_hashed_is_not_kept(tree, monkeypatch):
    tree.write("a", b"one")
    settle(monkeypatch)

    def meanwhile(operation, path, action, arguments):
        data = action(*arguments)
        if operation == "read":
            (tree.path / "a").write_bytes(b"two")
        return data

    with hooked(meanwhile):
        tree.hash("a")
    assert tree.hash("a") == (3, sha256(b"two"))


def test_create_is_exclusive(tmp_path):
    made = Tree.create(tmp_path / "a" / "b")
    assert made.names() == []
    with pytest.raises(FileExistsError):
        Tree.create(tmp_path / "a" / "b")


def test_two_workers_may_make_the_same_parent(tree):
    def overtaken(operation, path, action, arguments):
        if operation == "mkdir":
            (tree.path / path).mkdir()
        return action(*arguments)

    with hooked(overtaken):
        tree.makedirs("work/seed_1")
    assert (tree.path / "work" / "seed_1").is_dir()


def test_a_file_in_the_place_of_a_parent_is_refused(tree):
    def squatted(operation, path, action, arguments):
        if operation == "mkdir":
            (tree.path / path).write_bytes(b"")
        return action(*arguments)

    with hooked(squatted), pytest.raises(StorageError, match="mkdir failed: File exists"):
        tree.makedirs("work")


def test_free_bytes(tmp_path):
    assert _fs.free_bytes(tmp_path / "not" / "yet") > 0


@posix
def test_directories_of_the_workspace_are_private(tree):
    tree.makedirs(".zpml", 0o700)
    assert stat.S_IMODE((tree.path / ".zpml").stat().st_mode) == 0o700


CALLS = {"open", "rename", "replace", "unlink", "read_bytes", "write_bytes", "read_text"}
ROOM = ("rundir", "journal", "replay", "seeddir", "_seal", "_validate", "_verify", "_recompute")


@pytest.mark.parametrize("name", ROOM)
def test_only_this_module_touches_files(name):
    source = (Path(_fs.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "open"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            if node.func.attr in CALLS:
                assert owner in ("self.tree", "tree", "RunWriter") or "cls" in owner, owner


def test_no_reader_and_no_writer_pickles():
    for file in sorted(Path(_fs.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {"pickle", "marshal", "shelve"} & {a.name for a in node.names}, file
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("pickle", "marshal", "shelve"), file
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("np.load", "numpy.load", "np.save", "np.savez"), file
                assert not any(
                    keyword.arg == "allow_pickle" and getattr(keyword.value, "value", 1)
                    for keyword in node.keywords
                ), file
