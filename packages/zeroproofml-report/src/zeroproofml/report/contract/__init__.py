"""The models of every file of a run directory, exactly as the run contract names them."""

from zeroproofml.report.contract.claims import Claim, ClaimNumbers, ClaimResult, ClaimsFile
from zeroproofml.report.contract.derived import (
    ArmValues,
    Baseline,
    Cell,
    Contrast,
    MetricDefinition,
    PairedStats,
    Summary,
)
from zeroproofml.report.contract.journal import JournalEvent, ResumeState
from zeroproofml.report.contract.manifest import (
    Deriver,
    FileEntry,
    Fingerprints,
    Manifest,
    Seeds,
)
from zeroproofml.report.contract.metric_log import MetricContext, MetricRecord
from zeroproofml.report.contract.provenance import (
    Attempt,
    Environment,
    EnvironmentIdentity,
    Executor,
    Plan,
    Provenance,
    Resources,
    RunConfig,
    Source,
)
from zeroproofml.report.contract.seed import (
    ArmResult,
    DatasetRef,
    MetricSet,
    SeedCommit,
    SeedResult,
    Thresholds,
    Timing,
    Training,
)

# fmt: off
__all__ = [
    "ArmResult", "ArmValues", "Attempt", "Baseline", "Cell", "Claim", "ClaimNumbers",
    "ClaimResult", "ClaimsFile", "Contrast", "DatasetRef", "Deriver", "Environment",
    "EnvironmentIdentity", "Executor", "FileEntry", "Fingerprints", "JournalEvent", "Manifest",
    "MetricContext", "MetricDefinition", "MetricRecord", "MetricSet", "PairedStats", "Plan",
    "Provenance", "Resources", "ResumeState", "RunConfig", "SeedCommit", "SeedResult", "Seeds",
    "Source", "Summary", "Thresholds", "Timing", "Training",
]
# fmt: on
