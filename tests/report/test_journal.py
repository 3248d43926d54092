"""The writer: lock, chain, torn tails, adoption, superseding, reopening, sealing. Section 5."""

import itertools
import json
import os
import subprocess
import sys
import textwrap

import pytest

from zeroproofml.report import _fs
from zeroproofml.report.contract import Deriver, JournalEvent, Provenance, ResumeState
from zeroproofml.report.contract.strict_json import parse, sha256
from zeroproofml.report.errors import (
    FileInvalid,
    ReportError,
    RunInvalid,
    RunLocked,
    UsageError,
    ZeroProofError,
)
from zeroproofml.report.journal import RunWriter
from zeroproofml.report.replay import first_link, read_journal
from zeroproofml.report.rundir import State, run_state, validate_run_dir
from zeroproofml.report.seeddir import read_seed_dir

ENV = "sha256:" + "e" * 64


def events(path):
    return [json.loads(line) for line in (path / "journal.jsonl").read_bytes().splitlines()]


def names(path):
    return [event["event"] for event in events(path)]


def identity(toy):
    return toy.environment().identity.digest()


@pytest.fixture
def started(toy, tmp_path):
    """A run with an open attempt and nothing committed, its writer closed."""
    path = tmp_path / "started"
    with RunWriter.create(path, toy.provenance(), clock=toy.clock) as writer:
        begin(toy, writer, "initial")
    return path


def begin(toy, writer, kind):
    kept = writer.provenance.attempts
    record = writer.provenance.model_copy(
        update={"attempts": (*kept, toy.attempt(writer.attempt + 1, kind, ()))}
    )
    writer.start_attempt(kind, list(toy.seeds), record)


def test_the_order_of_a_fresh_run(toy, tmp_path):
    toy.run(tmp_path / "run")
    assert names(tmp_path / "run") == [
        "created",
        "attempt_started",
        *("seed_started", "seed_committed") * 3,
        "derived",
        "attempt_finished",
        "sealing",
    ]
    assert sorted(p.name for p in (tmp_path / "run/.zpml").iterdir()) == ["lock"]


def test_the_chain(toy_run):
    lines = (toy_run / "journal.jsonl").read_bytes().splitlines()
    first = json.loads(lines[0])
    assert first["prev"] == first_link(first["data"]["run_id"])
    for number, (before, line) in enumerate(itertools.pairwise(lines), 2):
        assert json.loads(line)["prev"] == sha256(before)
        assert json.loads(line)["seq"] == number


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:3] + lines[4:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:2], lines[2].replace(b'"seed":1', b'"seed":2'), *lines[3:]],
        lambda lines: [*lines[:2], b"garbage", *lines[3:]],
        lambda lines: [*lines[:2], b"", *lines[2:]],
        lambda lines: [*lines[:2], b"[]", *lines[3:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[1:],
    ],
)
def test_a_broken_line_in_the_middle_is_never_repaired(started, toy, damage):
    """T18."""
    with RunWriter.open(started, clock=toy.clock) as writer:
        for seed in (1, 2, 3):
            writer.append("seed_started", {"seed": seed})
    lines = (started / "journal.jsonl").read_bytes().splitlines()
    broken = b"".join(line + b"\n" for line in damage(lines))
    (started / "journal.jsonl").write_bytes(broken)
    before = {p: p.stat().st_mtime_ns for p in started.iterdir() if p.name != ".zpml"}
    with pytest.raises(FileInvalid) as caught:
        RunWriter.open(started)
    assert caught.value.exit_code == 5
    assert caught.value.code in ("journal_chain", "schema")
    assert (started / "journal.jsonl").read_bytes() == broken
    assert {p: p.stat().st_mtime_ns for p in started.iterdir() if p.name != ".zpml"} == before
    assert run_state(started) is State.DAMAGED


@pytest.mark.parametrize("tail", [b"{", b'{"a":1', b"\x00" * 40, b"garbage\n", b"\xff\xfe\n"])
def test_a_torn_tail_is_set_aside_and_cut(started, toy, tail):
    """T17."""
    whole = (started / "journal.jsonl").read_bytes()
    (started / "journal.jsonl").write_bytes(whole + tail)
    assert run_state(started) is State.RESUMABLE
    with RunWriter.open(started, clock=toy.clock) as writer:
        assert writer.attempt == 1
    assert names(started)[-1] == "journal_repaired"
    assert events(started)[-1]["data"] == {"bytes": len(tail)}
    assert (started / "journal.jsonl").read_bytes().startswith(whole)
    kept = list((started / ".zpml/quarantine").iterdir())
    assert [p.read_bytes() for p in kept] == [tail]
    assert toy.run(started).status == "complete"


@pytest.mark.parametrize("state", [b"", b"{", b"null", b'{"schema_name":"x"}', None])
def test_a_torn_snapshot_is_rebuilt(started, toy, state):
    path = started / "resume_state.json"
    if state is None:
        path.unlink()
    else:
        path.write_bytes(state)
    assert run_state(started) is State.RESUMABLE
    toy.run(started)
    replay, _ = read_journal((started / "journal.jsonl").read_bytes())
    assert ResumeState.from_bytes(path.read_bytes()) == replay.resume_state()


@pytest.mark.parametrize("name", ["per_seed_result.json", "predictions.npz", "commit.json"])
@pytest.mark.parametrize("damage", ["torn", "gone", "edited", "extra"])
def test_a_damaged_seed_of_an_unsealed_run_is_quarantined_and_rerun(
    toy, make_toy, tmp_path, name, damage
):
    """T3 and T17: the final raw digest is that of a clean run."""
    clean = make_toy().run(tmp_path / "clean")
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        make_toy(derive=lambda run: (_ for _ in ()).throw(KeyboardInterrupt())).run(path)
    target = path / "seed_2" / name
    if damage == "torn":
        target.write_bytes(target.read_bytes()[:50])
    elif damage == "gone":
        target.unlink()
    elif damage == "edited":
        data = bytearray(target.read_bytes())
        data[len(data) // 2] ^= 1
        target.write_bytes(bytes(data))
    else:
        (path / "seed_2" / "more.json").write_bytes(b"{}")
    assert run_state(path) is State.RESUMABLE
    manifest = toy.run(path)
    assert manifest.raw_digest == clean.raw_digest
    assert "seed_quarantined" in names(path)
    event = next(e for e in events(path) if e["event"] == "seed_quarantined")
    assert (path / event["data"]["to"]).is_dir()


def test_a_seed_without_its_event_is_adopted_or_quarantined(toy, make_toy, tmp_path):
    clean = make_toy().run(tmp_path / "clean")
    for code, expected in ((toy.code, "adopted"), ({"zeroproofml-scm": ENV}, "quarantined")):
        path = tmp_path / expected
        with RunWriter.create(path, toy.provenance(), clock=toy.clock) as writer:
            begin(toy, writer, "initial")
            where = toy.work(writer, 1)
            writer._move_shared(read_seed_dir(writer.tree, where, seed=1, staged=True), where)
            writer.tree.rename(where, "seed_1")
        with RunWriter.open(path, clock=toy.clock) as writer:
            done = writer.recover(code, identity(toy))
            assert expected in done[0]
            assert (1 in writer.replay.committed) is (expected == "adopted")
            assert writer.recover(code, identity(toy)) == []
        assert toy.run(path).raw_digest == clean.raw_digest


def test_superseding_keeps_the_other_seeds(toy, make_toy, tmp_path):
    """T22."""
    path = tmp_path / "run"
    first = toy.run(path)
    untouched = (path / "seed_1/predictions.npz").stat().st_ino
    second = make_toy().run(path, "force", [2])
    assert second.generation == 2
    assert second.previous_root == first.root_digest
    assert second.raw_digest == first.raw_digest
    assert second.seeds.complete == (1, 2, 3)
    assert (path / "seed_1/predictions.npz").stat().st_ino == untouched
    assert names(path)[-7:] == [
        "attempt_started",
        "seed_started",
        "superseded",
        "seed_committed",
        "derived",
        "attempt_finished",
        "sealing",
    ]
    assert not (path / ".zpml/old").exists()


def test_a_failed_seed_makes_a_partial_run_that_resumes(make_toy, tmp_path):
    path = tmp_path / "run"
    partial = make_toy(fail=frozenset({2})).run(path)
    assert partial.status == "partial"
    assert partial.seeds.failed == {"2": "exception"}
    assert run_state(path) is State.PARTIAL
    validate_run_dir(path)
    whole = make_toy().run(path)
    assert (whole.status, whole.generation) == ("complete", 2)
    assert whole.raw_digest == make_toy().run(tmp_path / "clean").raw_digest


def test_a_sealed_run_is_not_written_to(toy, toy_run):
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in audited(toy_run)}
    with RunWriter.open(toy_run, clock=toy.clock) as writer:
        assert writer.sealed
        for act in (
            lambda: writer.append("derived"),
            lambda: writer.write_derived({"RUN_REPORT.md": b"x"}),
            lambda: writer.write_provenance(writer.provenance),
            writer.write_resume_state,
            lambda: writer.quarantine(1, "x"),
            lambda: writer.seal(
                Deriver(**parse((toy_run / "manifest.json").read_bytes())["deriver"])
            ),
            lambda: writer.recover(toy.code, ENV),
        ):
            with pytest.raises(ReportError, match="sealed"):
                act()
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in audited(toy_run)} == before
    validate_run_dir(toy_run)


def audited(path):
    return sorted(p for p in path.rglob("*") if ".zpml" not in p.parts and p.is_file())


def test_a_seal_needs_every_planned_seed(toy, tmp_path, toy_run):
    deriver = Deriver(**parse((toy_run / "manifest.json").read_bytes())["deriver"])
    with RunWriter.create(tmp_path / "open", toy.provenance(), clock=toy.clock) as writer:
        begin(toy, writer, "initial")
        writer.adopt_or_commit(1, toy.work(writer, 1))
        with pytest.raises(ReportError, match="seed 2"):
            writer.seal(deriver)


def test_commits_that_do_not_verify_change_nothing(toy, started):
    with RunWriter.open(started, clock=toy.clock) as writer:
        where = toy.work(writer, 1)
        target = started / where / "predictions.npz"
        target.write_bytes(target.read_bytes()[:-1])
        with pytest.raises(RunInvalid) as caught:
            writer.adopt_or_commit(1, where)
        assert caught.value.findings
        with pytest.raises(RunInvalid):
            writer.adopt_or_commit(2, toy.work(writer, 3))  # another seed's result
        assert not (started / "seed_1").exists()
        assert writer.replay.committed == {}


def test_a_commit_takes_an_absolute_work_directory_too(toy, started):
    with RunWriter.open(started, clock=toy.clock) as writer:
        commit = writer.adopt_or_commit(1, started.absolute() / toy.work(writer, 1))
        assert writer.replay.committed == {1: commit.digest()}
        assert writer.seeds_environment() == {"1": 1}


def test_stale_derived_files_leave_when_a_run_is_resealed(toy, make_toy, tmp_path):
    path = tmp_path / "run"

    def more(run):
        from_toy = toy.derive(run)
        return {**from_toy, "figures/deep/er/x.svg": b"<svg/>", "RUN_REPORT.html": b"<html>"}

    make_toy(derive=more).run(path)
    assert (path / "figures/deep/er/x.svg").exists()
    make_toy().run(path, "force", [1])
    assert not (path / "figures/deep").exists()
    assert not (path / "RUN_REPORT.html").exists()


@pytest.mark.parametrize("name", ["notes.txt", "seed_1/commit.json", "../x", "manifest.json"])
def test_only_derived_files_are_derived(toy, started, name):
    with RunWriter.open(started, clock=toy.clock) as writer, pytest.raises(FileInvalid):
        writer.write_derived({name: b""})


def test_create_refuses_what_is_there(toy, tmp_path, toy_run):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_bytes(b"years")
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "full", toy_run):
        with pytest.raises(UsageError):
            RunWriter.create(path, toy.provenance())
    with pytest.raises(ZeroProofError):
        RunWriter.create(tmp_path / "file", toy.provenance())
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    for path in (tmp_path / "full", tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ZeroProofError):
            RunWriter.open(path)


def test_a_start_that_was_killed_is_started_again(toy, make_toy, tmp_path):
    path = tmp_path / "run"
    RunWriter.create(path, toy.provenance(), clock=toy.clock).close()
    (path / "provenance.json").unlink()
    (path / ".zpml-tmp-00").write_bytes(b"half")
    assert run_state(path) is State.EMPTY
    other = make_toy(run_id="0" * 25 + "b")
    assert other.run(path).run_id == other.run_id


def test_the_second_writer_is_told_who_writes(toy, started):
    with RunWriter.open(started, command="zpml-bench toy", clock=toy.clock):
        assert run_state(started) is State.RUNNING
        for call in (RunWriter.open, lambda path: RunWriter.create(path, toy.provenance())):
            with pytest.raises((RunLocked, UsageError)) as caught:
                call(started)
        with pytest.raises(RunLocked) as caught:
            RunWriter.open(started)
        assert caught.value.exit_code == 11
        assert caught.value.owner["pid"] == os.getpid()
        assert caught.value.owner["command"] == "zpml-bench toy"
        assert str(os.getpid()) in str(caught.value)
    assert run_state(started) is State.RESUMABLE
    RunWriter.open(started).close()


def test_a_killed_process_frees_the_lock(started):
    code = f"""
        import os, signal
        from zeroproofml.report.journal import RunWriter
        RunWriter.open({str(started)!r}, command="doomed")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert (started / ".zpml/owner.json").exists()
    assert run_state(started) is State.RESUMABLE
    RunWriter.open(started).close()
    assert not (started / ".zpml/owner.json").exists()
    assert (started / ".zpml/lock").exists()


@pytest.mark.parametrize("what", ["lock", "workspace"])
def test_the_lock_is_not_followed_through_a_link(started, tmp_path, what):
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in (started / ".zpml").iterdir():
        file.unlink()
    if what == "lock":
        (started / ".zpml/lock").symlink_to(outside / "lock")
    else:
        (started / ".zpml").rmdir()
        (started / ".zpml").symlink_to(outside)
    with pytest.raises(FileInvalid) as caught:
        RunWriter.open(started)
    assert caught.value.code == "path_unsafe"
    assert list(outside.iterdir()) == []


def test_after_a_failed_append_nothing_more_is_appended(toy, started):
    def full(operation, path, action, arguments):
        if operation == "write":
            action(*arguments[:-1], arguments[-1][:10])
            raise OSError(28, "No space left on device")
        return action(*arguments)

    with RunWriter.open(started, clock=toy.clock) as writer:
        with _fs.hooked(full), pytest.raises(ReportError, match="No space"):
            writer.append("seed_started", {"seed": 1})
        with pytest.raises(ReportError, match="earlier write failed"):
            writer.append("seed_started", {"seed": 1})
    with RunWriter.open(started, clock=toy.clock):
        assert names(started)[-1] == "journal_repaired"


def test_one_event_costs_one_sync(toy, started):
    with RunWriter.open(started, clock=toy.clock) as writer:
        seen = []

        def watch(operation, path, action, arguments):
            seen.append(operation)
            return action(*arguments)

        with _fs.hooked(watch):
            writer.append("seed_started", {"seed": 1})
    assert seen.count("fsync") == 1


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("sold", {}),
        ("seed_started", {}),
        ("seed_started", {"seed": 0}),
        ("seed_started", {"seed": True}),
        ("seed_started", {"seed": 9}),
        ("seed_failed", {"seed": 1, "code": "exception", "message": "x" * 2001}),
        ("derived", {"more": 1}),
    ],
)
def test_events_are_checked_before_they_are_written(toy, started, event, data):
    before = (started / "journal.jsonl").read_bytes()
    with RunWriter.open(started, clock=toy.clock) as writer, pytest.raises(ReportError):
        writer.append(event, data)
    assert (started / "journal.jsonl").read_bytes() == before


def test_the_plan_may_grow_and_that_is_remembered(toy, make_toy, tmp_path):
    path = tmp_path / "run"
    toy.run(path)
    with RunWriter.open(path, clock=toy.clock) as writer:
        writer.reopen()
        writer.append("plan_extended", {"seeds": [4]})
        assert writer.replay.planned == [1, 2, 3, 4]
        assert writer.replay.extended
        assert writer.replay.missing() == [4]
        assert not writer.replay.seed_event_since_reopened


def test_a_reopening_that_was_killed_is_finished(toy, toy_run):
    manifest = parse((toy_run / "manifest.json").read_bytes())
    sealed = (toy_run / "journal.jsonl").read_bytes()
    with RunWriter.open(toy_run, clock=toy.clock) as writer:
        writer.reopen()
    after = (toy_run / "journal.jsonl").read_bytes()
    (toy_run / ".zpml/old/manifest.json").rename(toy_run / "manifest.json")
    assert run_state(toy_run) is State.RESUMABLE
    with pytest.raises(RunInvalid) as caught:
        validate_run_dir(toy_run)
    assert "journal.jsonl" in {f.path for f in caught.value.findings}
    with RunWriter.open(toy_run, clock=toy.clock) as writer:
        assert not writer.sealed
        assert writer.replay.roots == [manifest["root_digest"]]
    assert (toy_run / "journal.jsonl").read_bytes() == after
    # and one that was killed in the middle of its line
    (toy_run / ".zpml/old/manifest.json").rename(toy_run / "manifest.json")
    (toy_run / "journal.jsonl").write_bytes(after[:-20])
    assert run_state(toy_run) is State.RESUMABLE
    with RunWriter.open(toy_run, clock=toy.clock) as writer:
        assert writer.sealed
    assert (toy_run / "journal.jsonl").read_bytes() == sealed
    validate_run_dir(toy_run)


def test_forged_reopenings_are_damage(toy, toy_run):
    sealed = (toy_run / "journal.jsonl").read_bytes()
    last = JournalEvent.from_bytes(sealed.splitlines()[-1])
    forged = JournalEvent.from_plain(
        {
            **last.plain(),
            "seq": last.seq + 1,
            "prev": sha256(sealed.splitlines()[-1]),
            "event": "reopened",
            "data": {"root": ENV},
        }
    )
    (toy_run / "journal.jsonl").write_bytes(sealed + forged.to_line())
    assert run_state(toy_run) is State.DAMAGED
    with pytest.raises(FileInvalid):
        RunWriter.open(toy_run)


def test_provenance_must_be_of_the_run_and_hold_the_attempt(toy, make_toy, started):
    with RunWriter.open(started, clock=toy.clock) as writer:
        other = make_toy(run_id="0" * 25 + "b").provenance()
        with pytest.raises(ReportError, match="run_id"):
            writer.write_provenance(other)
        with pytest.raises(ReportError, match="2 attempts"):
            writer.start_attempt("resume", [1], writer.provenance)
    with_attempt = toy.provenance().model_copy(
        update={"attempts": (toy.attempt(1, "initial", ()),)}
    )
    with pytest.raises(UsageError):
        RunWriter.create(started.parent / "new", with_attempt)
    assert isinstance(with_attempt, Provenance)


def test_shared_data_is_never_made_twice_under_one_name(toy, started):
    """T20: an edited, deleted or replaced data set stops the resume."""
    with RunWriter.open(started, clock=toy.clock) as writer:
        writer.adopt_or_commit(1, toy.work(writer, 1))
    shared = next((started / "datasets").iterdir())
    good = shared.read_bytes()
    for damage in (good[:-1], good[:-1] + b"\x01", b""):
        shared.write_bytes(damage)
        with RunWriter.open(started, clock=toy.clock) as writer:
            with pytest.raises(RunInvalid) as caught:
                writer.raw_run()
            assert caught.value.exit_code == 5
            with pytest.raises(FileInvalid) as refused:
                writer.adopt_or_commit(2, toy.work(writer, 2))
            assert refused.value.code == "dataset"
        assert shared.read_bytes() == damage
    shared.unlink()
    with RunWriter.open(started, clock=toy.clock) as writer:
        with pytest.raises(RunInvalid) as caught:
            writer.raw_run()
        assert caught.value.code == "missing"
