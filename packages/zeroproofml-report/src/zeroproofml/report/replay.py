"""What a journal says: the chain is checked, then the events are played to one state."""

from __future__ import annotations

from dataclasses import dataclass, field

from zeroproofml.report.contract import JournalEvent, ResumeState
from zeroproofml.report.contract.journal import AttemptState, SeedStates
from zeroproofml.report.contract.strict_json import MAX_BYTES, parse, sha256
from zeroproofml.report.errors import FileInvalid

__all__ = ["JOURNAL", "Replay", "first_link", "read_journal"]

JOURNAL = "journal.jsonl"


def first_link(run_id: str) -> str:
    """The ``prev`` of a journal's first line.

    Examples
    --------
    >>> first_link("a" * 26)[:7]
    'sha256:'
    """
    return sha256(run_id.encode())


@dataclass
class Replay:
    """The state that the events so far lead to; :meth:`play` adds one."""

    events: list[JournalEvent] = field(default_factory=list)
    head: str = ""
    run_id: str = ""
    domain: str = ""
    mode: str = ""
    protocol: dict[str, object] = field(default_factory=dict)
    config_hash: str = ""
    planned: list[int] = field(default_factory=list)
    extended: bool = False
    """The plan grew after a seed was complete: every claim is ineligible."""
    committed: dict[int, str] = field(default_factory=dict)
    """Seed to the digest of its commit."""
    made_in: dict[int, int] = field(default_factory=dict)
    """Seed to the attempt that committed it."""
    failed: dict[int, str] = field(default_factory=dict)
    quarantined: set[int] = field(default_factory=set)
    attempts: list[AttemptState] = field(default_factory=list)
    requested: list[int] = field(default_factory=list)
    """Seeds of a forced rerun that are not superseded yet."""
    roots: list[str] = field(default_factory=list)
    """The root digest of every generation that was reopened."""
    sealing: tuple[int, str] | None = None
    """(generation, raw digest) if the last event is ``sealing``."""
    seed_event_since_reopened: bool = False

    @property
    def attempt(self) -> int:
        """The number of the attempt that runs or ran last; 0 before the first."""
        return len(self.attempts)

    @property
    def generation(self) -> int:
        """The generation that the next seal makes."""
        return len(self.roots) + 1

    def missing(self) -> list[int]:
        """Planned seeds that have neither a result nor a failure, in the order of the plan."""
        states = self.states()
        done = {*states.complete, *(int(seed) for seed in states.failed)}
        return [seed for seed in self.planned if seed not in done]

    def states(self) -> SeedStates:
        """Where each planned seed stands."""
        return SeedStates(
            planned=tuple(self.planned),
            complete=tuple(sorted(self.committed)),
            failed={
                str(seed): self.failed[seed]
                for seed in sorted(self.failed)
                if seed not in self.committed
            },
            quarantined=tuple(sorted(self.quarantined)),
        )

    def resume_state(self) -> ResumeState:
        """The snapshot that ``resume_state.json`` must hold."""
        return ResumeState(
            run_id=self.run_id,
            config_hash=self.config_hash,
            seeds=self.states(),
            attempts=tuple(self.attempts),
            journal_seq=len(self.events),
            journal_head=self.head,
        )

    def check(self, event: JournalEvent) -> None:
        """Raise unless ``event`` can follow what came before.

        Raises
        ------
        FileInvalid
            Code ``journal_chain``.
        """
        expected = self.head if self.events else first_link(str(event.data.get("run_id", "")))
        if event.seq != len(self.events) + 1 or event.prev != expected:
            self._refuse(event, "does not continue the chain")
        if (event.event == "created") != (not self.events):
            self._refuse(event, "'created' is the first event and only that")
        if event.attempt != self.attempt + (event.event == "attempt_started"):
            self._refuse(event, f"attempt is {event.attempt}, not the running one")
        seed = event.data.get("seed")
        if isinstance(seed, int) and seed not in self.planned:
            self._refuse(event, f"seed {seed} is not planned")
        if event.event == "seed_committed" and seed in self.committed:
            self._refuse(event, f"seed {seed} is committed already and was not superseded")

    def play(self, event: JournalEvent, line: bytes) -> None:
        """Add ``event``, whose stored bytes (without the newline) are ``line``.

        Raises
        ------
        FileInvalid
            Code ``journal_chain`` if the event cannot follow what came before.
        """
        self.check(event)
        self._apply(event)
        self.events.append(event)
        self.head = sha256(line)

    @staticmethod
    def _refuse(event: JournalEvent, message: str) -> None:
        raise FileInvalid(
            message,
            code="journal_chain",
            path=JOURNAL,
            pointer=f"/{event.seq}",
            hint="restore the journal from a copy",
        )

    def _apply(self, event: JournalEvent) -> None:
        name, data = event.event, dict(event.data)
        seed = data.get("seed")
        self.sealing = None
        if name == "created":
            self.run_id, self.config_hash = str(data["run_id"]), str(data["config_hash"])
            self.domain, self.mode = str(data["domain"]), str(data["mode"])
            self.protocol = dict(data["protocol"])  # type: ignore[arg-type]  # checked model
            self.planned = _seeds(data["seeds"])
        elif name == "attempt_started":
            state = AttemptState(
                attempt=event.attempt,
                kind=data["kind"],  # type: ignore[arg-type]  # a word of the model's literal
                started_at=event.time,
                completed_at_start=tuple(sorted(self.committed)),
            )
            self.attempts.append(state)
            if data["kind"] == "force":
                self.requested = _seeds(data["seeds"])
        elif name == "plan_extended":
            self.planned += [new for new in _seeds(data["seeds"]) if new not in self.planned]
            self.extended = self.extended or bool(self.committed)
        elif name == "reopened":
            self.roots.append(str(data["root"]))
            self.seed_event_since_reopened = False
        elif name == "sealing":
            self.sealing = (int(str(data["generation"])), str(data["raw_digest"]))
            self.requested = []
        elif isinstance(seed, int):
            self.seed_event_since_reopened = True
            self._apply_seed(event, seed)

    def _apply_seed(self, event: JournalEvent, seed: int) -> None:
        if event.event == "seed_committed":
            self.committed[seed] = str(event.data["commit_digest"])
            self.made_in[seed] = event.attempt
            self.failed.pop(seed, None)
            self.quarantined.discard(seed)
            self.requested = [other for other in self.requested if other != seed]
        elif event.event in ("superseded", "seed_quarantined"):
            self.committed.pop(seed, None)
            self.made_in.pop(seed, None)
            if event.event == "seed_quarantined":
                self.quarantined.add(seed)
        elif event.event == "seed_failed":
            self.failed[seed] = str(event.data["code"])
        elif event.event == "seed_started":
            self.failed.pop(seed, None)


def _seeds(value: object) -> list[int]:
    return [item for item in value if isinstance(item, int)] if isinstance(value, list) else []


def read_journal(data: bytes) -> tuple[Replay, int]:
    """Play a journal's bytes; also how many bytes at the end are a torn line (0: none).

    Raises
    ------
    FileInvalid
        Code ``journal_chain`` (a broken line that is not the last), ``schema_newer`` or the like.

    Examples
    --------
    >>> replay, torn = read_journal(b'{"schema_na')
    >>> len(replay.events), torn
    (0, 11)
    """
    if len(data) > MAX_BYTES:
        msg = f"{len(data)} bytes exceed the limit of {MAX_BYTES}"
        raise FileInvalid(msg, code="json_strict", path=JOURNAL)
    replay = Replay()
    lines = data.split(b"\n")
    tail = lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            value = parse(line, path=JOURNAL)
        except FileInvalid as error:
            if number == len(lines) and not tail:
                return replay, len(line) + 1
            msg = f"line {number} {error.message}"
            raise FileInvalid(
                msg, code="journal_chain", path=JOURNAL, hint="restore the journal from a copy"
            ) from None
        try:
            event = JournalEvent.from_plain(value, path=JOURNAL)
        except FileInvalid as error:
            msg = f"line {number}: {error.message}"
            raise FileInvalid(
                msg, code=error.code, path=JOURNAL, pointer=error.pointer, hint=error.hint
            ) from None
        replay.play(event, line)
    return replay, len(tail)
