"""What a command may do with a directory: the decision table of the run contract, section 5.5.

A pure function of what is on disk (`Situation`) and what is asked (`Request`). It writes nothing,
so `--dry-run` and the real run cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Flag = Literal["none", "resume", "skip", "force"]
State = Literal["empty", "running", "resumable", "complete", "partial", "damaged", "foreign"]
Action = Literal["start", "continue", "reopen", "nothing", "rederive", "refuse"]

FLAGS = "give --resume, --skip-complete-seeds or --force-rerun, or another --out-root"


@dataclass(frozen=True)
class Difference:
    """One key in which the run on disk and this command disagree.

    Examples
    --------
    >>> Difference("config.threads", 1, 2).line()
    'config.threads: run has 1, this command 2'
    """

    key: str
    run: object
    command: object

    def line(self) -> str:
        """The difference as words."""
        return f"{self.key}: run has {self.run}, this command {self.command}"


@dataclass(frozen=True)
class Request:
    """What is asked: the flag, the seeds (None: not named), and the mode's default seeds."""

    flag: Flag
    seeds: tuple[int, ...] | None
    default_seeds: tuple[int, ...]
    report_options: bool = False
    """A report option is given that the run does not serve yet."""


@dataclass(frozen=True)
class Situation:
    """What is on disk.

    `committed`: seeds whose commit verifies; `broken`: seeds whose commit does not; `pending`:
    seeds of an unfinished --force-rerun that are not superseded yet; `differences`: keys that
    differ from the identities of the committed seeds; `evidence_damage`: damaged files that are
    neither a seed's nor derived; `derived_damage`: damaged derived files.
    """

    state: State
    planned: tuple[int, ...] = ()
    committed: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()
    pending: tuple[int, ...] = ()
    domain_difference: Difference | None = None
    differences: tuple[Difference, ...] = ()
    evidence_damage: tuple[str, ...] = ()
    derived_damage: tuple[str, ...] = ()
    obstacle: str = ""
    """What stands at the path if that is no directory."""


@dataclass(frozen=True)
class Decision:
    """What to do: the action, the plan afterwards, and which seeds run, move or are set aside."""

    action: Action
    exit_code: int = 0
    message: str = ""
    mend: str = ""
    planned: tuple[int, ...] = ()
    run: tuple[int, ...] = ()
    supersede: frozenset[int] = frozenset()
    quarantine: frozenset[int] = frozenset()
    differences: tuple[Difference, ...] = ()


def decide(found: Situation, asked: Request) -> Decision:
    """One cell of the table.

    Examples
    --------
    >>> decide(Situation("empty"), Request("none", (1, 2), (1,))).run
    (1, 2)
    >>> decide(Situation("foreign"), Request("force", None, (1,))).exit_code
    2
    """
    if found.state == "running":
        return Decision("refuse", 11, "another process writes this run", "wait for it to end")
    if found.state == "foreign":
        what = found.obstacle or "holds files that are no run"
        return Decision("refuse", 2, what, "choose another --out-root")
    if found.state == "empty":
        seeds = asked.seeds or asked.default_seeds
        return Decision("start", planned=seeds, run=seeds)
    if found.domain_difference is not None:
        difference = found.domain_difference
        return Decision(
            "refuse",
            6,
            f"belongs to another domain ({difference.line()})",
            "choose another --out-root",
            differences=(difference,),
        )
    if asked.flag == "none":
        return Decision("refuse", 2, f"holds a {_words(found)} run", FLAGS)
    if asked.flag == "force":
        return _force(found, asked)
    return _go_on(found, asked)


def _words(found: Situation) -> str:
    if found.state == "resumable":
        return f"resumable ({len(found.committed)} of {len(found.planned)} seeds)"
    return found.state


def _go_on(found: Situation, asked: Request) -> Decision:
    """--resume and --skip-complete-seeds."""
    if found.differences:
        return _not_same(found)
    if found.state == "damaged":
        names = ", ".join((*found.evidence_damage, *(f"seed_{s}" for s in sorted(found.broken))))
        names = names or ", ".join(found.derived_damage)
        if asked.flag == "resume" or found.evidence_damage:
            return Decision("refuse", 5, f"is damaged: {names}", _mend(found, asked))
    planned = found.planned
    if asked.flag == "resume" and asked.seeds is not None and set(asked.seeds) != set(planned):
        difference = Difference("seeds", _seeds(planned), _seeds(asked.seeds))
        return Decision(
            "refuse",
            6,
            f"has another plan ({difference.line()})",
            "leave --seeds out, or use --skip-complete-seeds to add seeds",
            differences=(difference,),
        )
    if asked.flag == "skip" and asked.seeds is not None:
        planned = (*planned, *(seed for seed in asked.seeds if seed not in planned))
    pending = frozenset(found.pending) & found.committed
    todo = tuple(s for s in planned if s not in found.committed or s in pending)
    sealed = found.state in ("complete", "partial", "damaged")
    if found.state == "complete" and not todo:
        if asked.report_options:
            return Decision("rederive", planned=planned)
        return Decision("nothing", message="already complete", planned=planned)
    return Decision(
        "reopen" if sealed else "continue",
        planned=planned,
        run=todo,
        supersede=pending,
        quarantine=found.broken,
    )


def _force(found: Situation, asked: Request) -> Decision:
    requested = found.planned if asked.seeds is None else asked.seeds
    if found.differences and not set(found.planned) <= set(requested):
        return _not_same(found)
    if any(each.key.partition(".")[0] == "config" for each in found.differences):
        return _not_same(found)  # the first line of its journal binds a run to its config
    if found.evidence_damage:
        names = ", ".join(found.evidence_damage)
        return Decision("refuse", 5, f"is damaged: {names}", _mend(found, asked))
    sealed = found.state in ("complete", "partial", "damaged")
    left_broken = sorted(found.broken - set(requested))
    if sealed and left_broken:
        names = ", ".join(f"seed_{seed}" for seed in left_broken)
        return Decision(
            "refuse", 5, f"seeds that would be kept do not verify: {names}", _mend(found, asked)
        )
    planned = (*found.planned, *(seed for seed in requested if seed not in found.planned))
    # An unsealed run has no result for its missing seeds: the run is not done without them.
    missing = set() if sealed else set(planned) - found.committed
    todo = tuple(seed for seed in planned if seed in requested or seed in missing)
    return Decision(
        "reopen" if sealed else "continue",
        planned=planned,
        run=todo,
        supersede=frozenset(requested) & found.committed,
        quarantine=found.broken,
        differences=found.differences,
    )


def _not_same(found: Situation) -> Decision:
    lines = "; ".join(each.line() for each in found.differences)
    mend = "choose another --out-root"
    if not any(each.key.partition(".")[0] == "config" for each in found.differences):
        mend += ", or give --force-rerun with every planned seed"
    return Decision(
        "refuse",
        6,
        f"was made differently: {lines}",
        mend,
        differences=found.differences,
    )


def _mend(found: Situation, asked: Request) -> str:
    if found.evidence_damage:
        return "mend what zpml-report validate names, or start a new run with another --out-root"
    if asked.flag == "force":
        return "name these seeds too"
    if not found.broken:
        return "make these files again with zpml-report benchmark, or with --skip-complete-seeds"
    return "restore these files, or use --skip-complete-seeds to set them aside and run them again"


def _seeds(seeds: tuple[int, ...]) -> str:
    words = ",".join(str(seed) for seed in seeds[:20])
    return words if len(seeds) <= 20 else f"{words},… ({len(seeds)})"
