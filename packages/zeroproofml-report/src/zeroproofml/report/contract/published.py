"""The JSON Schemas that this package publishes, one per model of a file.

They lie beside this module under ``schemas/`` and are generated from the models; a test compares.
"""

from importlib import resources

from zeroproofml.report.answers import (
    Comparison,
    DerivedIndex,
    PageIndex,
    RunList,
    ValidationAnswer,
    VerificationAnswer,
)
from zeroproofml.report.contract.base import FileModel, Json
from zeroproofml.report.contract.bundle import BundleMetadata, BundleValidation
from zeroproofml.report.contract.claims import ClaimsFile
from zeroproofml.report.contract.derived import PairedStats, Summary
from zeroproofml.report.contract.journal import EVENT_DATA, JournalEvent, ResumeState
from zeroproofml.report.contract.manifest import Manifest
from zeroproofml.report.contract.metric_log import MetricRecord
from zeroproofml.report.contract.provenance import Provenance
from zeroproofml.report.contract.seed import SeedCommit, SeedResult
from zeroproofml.report.contract.strict_json import dump
from zeroproofml.report.errors import UsageError

__all__ = ["MODELS", "published", "schema", "schema_files"]

MODELS: tuple[type[FileModel], ...] = (
    Manifest,
    Provenance,
    JournalEvent,
    ResumeState,
    SeedResult,
    SeedCommit,
    Summary,
    PairedStats,
    ClaimsFile,
    MetricRecord,
    ValidationAnswer,
    VerificationAnswer,
    Comparison,
    RunList,
    DerivedIndex,
    PageIndex,
    BundleMetadata,
    BundleValidation,
)


def _name(model: type[FileModel]) -> str:
    return model.SCHEMA.removesuffix(".*")


def schema(model: type[FileModel]) -> dict[str, Json]:
    """The JSON Schema (2020-12) of a model, generated.

    Examples
    --------
    >>> schema(SeedCommit)["$id"]
    'urn:zeroproofml:schema:zeroproofml.seed_commit:1'
    """
    made = model.model_json_schema(mode="validation")
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["$id"] = f"urn:zeroproofml:schema:{_name(model)}:{model.VERSION}"
    # Both have a default in Python only; a file without them is refused.
    made["required"] = ["schema_name", "schema_version"] + [
        name for name in made["required"] if not name.startswith("schema_")
    ]
    if model is JournalEvent:
        made["oneOf"] = [
            {"properties": {"event": {"const": event}, "data": data.model_json_schema()}}
            for event, data in EVENT_DATA.items()
        ]
    return made


def schema_files() -> dict[str, bytes]:
    """File name to the bytes it must have, for every model.

    Examples
    --------
    >>> "zeroproofml.run_manifest.v1.json" in schema_files()
    True
    """
    return {f"{_name(model)}.v{model.VERSION}.json": dump(schema(model)) for model in MODELS}


def published(name: str, version: int = 1) -> bytes:
    """The packaged schema of that name.

    Raises
    ------
    UsageError
        If there is none.

    Examples
    --------
    >>> published("zeroproofml.seed_commit")[:1]
    b'{'
    """
    known = {f"{_name(model)}.v{model.VERSION}.json" for model in MODELS}
    file = f"{name}.v{version}.json"
    if file not in known:
        msg = f"no schema {name!r:.80} of version {version!r:.20}"
        raise UsageError(msg, hint=f"known are {', '.join(sorted(known))}")
    return resources.files(__package__).joinpath("schemas", file).read_bytes()
