"""What all API types share: frozen models, their field types, and marks for the CRD builder.

The models read what the API server stores (unknown fields are ignored, so that an older operator
can read a newer object) and are plain values: comparable, hashable, never changed in place.
Rules for people who write manifests are marks for the schema only; they cost nothing on reading.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from sysdisk.api.durations import (
    format_duration,
    format_time,
    parse_duration,
    parse_time,
    to_second,
)

V_co = TypeVar("V_co", covariant=True)

Json = dict[str, Any]
"""A JSON object, as the Kubernetes API speaks it."""


class ApiModel(BaseModel):
    """A frozen, hashable value with camelCase names in the API and snake_case names in Python."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )

    @classmethod
    def from_api(cls, data: Mapping[str, Any] | None) -> Self:
        """Return the value of a JSON object; None reads like `{}`.

        Raises pydantic.ValidationError (a ValueError) where it is not understood.
        """
        return cls.model_validate(data or {})

    def to_api(self) -> Json:
        """Return the JSON object for the API: camelCase, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with `changes` (Python names), checked like a new value.

        Unlike `model_copy`, which checks nothing and so could hold a list or a naive time.
        """
        return type(self).model_validate({**self.__dict__, **changes})


class FrozenMap(Mapping[str, V_co], Generic[V_co]):
    """An immutable, hashable mapping with text keys; a JSON object in the API."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V_co] | None = None) -> None:
        self._items: dict[str, V_co] = dict(items or {})

    def __getitem__(self, key: str) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return the schema of `dict[str, V]`, wrapped on reading and unwrapped on writing."""
        (value,) = get_args(source) or (Any,)
        plain = core_schema.dict_schema(core_schema.str_schema(), handler.generate_schema(value))
        return core_schema.no_info_before_validator_function(
            lambda data: data._items if isinstance(data, cls) else data,
            core_schema.no_info_after_validator_function(cls, plain),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda frozen: dict(frozen._items)
            ),
        )


def _read_time(value: Any) -> Any:
    if isinstance(value, str):
        return parse_time(value)
    return to_second(value) if isinstance(value, datetime) else value


def _read_duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An aware UTC time with second precision."""

Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 2, "maxLength": 16}),
]
"""A length of time, written as in Go."""


def _clip(limit: int) -> AfterValidator:
    return AfterValidator(lambda text: text if len(text) <= limit else text[: limit - 1] + "…")


Word = Annotated[str, _clip(256), WithJsonSchema({"type": "string", "maxLength": 256})]
"""A short text of status: an ID, a name, a state. Cut to its limit: no write fails on it."""

Message = Annotated[str, _clip(4096), WithJsonSchema({"type": "string", "maxLength": 4096})]
"""A text of status for people. Cut to its limit: no write fails on it."""


def last(limit: int) -> AfterValidator:
    """Return a validator that keeps the last `limit` entries of a list."""
    return AfterValidator(lambda entries: entries[-limit:])


def first(limit: int) -> AfterValidator:
    """Return a validator that keeps the first `limit` entries of a list."""
    return AfterValidator(lambda entries: entries[:limit])


RULES: Final = "x-kubernetes-validations"

ID_PATTERN: Final = r"^[^\x00-\x20\x7f]+$"
LABEL_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
REGION_PATTERN: Final = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
LABEL_KEY_PATTERN: Final = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE_PATTERN: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"


def rule(
    expression: str, message: str, *, field: str | None = None, reason: str | None = None
) -> Json:
    """Return one CEL validation; `field` is the path, below the place of the rule, to blame."""
    made: Json = {"rule": expression, "message": message}
    if field is not None:
        made["fieldPath"] = field
    if reason is not None:
        made["reason"] = reason
    return made


def rules(*made: Json) -> Json:
    """Return `made` as the extra schema of a field or a model."""
    return {RULES: list(made)}


def described(description: str, *made: Json, **extra: Any) -> Any:
    """Return the marks of a field: its description, CEL rules, and further schema keys.

    The rules come after those of the field's type.
    """

    def mark(schema: Json) -> None:
        schema.update(extra)
        if made:
            schema[RULES] = [*schema.get(RULES, ()), *made]

    return Field(description=description, json_schema_extra=mark)


def text(
    limit: int, pattern: str | None = None, says: str | None = None, *, least: int = 1
) -> WithJsonSchema:
    """Return the schema of a text that people write: `least` to `limit` characters, `pattern`.

    The pattern is there for editors, and again as a rule which `says` what is wrong. Only the API
    server checks it: what it stored is read as it is.
    """
    schema: Json = {"type": "string", "minLength": least, "maxLength": limit}
    if pattern is not None:
        schema["pattern"] = pattern
    if pattern is not None and says is not None:
        schema |= rules(rule(f"self.matches('{quoted(pattern)}')", says))
    return WithJsonSchema(schema)


def quoted(pattern: str) -> str:
    """Return a regular expression as the inside of a CEL text between single quotes."""
    return pattern.replace("\\", "\\\\").replace("'", "\\'")


_ID_SAYS: Final = "an ID or name of ECS holds no spaces and no control characters"
_LABEL_SAYS: Final = (
    "must be a DNS label: lower case letters, digits and dashes, no dash at either end"
)
_NAME_SAYS: Final = "must be a DNS name: lower case letters, digits, dashes and dots"
_REGION_SAYS: Final = (
    "must be a region ID, such as cn-hangzhou: lower case letters, digits and dashes"
)
LABEL_KEY_SAYS: Final = (
    "must be the key of a label, such as team or example.com/team: at most 63 letters, digits, "
    "dashes, underscores and dots, a letter or digit at either end, after an optional DNS name "
    "and a slash"
)
_LABEL_VALUE_SAYS: Final = (
    "must be the value of a label: at most 63 letters, digits, dashes, underscores and dots, a "
    "letter or digit at either end"
)

ResourceId = Annotated[str, text(128, ID_PATTERN, _ID_SAYS)]
"""An ID of ECS: no spaces and control characters; their shapes are ECS's own business."""

RegionId = Annotated[str, text(64, REGION_PATTERN, _REGION_SAYS)]
"""A region. Strict, because it becomes part of a host name that passwords are sent to."""

ObjectName = Annotated[str, text(253, NAME_PATTERN, _NAME_SAYS)]
"""The name of a Kubernetes object that is a DNS subdomain, such as a Secret."""

LabelName = Annotated[str, text(63, LABEL_PATTERN, _LABEL_SAYS)]
"""The name of a Kubernetes object that is a DNS label, such as a namespace."""

LabelKey = Annotated[str, text(317, LABEL_KEY_PATTERN, LABEL_KEY_SAYS)]
"""The key of a Kubernetes label. No object can have another, so a test of one holds or fails for
every object alike."""

LabelValue = Annotated[str, text(63, LABEL_VALUE_PATTERN, _LABEL_VALUE_SAYS, least=0)]
"""The value of a Kubernetes label; it may be empty."""


_DURATION_PATTERN: Final = "^([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"


def duration_rule(name: str, least: str, most: str) -> Json:
    """Return the rule that a duration is well-formed and from `least` to `most`."""
    return rule(
        f"self != '' && self.matches('{_DURATION_PATTERN}') && "
        f"duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
        f"{name} must be a duration from {least} to {most}, written like 90s, 10m or 1h30m",
    )
