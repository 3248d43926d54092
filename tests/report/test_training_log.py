"""The training log: every row of the table of reports.md, section 9."""

import itertools
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.report import training_log
from zeroproofml.report._fs import hooked
from zeroproofml.report._log_series import Log
from zeroproofml.report.cli import app
from zeroproofml.report.console import run_app
from zeroproofml.report.contract import MetricContext, MetricRecord
from zeroproofml.report.errors import FileInvalid
from zeroproofml.report.pages import training_report


def line(metrics, phase="train", **fields):
    """One record; a metric given as text is null with that reason."""
    record = {
        "schema_name": "zeroproofml.metric_log",
        "schema_version": 1,
        "phase": phase,
        "context": fields.pop("context", {}),
        "metrics": {k: None if isinstance(v, str) else float(v) for k, v in metrics.items()},
        "reasons": {k: v for k, v in metrics.items() if isinstance(v, str)},
    }
    return json.dumps({**record, **fields}) + "\n"


@pytest.fixture
def program(capsys):
    def run(*arguments):
        code = run_app(app, "zpml-report", [str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def log(tmp_path):
    """Write a log and give its path."""

    def write(*lines, name="log.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"".join(x if isinstance(x, bytes) else x.encode() for x in lines))
        return path

    return write


def read(path):
    return training_log.read_log(str(path))


def page_of(path):
    return training_report.page(read(path))


def figures_of(path):
    return training_report.figures_of(page_of(path))


def table_of(made, slug):
    section = next(s for s in made.sections if s.slug == slug)
    table = next(b for b in section.blocks if hasattr(b, "rows"))
    heads = [str(column.label) for column in table.columns]
    return [dict(zip(heads, map(str, row), strict=True)) for row in table.rows]


def test_a_log_becomes_a_sibling_directory(program, log):
    path = log(*(line({"loss": 1 / (k + 1)}, step=k) for k in range(30)))
    code, out, err = program("training-log", path, "--html-report")
    made = path.parent / "log_report"
    names = ["figures/training_1.svg", "TRAINING_REPORT.md", "TRAINING_REPORT.html", "DERIVED.json"]
    assert (code, err) == (0, [])
    assert out == [*(f"wrote {made}/{name}" for name in names), "30 records (train 30)"]
    assert {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()} == set(names)
    before = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    assert program("training-log", path, "--html-report")[0] == 0
    assert before == {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    assert program("training-log", path)[0] == 0, "the page that is no longer asked for goes"
    assert not (made / "TRAINING_REPORT.html").exists()


def test_torn_last_line_is_ignored_with_its_offset(program, log):
    whole = line({"loss": 0.5}, step=1)
    path = log(whole, line({"loss": 0.25}, step=2)[:-9])
    code, out, err = program("training-log", path)
    assert (code, out[-1]) == (0, "1 records (train 1)")
    assert err == [f"log.jsonl: torn last line ignored, from byte {len(whole)} on"]
    text = (path.parent / "log_report/TRAINING_REPORT.md").read_text()
    assert f"begins at byte {len(whole)} and is ignored" in text
    assert "STOP" not in text


def test_a_last_line_without_newline_that_is_a_record_counts(log):
    found = read(log(line({"loss": 0.5}, step=1), line({"loss": 0.25}, step=2)[:-1]))
    assert (found.log.records, found.torn_at) == (2, None)


@pytest.mark.parametrize(
    "bad",
    [
        "{\n",
        "[1, 2]\n",
        "\n",
        '{"a": NaN}\n',
        "\xff\n",
        line({"loss": 1.0}),
        line({"loss": 1.0}, step=True),
        line({"loss": 1.0}, step=1, extra=1),
        line({"loss": 1.0}, step=1, context={"arm": "<script>"}),
        line({"loss": 1.0}, step=1, schema_version="1"),
        line({"loss": 1.0}, step=1, schema_version=0),
        line({"loss": 1.0}, step=1).replace('"reasons": {}', '"reasons": {"loss": "nan"}'),
        line({"loss": "because"}, step=1),
        '{"metrics": ' + "[" * 5000 + "]" * 5000 + "}\n",
        " " * (training_log.MOST_LINE + 1) + "\n",
    ],
)
def test_a_bad_line_in_the_middle_is_skipped_named_and_fails(program, log, bad):
    path = log(line({"loss": 0.5}, step=1), bad.encode("latin-1"), line({"loss": 0.4}, step=2))
    code, out, err = program("training-log", path)
    assert code == 5
    assert out[-1] == "2 records (train 2); 1 lines skipped"
    assert len(err) == 1
    assert err[0].startswith("log.jsonl: line 2: ")
    text = (path.parent / "log_report/TRAINING_REPORT.md").read_text()
    assert text.startswith("# INVALID: Training log")
    assert "STOP: 1 of 3 lines are skipped" in text
    assert "line 2" in text


def test_twenty_bad_lines_are_named_the_rest_is_counted(program, log):
    path = log(line({"loss": 0.5}, step=1), *["oops\n"] * 25)
    code, _, err = program("training-log", path)
    assert code == 5
    assert [text.split(":")[1].strip() for text in err[:20]] == [f"line {n}" for n in range(2, 22)]
    assert err[20:] == ["… and 5 more"]
    assert len(page_of(path).banners[0].lines) == 21


def test_a_newer_schema_is_counted_and_if_all_are_there_is_no_page(program, log):
    newer = line({"loss": 0.5}, step=1, schema_version=3)
    path = log(newer, newer)
    code, out, err = program("training-log", path)
    words = "line 1: schema version 3, this reader knows 1; upgrade zeroproofml-report"
    assert (code, out, err) == (5, [], [f"log.jsonl: {words}"])
    assert not (path.parent / "log_report").exists()
    path = log(newer, line({"loss": 0.5}, step=1))
    code, out, err = program("training-log", path)
    assert (code, err) == (5, [f"log.jsonl: {words}"])
    assert read(path).foreign == 1
    assert (path.parent / "log_report/TRAINING_REPORT.md").exists()


def test_a_foreign_schema_is_named(program, log):
    path = log(line({"loss": 0.5}, step=1, schema_name="someone.else"))
    code, _, err = program("training-log", path)
    assert code == 5
    assert (
        "line 1: schema name 'someone.else', this reader knows 'zeroproofml.metric_log'" in err[0]
    )


@pytest.mark.parametrize("content", ["", '{"schema_name"'])
def test_nothing_to_report(program, log, content):
    path = log(content)
    code, out, err = program("training-log", path)
    assert (code, out, err) == (7, [], ["log.jsonl: no record"])
    assert not (path.parent / "log_report").exists()


def test_only_bad_lines_is_a_failure_with_a_page(program, log):
    path = log("oops\n")
    assert program("training-log", path)[0] == 5
    assert (path.parent / "log_report/TRAINING_REPORT.md").exists()


def test_phases_are_sections_in_order_of_appearance_and_never_mix(log):
    path = log(
        line({"loss": 0.5}, phase="eval", step=1),
        line({"loss": 0.7}, step=1),
        line({"loss": 0.3}, phase="eval", step=2),
    )
    made = page_of(path)
    assert [s.slug for s in made.sections] == ["lines", "phase_eval", "phase_train"]
    assert [row["n"] for row in table_of(made, "phase_eval")] == ["2"]
    assert [row["n"] for row in table_of(made, "phase_train")] == ["1"]
    assert [len(figure.plates) for figure in figures_of(path)] == [1, 1]
    assert [figure.slug for figure in figures_of(path)] == ["training_1", "training_2"]


def test_benchmark_phases_are_read(log):
    context = {"domain": "ik", "mode": "smoke", "protocol": "standard/1", "arm": "mlp"}
    seeds = (3, 10, 2)
    path = log(
        *(
            line(
                {"mae": seed}, phase="benchmark_seed", step=seed, context={**context, "seed": seed}
            )
            for seed in seeds
        )
    )
    made = page_of(path)
    rows = table_of(made, "phase_benchmark_seed")
    assert [row["context"] for row in rows] == ["seed 2", "seed 3", "seed 10"], "numbers, not text"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ([{"step": 1, "epoch": 0}, {"step": 5, "epoch": 0}], "step", "every record of the phase"),
        ([{"step": 1, "epoch": 4}, {"epoch": 6}], "epoch", "line 2 has no step"),
        ([{"epoch": 4}, {"step": 9}], "index", "line 1 has no step, line 2 no epoch"),
    ],
)
def test_x_is_step_else_epoch_else_index_and_the_caption_says_so(log, fields, kind, words):
    path = log(*(line({"loss": 1 + k}, **each) for k, each in enumerate(fields)))
    (figure,) = figures_of(path)
    assert words in figure.caption
    wanted = [each[kind] for each in fields] if kind != "index" else [1, 2]
    assert [x for x, _ in figure.plates[0].lines[0].points] == wanted


@pytest.mark.parametrize("steps", [[1, 2, 3, 2, 3], [1, 2, 2, 3]])
def test_going_back_or_repeating_starts_a_segment(log, steps):
    path = log(*(line({"loss": 10 - k}, step=step) for k, step in enumerate(steps)))
    (figure,) = figures_of(path)
    lines = figure.plates[0].lines
    assert len(lines) == 2
    back = next(k for k in range(1, len(steps)) if steps[k] <= steps[k - 1])
    assert [x for made in lines for x, _ in made.points] == steps, "file order, nothing dropped"
    assert len(lines[0].points) == back
    assert str(figure.plates[0].key[1].words) == f"from line {back + 1}"
    assert lines[0].arm.dash != lines[1].arm.dash
    assert lines[0].arm.colour == lines[1].arm.colour


def test_segments_without_end_stay_bounded_and_accounted_for(log):
    path = log(*(line({"loss": k % 7}, step=0) for k in range(500)))
    (figure,) = figures_of(path)
    plate = figure.plates[0]
    assert len(plate.key) == 6
    assert "495 segments" in str(plate.key[5].words)
    assert plate.account.lanes == 500


def test_contexts_are_series_sorted_six_a_plate(log):
    arms = [f"arm{k:02d}" for k in range(14)]
    path = log(*(line({"loss": 1.0}, step=1, context={"arm": arm}) for arm in reversed(arms)))
    (figure,) = figures_of(path)
    assert [len(plate.key) for plate in figure.plates] == [6, 6, 2]
    words = [str(key.words) for plate in figure.plates for key in plate.key]
    assert words == [f"arm {arm}" for arm in arms]


def test_a_null_is_a_gap_a_tick_and_a_count_by_reason(log):
    values = [0.5, "nan", 0.4, "empty_set", "empty_set", 0.3]
    path = log(*(line({"loss": v}, step=k) for k, v in enumerate(values)))
    made = page_of(path)
    (row,) = table_of(made, "phase_train")
    assert row["n"] == "3"
    assert row["undefined: not a number"] == "1"
    assert row["undefined: no accepted lane"] == "2"
    assert row["missing"] == "0"
    (figure,) = training_report.figures_of(made)
    plate = figure.plates[0]
    assert [y for _, y in plate.lines[0].points] == [0.5, None, 0.4, None, None, 0.3]
    assert (plate.account.drawn, dict(plate.account.bottom)) == (3, {"fault": 1, "semantic": 2})
    rugs = [mark for mark in plate.marks if type(mark).__name__ == "Rug"]
    assert [rug.at for rug in rugs] == [(1.0, 3.0, 4.0)]
    assert "⊥ 3" in str(plate.key[0].words)


def test_missing_is_not_undefined(log):
    path = log(
        line({"loss": 1, "extra": 2}, step=1),
        line({"loss": 1}, step=2),
        line({"loss": 1, "extra": "nan"}, step=3),
    )
    rows = {row["metric"]: row for row in table_of(page_of(path), "phase_train")}
    assert (rows["extra"]["n"], rows["extra"]["missing"]) == ("1", "1")
    assert rows["extra"]["undefined: not a number"] == "1"
    assert (rows["loss"]["n"], rows["loss"]["missing"]) == ("3", "0")


def test_a_metric_that_is_never_a_number_says_so(log):
    path = log(line({"loss": "overflow"}, step=1), line({"loss": "nan"}, step=2))
    (row,) = table_of(page_of(path), "phase_train")
    assert row["first"] == row["max at"] == "undefined (not a number, overflow)"


def test_first_last_min_and_max_with_their_places(log):
    path = log(*(line({"loss": v}, step=10 * k) for k, v in enumerate([5, 1, 9, 2])))
    (row,) = table_of(page_of(path), "phase_train")
    assert (row["first"], row["last"]) == ("5.00", "2.00")
    assert (row["min at"], row["max at"]) == ("1.00 at 10", "9.00 at 20")


@pytest.mark.parametrize(
    ("values", "log_scale"),
    [
        ([1000, 1], False),
        ([1001, 1], True),
        ([1e9, 0], False),
        ([1e9, -1], False),
        ([1e300, 5e-324], True),
    ],
)
def test_y_is_logarithmic_above_three_decades_of_positive_values(log, values, log_scale):
    path = log(*(line({"loss": v}, step=k) for k, v in enumerate(values)))
    (figure,) = figures_of(path)
    assert figure.plates[0].y.log is log_scale
    assert ("log scale" in figure.caption) is log_scale
    assert ("log scale" in str(figure.plates[0].y_caption)) is log_scale


@pytest.mark.parametrize("value", [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0])
def test_extreme_numbers_can_be_drawn(program, log, value):
    path = log(line({"loss": value, "b": value}, step=2**53 - 1), line({"loss": -value}, step=0))
    assert program("training-log", path, "--html-report")[0] == 0


def test_twelve_plates_a_sheet_all_metrics_sorted(log):
    names = [f"m{k:02d}" for k in range(30)]
    path = log(*(line(dict.fromkeys(reversed(names), 1.0), step=k) for k in range(3)))
    made = figures_of(path)
    assert [len(figure.plates) for figure in made] == [12, 12, 6]
    assert [str(plate.title) for figure in made for plate in figure.plates] == names
    assert [figure.path for figure in made] == [f"figures/training_{k}.svg" for k in (1, 2, 3)]


def test_a_long_series_is_reduced_and_the_caption_counts(log):
    n = 5000
    path = log(*(line({"loss": 1e6 if k == 1234 else k % 11}, step=k) for k in range(n)))
    (figure,) = figures_of(path)
    account = figure.plates[0].account
    points = [p for p in figure.plates[0].lines[0].points if p[1] is not None]
    assert account.lanes == n
    assert account.drawn + account.reduced == n
    assert len(points) == account.drawn <= 2000
    assert (1234.0, 1e6) in points, "extremes stay"
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (n - 1.0, (n - 1) % 11)
    assert "points: first, last, least and greatest" in figure.caption


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False, width=32),
            st.sampled_from(["nan", "empty_set"]),
        ),
        max_size=60,
    ),
    st.lists(st.integers(0, 40), min_size=60, max_size=60),
    st.integers(1, 8),
)
def test_no_lane_disappears_and_no_line_bridges_a_null(values, steps, repeat):
    """⊥ accounting under any order of steps, with buckets forced to merge and to mix."""
    log = Log(_most=6)
    given_ = [v for v in values for _ in range(repeat)]
    places = sorted(steps * repeat)[: len(given_)]
    for number, (value, step) in enumerate(zip(given_, places, strict=True), 1):
        null = isinstance(value, str)
        log.add(
            MetricRecord(
                phase="train",
                step=step,
                context=MetricContext(),
                metrics={"loss": None if null else value},
                reasons={"loss": value} if null else {},
            ),
            number,
        )
    if not given_:
        return
    phase = log.phases["train"]
    labels = {id(group): "" for group in phase.groups.values()}
    found = training_report.curves(phase, "loss", labels)
    plate = training_report.log_plate(phase, "loss", found, found)
    assert plate.account.lanes == len(given_)
    assert sum(plate.account.bottom.values()) == sum(isinstance(v, str) for v in given_)
    series = phase.groups[next(iter(phase.groups))].series["loss"]
    numbers = [(b.points[0][0].number, b) for b in series.buckets if b.points]
    for (_, before), (_, after) in itertools.pairwise(numbers):
        left, right = before.points[-1][0].number, after.points[0][0].number
        nulls = [k for k in range(left + 1, right) if isinstance(given_[k - 1], str)]
        between = series.buckets[series.buckets.index(before) + 1 : series.buckets.index(after)]
        same = before.segments == after.segments
        assert not nulls or not same or between or before.is_mixed or after.is_mixed


def test_alternating_nulls_stay_bounded(log):
    path = log(*(line({"loss": "nan" if k % 2 else k}, step=k) for k in range(6000)))
    found = read(path)
    (group,) = found.log.phases["train"].groups.values()
    assert len(group.series["loss"].buckets) <= 400
    (figure,) = figures_of(path)
    points = figure.plates[0].lines[0].points
    pairs = itertools.pairwise(points)
    assert not any(a[1] is not None and b[1] is not None for a, b in pairs)
    assert dict(figure.plates[0].account.bottom) == {"fault": 3000}


@pytest.mark.slow
def test_ten_thousand_arms_make_a_page_within_its_budget(program, log):
    path = log(
        *(line({"loss": k, "b": 1}, step=1, context={"arm": f"a{k}"}) for k in range(10_000))
    )
    code, _, err = program("training-log", path, "--html-report")
    assert (code, err) == (0, [])
    page = path.parent / "log_report/TRAINING_REPORT.html"
    assert page.stat().st_size < 6_000_000
    text = (path.parent / "log_report/TRAINING_REPORT.md").read_text()
    assert "plates are left out" in text
    assert "2\u202f000 of 20\u202f000 rows" in text


def test_more_series_than_memory_is_set_apart_for_is_refused(program, log):
    metrics = [{f"m{k}_{j}": 1.0 for j in range(200)} for k in range(101)]
    path = log(*(line(each, step=k) for k, each in enumerate(metrics)))
    code, _, err = program("training-log", path)
    assert code == 5
    assert "more than 20000 series" in err[0]
    assert "split the log" in err[0]


@pytest.mark.parametrize("kind", ["missing", "directory", "no parent"])
def test_a_path_of_the_wrong_kind_is_usage(program, tmp_path, kind):
    (tmp_path / "dir").mkdir()
    path = {"missing": "a.jsonl", "directory": "dir", "no parent": "no/a.jsonl"}[kind]
    code, out, err = program("training-log", tmp_path / path)
    assert (code, out, len(err)) == (2, [], 1)


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_link_or_fifo_is_not_read(program, log, tmp_path, kind):
    path = tmp_path / "other.jsonl"
    if kind == "link":
        path.symlink_to(log(line({"loss": 1.0}, step=1)))
    else:
        os.mkfifo(path)
    code, out, err = program("training-log", path)
    assert (code, out, len(err)) == (5, [], 1)


def test_out_that_is_not_ours_is_refused(program, log, tmp_path):
    path = log(line({"loss": 1.0}, step=1))
    assert program("training-log", path, "--out", tmp_path)[0] == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("keep")
    code, _, err = program("training-log", path, "--out", tmp_path / "full")
    assert code == 2
    assert "holds no DERIVED.json" in err[0]
    assert program("training-log", path, "--out", tmp_path / "new")[0] == 0


@pytest.mark.parametrize("name", ["TRAINING_REPORT.md", "figures", "figures/training_1.svg"])
def test_no_link_is_followed_on_write(program, log, tmp_path, name):
    path = log(line({"loss": 1.0}, step=1))
    out = tmp_path / "log_report"
    assert program("training-log", path)[0] == 0
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "training_1.svg").write_text("precious")
    target = out / name
    if target.is_dir():
        (out / "figures/training_1.svg").unlink()
        target.rmdir()
        target.symlink_to(victim)
    else:
        target.unlink()
        target.symlink_to(victim / "training_1.svg")
    assert program("training-log", path)[0] == 5
    assert (victim / "training_1.svg").read_text() == "precious"


def test_the_file_name_cannot_act(program, log):
    path = log(line({"loss": 1.0}, step=1), name="<img src=x onerror=1>|`{{7*7}}`.jsonl")
    assert program("training-log", path, "--html-report")[0] == 0
    (made,) = path.parent.glob("*_report")
    assert "<img" not in (made / "TRAINING_REPORT.md").read_text()
    assert "<img" not in (made / "TRAINING_REPORT.html").read_text()


def test_figures_parse_and_stay_inside_the_allow_lists(program, log):
    path = log(*(line({"loss": 10.0**-k, "g": "nan"}, step=k) for k in range(9)))
    assert program("training-log", path)[0] == 0
    root = ET.fromstring((path.parent / "log_report/figures/training_1.svg").read_bytes())
    assert root.tag.endswith("svg")


def test_a_log_that_grows_while_it_is_read_ends_where_it_ended_at_the_start(log):
    whole = [line({"loss": 1.0}, step=k) for k in range(3)]
    path = log(*whole)
    grown = []

    def grow(operation, name, action, arguments):
        if operation == "read" and not grown:
            grown.append(True)
            with path.open("ab") as handle:
                handle.write(line({"loss": 1.0}, step=9).encode() + b'{"torn')
        return action(*arguments)

    with hooked(grow):
        found = read(path)
    assert grown
    assert (found.log.records, found.torn_at, found.size) == (3, None, len("".join(whole)))


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse.jsonl"
    with path.open("wb") as handle:
        handle.truncate(training_log.MOST_BYTES + 1)
    with pytest.raises(FileInvalid, match="exceed the limit") as caught:
        read(path)
    assert caught.value.code == "size"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_two_hundred_megabytes_take_less_than_three_hundred(tmp_path):
    path = tmp_path / "big.jsonl"
    metrics = {f"metric_{k}": 0.123456789 + k for k in range(40)}
    record = json.loads(line(metrics, step=0))
    with path.open("w") as handle:
        step = 0
        while handle.tell() < 200 * 2**20:
            for _ in range(100):
                record["step"] = step
                record["metrics"]["metric_0"] = step % 1013 / 7
                handle.write(json.dumps(record) + "\n")
                step += 1
    code = (
        "import re; from zeroproofml.report import training_log\n"
        f"made = training_log.report({str(path)!r}, html=True)\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "print(made.exit_code, peak)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    exit_code, peak_kib = map(int, ran.stdout.split())
    assert exit_code == 0
    assert peak_kib < 300 * 1024
