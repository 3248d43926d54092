"""``verify --recompute``: every derived number again, link by link. Run contract, section 8."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroproofml.report._verify import Link, LinkName
from zeroproofml.report.contract.layout import classify, seed_name
from zeroproofml.report.contract.strict_json import parse
from zeroproofml.report.errors import Finding, ReportError

if TYPE_CHECKING:
    from zeroproofml.report._fs import Tree
    from zeroproofml.report._validate import Inspection
    from zeroproofml.report.rundir import BenchmarkRun, RawRun

__all__ = ["recompute_links"]

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_R3 = ("aggregated/paired_stats.json", "aggregated/claims.json")
_MEND = "do not trust this number; derive the run again from its raw files"


@dataclass
class _Compared:
    """How far two JSON values are apart, and where they first break the rule."""

    exact: bool
    largest: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def numbers(self, path: str, pointer: str, stored: float, again: float) -> None:
        if stored == again and math.copysign(1.0, stored) == math.copysign(1.0, again):
            return
        apart = abs(stored - again)
        scale = max(abs(stored), abs(again))
        self.largest = max(self.largest, apart / scale if scale else 0.0)
        within = apart <= _ABSOLUTE or apart <= _RELATIVE * scale
        if self.exact or not within:
            self.note(path, pointer, stored, again)

    def note(self, path: str, pointer: str, stored: object, again: object) -> None:
        message = f"stored {stored!r:.80}, recomputed {again!r:.80}"
        self.findings.append(Finding("error", "recompute", path, pointer, message, _MEND))

    def values(self, path: str, pointer: str, stored: object, again: object) -> None:
        if isinstance(stored, float) and isinstance(again, float):
            self.numbers(path, pointer, stored, again)
        elif isinstance(stored, Mapping) and isinstance(again, Mapping):
            for key in sorted(stored.keys() | again.keys()):
                if key in stored and key in again:
                    self.values(path, f"{pointer}/{key}", stored[key], again[key])
                else:
                    self.note(path, f"{pointer}/{key}", stored.get(key), again.get(key))
        elif isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
            for index, (mine, other) in enumerate(zip(stored, again, strict=True)):
                self.values(path, f"{pointer}/{index}", mine, other)
        elif type(stored) is not type(again) or stored != again:
            self.note(path, pointer, stored, again)


def recompute_links(
    tree: Tree, seen: Inspection, raw: RawRun
) -> tuple[tuple[Link, ...], list[Finding]]:
    """Recompute R1 to R4, each from the stored input of that link; all findings.

    With another ``derive_version`` than this package's nothing is checked, which is said.
    """
    from zeroproofml.report.derive import DERIVE_VERSION

    stored_version = seen.manifest.deriver.derive_version if seen.manifest else DERIVE_VERSION
    if stored_version != DERIVE_VERSION:
        maker = seen.manifest.deriver if seen.manifest else None
        name = f"{maker.package} {maker.version}" if maker else "the package that made it"
        message = f"derived with derive_version {stored_version}, this is {DERIVE_VERSION}"
        finding = Finding(
            "error", "derive_version", "manifest.json", "", message, f"install {name}"
        )
        return (), [finding]
    compared = _Compared(exact=_same_environment(raw))
    links, findings = [], []
    links.append(_guarded("R1", compared, lambda: _metrics(raw, compared)))
    findings += compared.findings
    derived = _Compared(exact=compared.exact)
    links += _derived(tree, seen, raw, derived)
    findings += derived.findings
    return tuple(links), findings


def _same_environment(raw: RawRun) -> bool:
    """Whether the numbers here come from the same NumPy on the same kind of machine."""
    import numpy as np

    here = (
        ".".join(platform.python_version_tuple()[:2]),
        platform.system(),
        platform.machine(),
        np.__version__,
    )
    return all(
        here
        == (
            attempt.environment.identity.python,
            attempt.environment.identity.system,
            attempt.environment.identity.machine,
            attempt.environment.identity.packages.get("numpy"),
        )
        for attempt in raw.provenance.attempts
    )


def _guarded(name: LinkName, compared: _Compared, work: Callable[[], None]) -> Link:
    before = len(compared.findings)
    try:
        work()
    except ReportError as error:
        compared.findings.append(error.finding())
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        message = f"cannot be recomputed: {type(error).__name__} {error!s:.200}"
        compared.findings.append(Finding("error", "recompute", "", "", message, _MEND))
    broken = len(compared.findings) > before
    text = {
        "R1": "predictions and data sets to metrics",
        "R2": "seed results to summary, domain aggregates and metric log",
        "R3": "seed results, embedded baseline and declared claims to contrasts and verdicts",
        "R4": "stored numbers, raw files and provenance to pages and figures",
    }[name]
    return Link(name, "broken" if broken else "ok", compared.largest, text)


def _metrics(raw: RawRun, compared: _Compared) -> None:
    """R1: what the domain's own function makes of the stored arrays."""
    for seed, result in raw.results.items():
        path = f"{seed_name(seed)}/per_seed_result.json"
        working = [arm for arm in raw.config.arms if result.arms[arm].status == "ok"]
        again = raw.protocol.seed_metrics(raw.arrays(seed), raw.config.settings, working)
        for arm in working:
            stored = result.arms[arm]
            compared.values(path, f"/arms/{arm}/metrics", stored.metrics, again[arm].metrics)
            reasons = {k: v for k, v in stored.reasons.items() if k in stored.metrics}
            compared.values(path, f"/arms/{arm}/reasons", reasons, again[arm].reasons)


def _derived(tree: Tree, seen: Inspection, raw: RawRun, compared: _Compared) -> list[Link]:
    from zeroproofml.report.derive import Options, derive

    baseline = seen.paired.baseline if seen.paired else None
    html = "RUN_REPORT.html" in seen.present
    made: dict[str, bytes] = {}

    def make() -> None:
        made.update(derive(raw, Options(html=html, baseline=baseline)))

    stored = {path for path in seen.present if _is_derived(path)}
    first = _guarded("R2", compared, make)
    if first.status == "broken":
        return [first]
    numbers = {path for path in stored | made.keys() if path.endswith((".json", ".jsonl"))}

    def files(paths: set[str]) -> None:
        for path in sorted(paths):
            _file(tree, path, path in stored, made.get(path), compared)

    links = [_guarded("R2", compared, lambda: files(numbers - set(_R3)))]
    links.append(_guarded("R3", compared, lambda: files(numbers & set(_R3))))
    links.append(_guarded("R4", compared, lambda: files((stored | made.keys()) - numbers)))
    return links


def _is_derived(path: str) -> bool:
    found = classify(path)
    return found is not None and found.role == "derived"


def _file(tree: Tree, path: str, there: bool, again: bytes | None, compared: _Compared) -> None:
    if not there or again is None:
        what = "is not stored" if again is not None else "is not what a derivation makes"
        compared.findings.append(Finding("error", "recompute", path, "", what, _MEND))
        return
    data = tree.read(path)
    if data == again:
        return
    before = len(compared.findings)
    if path.endswith(".json"):
        compared.values(path, "", parse(data, path=path), parse(again, path=path))
    elif path.endswith(".jsonl"):
        lines = [[parse(x, path=path) for x in part.splitlines()] for part in (data, again)]
        compared.values(path, "", *lines)
    else:
        first = next(
            (n for n, (a, b) in enumerate(zip(data, again, strict=False)) if a != b),
            min(len(data), len(again)),
        )
        compared.note(path, f"byte {first}", data[first : first + 40], again[first : first + 40])
    if compared.exact and len(compared.findings) == before:
        compared.findings.append(
            Finding("error", "recompute", path, "", "same values in another byte form", _MEND)
        )


def embedded_findings(seen: Inspection, baseline: BenchmarkRun) -> list[Finding]:
    """The embedded baseline values are those of the run given."""
    path = "aggregated/paired_stats.json"
    block = seen.paired.baseline if seen.paired else None
    if block is None:
        message = "embeds no baseline"
        return [Finding("error", "recompute", path, "/baseline", message, "drop the option")]
    if block.raw_digest != baseline.manifest.raw_digest:
        message = "raw_digest is not that of the baseline given"
        return [
            Finding("error", "recompute", path, "/baseline/raw_digest", message, "name that run")
        ]
    compared = _Compared(exact=True)
    for arm, metrics in block.values.items():
        for metric, seeds in metrics.items():
            for seed, value in seeds.items():
                try:
                    other = baseline.seed(int(seed)).arms[arm].metrics[metric]
                except (ReportError, KeyError):
                    other = None
                where = f"/baseline/values/{arm}/{metric}/{seed}"
                compared.values(path, where, value, other)
    return compared.findings
