"""Words of a command → configuration, seeds, arms; every mistake is one line with a mend."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.benchmarks import config, search
from zeroproofml.report.contract.strict_json import digest
from zeroproofml.report.errors import UsageError


@pytest.mark.parametrize(
    ("text", "start", "seeds"),
    [
        ("3", None, (1, 2, 3)),
        ("3", 5, (5, 6, 7)),
        ("1,5,9", None, (1, 5, 9)),
        ("1-4", None, (1, 2, 3, 4)),
        ("9,1-3", None, (9, 1, 2, 3)),
        ("7,", None, (7,)),
        ("1", 2**31 - 1, (2**31 - 1,)),
        (None, None, None),
    ],
)
def test_seeds(text, start, seeds):
    assert config.parse_seeds(text, start) == seeds


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("0", None),
        ("-3", None),
        ("abc", None),
        ("1e23", None),
        ("", None),
        (",", None),
        ("1,,2", None),
        ("1,1", None),
        ("3-1", None),
        ("0-2", None),
        ("1-99999", None),
        ("10001", None),
        ("2147483648,", None),
        ("9" * 5000, None),
        ("1,2", 3),
        ("2", 2**31 - 1),
        ("2", 0),
        (None, 4),
        ("٣", None),
    ],
)
def test_what_are_no_seeds(text, start):
    with pytest.raises(UsageError) as caught:
        config.parse_seeds(text, start)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("--seeds:", "--start-seed:"))
    assert caught.value.exit_code == 2


@given(st.text(max_size=12))
def test_any_text_is_seeds_or_one_usage_error(text):
    try:
        seeds = config.parse_seeds(text)
    except UsageError:
        return
    assert seeds
    assert len(set(seeds)) == len(seeds)
    assert all(1 <= seed <= 2**31 - 1 for seed in seeds)


def test_config_holds_what_decides_and_its_digest():
    made = config.resolve("toy", mode="smoke")
    assert made.config == {
        "domain": "toy",
        "mode": "smoke",
        "protocol": {"name": "standard", "version": 1},
        "device": "cpu",
        "arms": ["ridge", "truth", "zero"],
        "dtype": "float64",
        "threads": 1,
        "settings": {"n_train": 80, "n_test": 40, "ridge": 0.5},
    }
    assert made.config_hash == digest(made.config)
    assert made.default_seeds == (1, 2)
    assert made.arms == ("zero", "ridge", "truth")


def test_order_of_arms_is_not_in_the_hash_but_their_choice_is():
    one = config.resolve("toy", arms=["zero", "ridge"])
    other = config.resolve("toy", arms=["ridge", "zero"])
    assert one.config_hash == other.config_hash
    assert one.config_hash != config.resolve("toy").config_hash


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (["nothing"], "no arm of toy"),
        ([""], "empty"),
        ([], "empty"),
        (["ridge"], "needs 'zero'"),
        (["zero", "zero"], "twice"),
        (["zero", ""], "no arm"),
    ],
)
def test_arms_that_cannot_run(arms, words):
    with pytest.raises(UsageError, match=words):
        config.resolve("toy", arms=arms)


@pytest.mark.parametrize(
    "words", [{"mode": "papers"}, {"protocol": "other"}, {"mode": ""}], ids=str
)
def test_unknown_words(words):
    with pytest.raises(UsageError):
        config.resolve("toy", **words)


def test_unknown_domain_names_the_others():
    with pytest.raises(UsageError, match="toy"):
        config.resolve("chess")


def test_two_runs_of_one_second_get_two_names(tmp_path):
    made, now = config.resolve("toy"), datetime(2026, 4, 7, 12, 30, 59, tzinfo=UTC)
    digits = made.config_hash.removeprefix("sha256:")[:7]
    for number in ("", "_2", "_3"):
        path = search.fresh(tmp_path, made, now)
        assert path.name == f"run_20260407_123059_{digits}{number}"
        path.mkdir()


@pytest.mark.parametrize("seeds", ["1,2", 3, None.__class__])
def test_seeds_of_a_caller_are_a_list_of_numbers(seeds):
    with pytest.raises(UsageError, match=r"seeds: .* is no list of seeds; give whole numbers"):
        config.check_seeds(seeds)
