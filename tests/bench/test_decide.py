"""The decision table of the run contract, section 5.5, cell by cell."""

import pytest

from zeroproofml.benchmarks.decide import Difference, Request, Situation, decide

CONFIG = (Difference("config.mode", "a", "b"),)
CODE = (Difference("code.zeroproofml-scm", "a", "b"),)
FLAGS = ("none", "resume", "skip", "force")


def situation(state="resumable", done=(1, 2), planned=(1, 2, 3), **more):
    return Situation(state, planned, frozenset(done), **more)


def asked(flag, seeds=None, **more):
    return Request(flag, seeds, (1,), **more)


@pytest.mark.parametrize("flag", FLAGS)
def test_nothing_there_starts(flag):
    made = decide(Situation("empty"), asked(flag, (4, 5)))
    assert (made.action, made.planned, made.run) == ("start", (4, 5), (4, 5))
    assert decide(Situation("empty"), asked(flag)).run == (1,)


@pytest.mark.parametrize("flag", FLAGS)
def test_the_lock_comes_first(flag):
    assert decide(situation("running", domain_difference=CONFIG[0]), asked(flag)).exit_code == 11


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("state", ["resumable", "partial", "complete", "damaged"])
def test_another_domain_is_refused_whatever_the_flag(flag, state):
    made = decide(
        situation(state, domain_difference=Difference("domain", "rf", "dose")),
        asked(flag, (1, 2, 3)),
    )
    assert made.exit_code == 6
    assert "rf" in made.message
    assert "dose" in made.message


@pytest.mark.parametrize("flag", FLAGS)
def test_foreign_is_never_touched(flag):
    made = decide(Situation("foreign"), asked(flag))
    assert (made.action, made.exit_code) == ("refuse", 2)


@pytest.mark.parametrize("state", ["resumable", "partial", "complete", "damaged"])
@pytest.mark.parametrize("differences", [(), CONFIG])
def test_without_a_flag_the_flags_are_named(state, differences):
    made = decide(situation(state, differences=differences), asked("none"))
    assert made.exit_code == 2
    for flag in ("--resume", "--skip-complete-seeds", "--force-rerun"):
        assert flag in made.mend


class TestResumable:
    def test_resume_continues_the_missing_seeds(self):
        made = decide(situation(), asked("resume"))
        assert (made.action, made.run) == ("continue", (3,))
        assert made.planned == (1, 2, 3)

    def test_resume_accepts_the_same_plan_in_any_order(self):
        assert decide(situation(), asked("resume", (3, 2, 1))).run == (3,)

    @pytest.mark.parametrize("seeds", [(1, 2), (1, 2, 3, 4), (4,)])
    def test_resume_refuses_another_plan(self, seeds):
        made = decide(situation(), asked("resume", seeds))
        assert made.exit_code == 6
        assert "1,2,3" in made.message

    def test_skip_lets_the_plan_grow_and_never_shrink(self):
        made = decide(situation(), asked("skip", (9, 1)))
        assert (made.planned, made.run) == ((1, 2, 3, 9), (3, 9))

    def test_skip_without_seeds_keeps_the_plan(self):
        assert decide(situation(), asked("skip")).run == (3,)

    def test_force_supersedes_the_requested_and_finishes_the_rest(self):
        made = decide(situation(), asked("force", (2,)))
        assert (made.run, made.supersede) == ((2, 3), frozenset({2}))

    def test_everything_committed_but_not_sealed_goes_on_without_seeds(self):
        made = decide(situation(done=(1, 2, 3)), asked("resume"))
        assert (made.action, made.run) == ("continue", ())

    @pytest.mark.parametrize("flag", ["resume", "skip"])
    def test_a_force_that_was_killed_is_finished(self, flag):
        made = decide(situation(done=(1, 2, 3), pending=(3,)), asked(flag))
        assert (made.run, made.supersede) == ((3,), frozenset({3}))

    @pytest.mark.parametrize("flag", ["resume", "skip", "force"])
    def test_a_broken_commit_is_set_aside_and_run_again(self, flag):
        made = decide(situation(done=(1,), broken=frozenset({2})), asked(flag))
        assert made.quarantine == {2}
        assert 2 in made.run
        assert 3 in made.run


class TestNotTheSame:
    @pytest.mark.parametrize("state", ["resumable", "partial", "complete"])
    @pytest.mark.parametrize("flag", ["resume", "skip"])
    def test_is_refused_with_the_keys_and_both_values(self, state, flag):
        made = decide(situation(state, differences=CONFIG), asked(flag))
        assert made.exit_code == 6
        assert made.message.endswith("config.mode: run has a, this command b")

    @pytest.mark.parametrize("state", ["resumable", "partial", "complete"])
    def test_force_under_other_code_needs_every_planned_seed(self, state):
        found = situation(state, done=(1, 2, 3), differences=CODE)
        assert decide(found, asked("force", (1, 2))).exit_code == 6
        for seeds in ((1, 2, 3), None):
            made = decide(found, asked("force", seeds))
            assert made.exit_code == 0
            assert made.supersede == {1, 2, 3}

    @pytest.mark.parametrize("state", ["resumable", "partial", "complete"])
    def test_force_never_changes_the_config(self, state):
        found = situation(state, done=(1, 2, 3), differences=CONFIG)
        made = decide(found, asked("force"))
        assert made.exit_code == 6
        assert made.mend == "choose another --out-root"


class TestSealed:
    def test_partial_resumes_its_failed_seeds(self):
        made = decide(situation("partial"), asked("resume"))
        assert (made.action, made.run) == ("reopen", (3,))

    def test_complete_has_nothing_to_do(self):
        found = situation("complete", done=(1, 2, 3))
        for flag in ("resume", "skip"):
            made = decide(found, asked(flag))
            assert (made.action, made.exit_code) == ("nothing", 0)
            assert made.message == "already complete"

    def test_complete_serves_a_report_option(self):
        found = situation("complete", done=(1, 2, 3))
        assert decide(found, asked("resume", report_options=True)).action == "rederive"

    def test_complete_refuses_another_plan_on_resume_and_takes_it_on_skip(self):
        found = situation("complete", done=(1, 2, 3))
        assert decide(found, asked("resume", (1, 2))).exit_code == 6
        made = decide(found, asked("skip", (4,)))
        assert (made.action, made.run, made.planned) == ("reopen", (4,), (1, 2, 3, 4))

    def test_force_of_one_seed_keeps_the_others(self):
        made = decide(situation("complete", done=(1, 2, 3)), asked("force", (2,)))
        assert (made.action, made.run, made.supersede) == ("reopen", (2,), frozenset({2}))

    def test_force_refuses_when_a_seed_that_stays_does_not_verify(self):
        found = situation("damaged", done=(1, 2), broken=frozenset({3}))
        assert decide(found, asked("force", (2,))).exit_code == 5
        assert decide(found, asked("force", (3,))).quarantine == {3}


class TestDamaged:
    def test_resume_refuses_and_names_the_files(self):
        found = situation("damaged", done=(1, 2), broken=frozenset({3}))
        made = decide(found, asked("resume"))
        assert made.exit_code == 5
        assert "seed_3" in made.message

    def test_skip_repairs_seeds_and_derived_files(self):
        found = situation("damaged", done=(1, 2), broken=frozenset({3}))
        made = decide(found, asked("skip"))
        assert (made.action, made.run, made.quarantine) == ("reopen", (3,), frozenset({3}))
        derived = situation("damaged", done=(1, 2, 3), derived_damage=("aggregated/summary.json",))
        assert decide(derived, asked("skip")).action == "reopen"
        assert decide(derived, asked("resume")).exit_code == 5

    @pytest.mark.parametrize("flag", ["resume", "skip", "force"])
    def test_damaged_evidence_is_final(self, flag):
        found = situation("damaged", done=(1, 2, 3), evidence_damage=("provenance.json",))
        made = decide(found, asked(flag))
        assert made.exit_code == 5
        assert "provenance.json" in made.message


def test_the_mend_is_one_that_mends():
    def mend(flag="resume", **damage):
        made = decide(situation("damaged", done=(1, 2, 3), **damage), asked(flag))
        assert made.exit_code == 5
        return made.mend

    assert "zpml-report benchmark" in mend(derived_damage=("RUN_REPORT.md",))
    assert "--skip-complete-seeds" in mend(broken=frozenset({2}), derived_damage=("a.svg",))
    for flag in ("resume", "skip", "force"):  # also what is too much: a copy of it mends nothing
        assert "zpml-report validate" in mend(flag, evidence_damage=("notes.txt",))
