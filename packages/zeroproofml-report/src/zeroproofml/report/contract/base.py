"""What all models of the contract share: strictness, the null rule, and the small field types."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)

from zeroproofml.report.contract.paths import check_path
from zeroproofml.report.contract.strict_json import canonical, digest, dump, parse
from zeroproofml.report.errors import FileInvalid

__all__ = [
    "ArmKey",
    "Count",
    "Digest",
    "DottedKey",
    "FileModel",
    "Interval",
    "Json",
    "Model",
    "Name",
    "ProtocolId",
    "Reason",
    "RelPath",
    "RunId",
    "Seed",
    "SeedKey",
    "Seq",
    "Time",
    "check_reasons",
    "null_paths",
]

T = TypeVar("T")

Reason = Literal[
    "not_applicable",
    "empty_set",
    "zero_denominator",
    "infinite",
    "nan",
    "overflow",
    "arm_failed",
    "too_few",
    "degenerate",
    "missing",
]
"""Why a number is ``null``."""

_KEY = r"^[a-z](_?[a-z0-9])*_?$"


def _listed(value: object) -> object:
    # JSON has lists, models are frozen: a list becomes a tuple before the strict check.
    return tuple(value) if isinstance(value, list) else value


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        msg = "the lower end is above the upper end"
        raise ValueError(msg)
    return pair


def _not_reserved(key: str) -> str:
    if key == "data":
        msg = "'data' is reserved"
        raise ValueError(msg)
    return key


Seq = Annotated[tuple[T, ...], BeforeValidator(_listed)]
"""A JSON array as an immutable tuple."""
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=_KEY, max_length=64)]
"""A metric key, domain or protocol name: ``[a-z][a-z0-9_]{0,63}`` without ``__``."""
ArmKey = Annotated[Name, AfterValidator(_not_reserved)]
DottedKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./+-]{1,200}$")]
Seed = Annotated[int, Field(ge=1, le=2**31 - 1)]
SeedKey = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}$")]
"""A seed as a JSON key: decimal, no leading zero."""
Count = Annotated[int, Field(ge=0)]
RunId = Annotated[str, Field(pattern=r"^[0-9a-z]{26}$")]
Time = Annotated[
    str,
    Field(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{6}Z$"),
]
"""UTC with microseconds."""
Interval = Annotated[tuple[float, float], BeforeValidator(_listed), AfterValidator(_ordered)]
"""``[lo, hi]``, closed."""
RelPath = Annotated[str, AfterValidator(check_path)]
Json = JsonValue


class Model(BaseModel):
    """A frozen, strict part of a file."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_default=True,
        ser_json_inf_nan="null",
    )

    def plain(self) -> dict[str, Json]:
        """The model as plain JSON data: dicts, lists, numbers, text.

        Examples
        --------
        >>> ProtocolId(name="standard", version=1).plain()
        {'name': 'standard', 'version': 1}
        """
        return self.model_dump(mode="json", by_alias=True)


class FileModel(Model):
    """A model that is a whole file (or a line of one) with a name and a version."""

    SCHEMA: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1

    def to_bytes(self) -> bytes:
        """The file form: indent 1, sorted keys, a final newline."""
        return dump(self.plain())

    def to_line(self) -> bytes:
        """The JSONL form: one canonical line with its newline."""
        return canonical(self.plain()) + b"\n"

    def digest(self) -> str:
        """The digest of the canonical form."""
        return digest(self.plain())

    @classmethod
    def from_bytes(cls, data: bytes, *, path: str = "") -> Self:
        """Parse strictly, check name and version, then the model.

        Raises
        ------
        FileInvalid
            Code ``json_strict``, ``schema``, ``schema_foreign`` or ``schema_newer``.
        """
        return cls.from_plain(parse(data, path=path), path=path)

    @classmethod
    def from_plain(cls, value: object, *, path: str = "") -> Self:
        """The model of already parsed data; the errors are those of :meth:`from_bytes`."""
        if not isinstance(value, dict):
            msg = "is not a JSON object"
            raise FileInvalid(msg, code="schema", path=path, hint="restore the file")
        _check_version(cls, value, path)
        try:
            made = cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            pointer = "".join(f"/{_escape(str(part))}" for part in first["loc"])
            msg = first["msg"].removeprefix("Value error, ")
            raise FileInvalid(
                msg, code="schema", path=path, pointer=pointer, hint="restore the file"
            ) from None
        except RecursionError:
            msg = "is nested too deep"
            raise FileInvalid(msg, code="schema", path=path, hint="restore the file") from None
        if (where := _first_difference(value, made.plain())) is not None:
            msg = "is a whole number where the contract has a real one (write 1.0, not 1)"
            raise FileInvalid(msg, code="schema", path=path, pointer=where, hint="restore the file")
        return made


class ProtocolId(Model):
    """The law of a benchmark: its name and version."""

    name: Name
    version: Annotated[int, Field(ge=1)]


def _check_version(cls: type[FileModel], value: Mapping[str, object], path: str) -> None:
    name, version = value.get("schema_name"), value.get("schema_version")
    expected = cls.SCHEMA
    known = name == expected or (
        expected.endswith(".*")
        and isinstance(name, str)
        and re.fullmatch(re.escape(expected[:-1]) + r"[a-z][a-z0-9_]*", name) is not None
    )
    if not known:
        msg = f"schema_name is {name!r:.80}, not '{expected}'"
        raise FileInvalid(
            msg,
            code="schema_foreign",
            path=path,
            pointer="/schema_name",
            hint="written by something else, zeroproofml 0.6.1 perhaps: rerun; not comparable",
        )
    if isinstance(version, int) and not isinstance(version, bool) and version > cls.VERSION:
        msg = f"schema_version {version} is newer than {cls.VERSION}"
        raise FileInvalid(
            msg,
            code="schema_newer",
            path=path,
            pointer="/schema_version",
            hint="upgrade zeroproofml-report",
        )
    if version != cls.VERSION or isinstance(version, bool) or not isinstance(version, int):
        msg = f"schema_version is {version!r:.40}, not {cls.VERSION}"
        raise FileInvalid(
            msg, code="schema", path=path, pointer="/schema_version", hint="restore the file"
        )


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


_SCALARS = frozenset({float, int, str, bool, type(None)})


def _first_difference(a: object, b: object) -> str | None:
    """The pointer to the first place where two JSON values differ in type or shape."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return "/" + _escape(min(a.keys() ^ b.keys()))
        for key, x in a.items():
            y = b[key]
            if type(x) is type(y) and type(x) in _SCALARS:  # most of them; a call each is slow
                continue
            if (where := _first_difference(x, y)) is not None:
                return f"/{_escape(key)}{where}"
        return None
    if isinstance(a, list) and isinstance(b, list):
        if list(map(type, a)) == list(map(type, b)) and _SCALARS.issuperset(map(type, a)):
            return None
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            if (where := _first_difference(x, y)) is not None:
                return f"/{index}{where}"
        return None
    return None if type(a) is type(b) else ""


def null_paths(value: object, prefix: str = "") -> Iterator[str]:
    """The dotted paths of every ``null`` inside ``value``.

    Examples
    --------
    >>> list(null_paths({"a": None, "b": {"c": [1, None]}}))
    ['a', 'b.c.1']
    """
    if value is None:
        yield prefix
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from null_paths(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from null_paths(item, f"{prefix}.{index}" if prefix else str(index))


def check_reasons(nulls: set[str], reasons: Mapping[str, str]) -> None:
    """Raise ``ValueError`` unless the keys of ``reasons`` are exactly ``nulls``.

    Examples
    --------
    >>> check_reasons({"sd"}, {"sd": "too_few"})
    """
    if unexplained := sorted(nulls - reasons.keys()):
        msg = f"null without a reason: {unexplained[0]}"
        raise ValueError(msg)
    if superfluous := sorted(reasons.keys() - nulls):
        msg = f"reason for something that is not null: {superfluous[0]}"
        raise ValueError(msg)
