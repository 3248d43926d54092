"""What a run says while it works: streams, rates, words."""

import io
import json
import subprocess
import sys

import pytest

from zeroproofml.benchmarks import progress
from zeroproofml.report.errors import UsageError


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def advance(done, arm="scm", seed=3, **more):
    return {"event": "advance", "seed": seed, "arm": arm, "done": done, "total": 10, **more}


def test_plain_says_at_most_one_line_per_ten_seconds_of_a_phase(clock):
    out = io.StringIO()
    sink = progress.PlainSink("dose", out)
    sink.emit({"event": "phase", "seed": 3, "arm": "scm"})
    for second in range(31):
        clock.now = 1000.0 + second
        sink.emit(advance(second))
    assert len(out.getvalue().splitlines()) == 3
    assert "\r" not in out.getvalue()


def test_plain_says_every_event_of_a_seed_at_once(clock):
    out = io.StringIO()
    sink = progress.PlainSink("dose", out)
    for kind in ("seed_started", "seed_lost", "seed_failed", "seed_committed"):
        sink.emit({"event": kind, "seed": 1, "done": 0, "total": 2, "message": "why"})
    assert len(out.getvalue().splitlines()) == 4


def test_plain_line_has_the_form_of_the_documentation():
    line = progress.describe(
        advance(4, eta_s=130.2, info={"epoch": "4/10", "loss": 0.13249, "coverage": 0.91})
    )
    assert line == "seed 3 arm scm: 4/10, epoch 4/10, loss 0.132, coverage 0.91, eta 2m10s"
    assert progress.describe(advance(4, eta_s=7300.0)).endswith("eta 2h01m")


def test_json_has_exactly_its_keys(clock):
    out = io.StringIO()
    progress.JsonSink(out).emit(advance(4, eta_s=1.5, elapsed_s=1.0, info={"loss": 1.0}))
    line = json.loads(out.getvalue())
    assert line == {
        "schema_name": "zeroproofml.progress",
        "schema_version": 1,
        "event": "advance",
        "seed": 3,
        "arm": "scm",
        "done": 4,
        "total": 10,
        "elapsed_s": 1.0,
        "eta_s": 1.5,
    }


def test_a_domain_may_advance_as_often_as_it_likes(clock):
    seen = []
    mine = progress.SeedProgress(1, seen.append)
    mine.start("scm", 1000)
    for step in range(1000):
        clock.now += 0.001
        mine.advance(loss=float(step))
    mine.finish()
    kinds = [event["event"] for event in seen]
    assert kinds[0] == "phase"
    assert kinds[-1] == "phase_done"
    assert kinds.count("advance") <= 11
    assert seen[-1]["done"] == 1000


def test_the_rest_is_estimated_from_what_was_done(clock):
    seen = []
    mine = progress.SeedProgress(1, seen.append)
    mine.start("scm", 10)
    clock.now += 4.0
    mine.advance(2)
    assert seen[-1]["eta_s"] == 16.0
    mine.start("other")
    mine.advance(5)
    assert seen[-1]["eta_s"] is None


def test_modes():
    assert isinstance(progress.make("auto", "ik", io.StringIO()), progress.PlainSink)
    assert isinstance(progress.make("plain", "ik", io.StringIO()), progress.PlainSink)
    assert isinstance(progress.make("json", "ik", io.StringIO()), progress.JsonSink)
    assert isinstance(progress.make("none", "ik", io.StringIO()), progress.NullSink)
    with pytest.raises(UsageError, match="auto, plain, json, none"):
        progress.make("loud", "ik")


def test_the_bar_is_drawn_on_a_terminal_only_and_ends():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    sink = progress.make("auto", "ik", out)
    assert isinstance(sink, progress.BarSink)
    sink.emit({"event": "seed_started", "seed": 1, "done": 0, "total": 1})
    sink.emit({"event": "phase", "seed": 1, "arm": "scm", "done": 0, "total": 10})
    sink.emit(advance(4, seed=1, info={"loss": 0.5}))
    sink.emit({"event": "seed_committed", "seed": 1, "done": 1, "total": 1})
    sink.emit({"event": "finished"})
    assert "seed 1 (0/1): started" in out.getvalue()
    assert "finished" not in out.getvalue()


def test_rich_is_loaded_by_a_bar_and_by_nothing_else():
    code = (
        "import sys, io; from zeroproofml.benchmarks import progress\n"
        "for mode in ('auto', 'plain', 'json', 'none'): progress.make(mode, 'ik', io.StringIO())\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
