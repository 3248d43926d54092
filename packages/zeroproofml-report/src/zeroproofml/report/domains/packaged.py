"""A protocol from its packaged data: arms, settings, metrics and claims are JSON."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from zeroproofml.report.contract.claims import Claim
from zeroproofml.report.domains import Arm, ArmMetrics, Protocol
from zeroproofml.report.domains.ranking import Null

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zeroproofml.report.contract.derived import MetricDefinition
    from zeroproofml.report.domains.ranking import Value
    from zeroproofml.report.rundir import RawRun


def load(
    domain: str,
    name: str,
    definitions: Callable[[Sequence[Mapping[str, Any]]], dict[str, MetricDefinition]],
    **functions: Callable[..., Any],
) -> Protocol:
    """The protocol ``name``; ``definitions`` expands its metric entries, ``functions`` are its own.

    >>> from zeroproofml.report.domains.ik.classic import CLASSIC
    >>> CLASSIC.name, CLASSIC.reference_arm
    ('classic', 'mlp_iso')
    """
    source = resources.files("zeroproofml.report.domains") / "data" / f"{domain}_{name}_v1.json"
    data = json.loads(source.read_text(encoding="utf-8"))
    return Protocol(
        domain=data["domain"],
        name=data["name"],
        version=data["version"],
        arms=tuple(
            Arm(
                arm["key"],
                arm["label"],
                arm["role"],
                tuple(arm["needs"]),
                tuple(arm.get("modes", ())),
            )
            for arm in data["arms"]
        ),
        reference_arm=data["reference_arm"],
        required_arms=tuple(data["required_arms"]),
        metric_set=(data["metric_set"][0], data["metric_set"][1]),
        settings=data["settings"],
        seeds=data["seeds"],
        dtype=data["dtype"],
        threads=data["threads"],
        metrics=definitions(data["metrics"]),
        declared_metrics=tuple(data["declared_metrics"]),
        claims=tuple(Claim.model_validate(claim) for claim in data["claims"]),
        **functions,
    )


def split(numbers: Mapping[str, Value]) -> ArmMetrics:
    """Numbers and reason codes as the contract stores them.

    >>> split({"a": 1.0, "b": Null("empty_set")})
    ArmMetrics(metrics={'a': 1.0, 'b': None}, reasons={'b': 'empty_set'})
    """
    reasons = {name: str(value) for name, value in numbers.items() if isinstance(value, Null)}
    metrics = {name: None if name in reasons else float(v) for name, v in numbers.items()}
    return ArmMetrics(metrics, reasons)


def head(run: RawRun, schema: str) -> dict[str, Any]:
    """The first fields of a domain's derived file: which run, and which derivation."""
    # Not at the top: the derivation knows the domains, not the other way round.
    from zeroproofml.report.derive import DERIVE_VERSION

    return {
        "schema_name": f"zeroproofml.{schema}",
        "schema_version": 1,
        "derive_version": DERIVE_VERSION,
        "domain": run.config.domain,
        "mode": run.config.mode,
        "protocol": run.config.protocol.plain(),
        "config_hash": run.provenance.config_hash,
        "raw_digest": run.raw_digest,
    }
