"""The form of `adapters/<crm>.yaml`: which keys there are. Their sense is read elsewhere."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from gateway.texts.yamltext import Strict

NAME_RULE = "must be lower-case letters, digits, `_` and `-`"  # `is_name`, in a finding


# Which arm of a union was meant, so that only that arm's errors are reported.
def _list_or_text(value: Any) -> str:
    return "list" if isinstance(value, list) else "text"


def _shape_or_text(shape: str) -> Callable[[Any], str]:
    return lambda value: shape if isinstance(value, dict | Strict) else "text"


class ParameterShape(Strict):
    """A query parameter with more to say than one word; one of these kinds.

    `recheck` goes with `searches`, `action` and `allowance` with `exact`.
    """

    max: int | None = Field(default=None, ge=0, le=999_999_999)
    searches: list[str] | None = None
    recheck: bool = False
    one_of: list[str] | None = None
    exact: str | None = None
    action: str | None = None
    allowance: int | None = Field(default=None, ge=1, le=10_000)  # an hour, for one person


class SalonShape(Strict):
    """Which field tells the salon, and how the CRM spells the salons."""

    field: str
    names: dict[str, str] = Field(default_factory=dict)


class EmbedShape(Strict):
    """Where records of another resource stand inside a record."""

    at: str
    resource: str


Text = Annotated[str, Tag("text")]


class ResourceShape(Strict):
    """One kind of record."""

    sensitive: bool = True
    id: str | None = None
    fields: dict[
        str, Annotated[Text | Annotated[list[str], Tag("list")], Discriminator(_list_or_text)]
    ] = Field(default_factory=dict)
    classes: dict[str, list[str]] = Field(default_factory=dict)
    facts: dict[str, str] = Field(default_factory=dict)
    salon: (
        Annotated[
            Text | Annotated[SalonShape, Tag("SalonShape")],
            Discriminator(_shape_or_text("SalonShape")),
        ]
        | None
    ) = None
    embeds: dict[
        str,
        Annotated[
            Text | Annotated[EmbedShape, Tag("EmbedShape")],
            Discriminator(_shape_or_text("EmbedShape")),
        ],
    ] = Field(default_factory=dict)
    lookup: str | None = None


class PathsShape(Strict):
    """How the CRM reads addresses."""

    case: Literal["exact", "insensitive"] = "exact"
    trailing_slash: Literal["as_written", "either"] = "as_written"


Query = dict[
    str,
    Annotated[
        Text | Annotated[ParameterShape, Tag("ParameterShape")],
        Discriminator(_shape_or_text("ParameterShape")),
    ],
]


class RouteShape(Strict):
    """One thing the CRM can be asked."""

    # `pass` is a word of Python's, so the attribute is called otherwise; the file's key is not.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    match: str
    resource: str
    action: str
    records: str = ""
    beside: list[str] = Field(default_factory=list)
    totals: list[str] = Field(default_factory=list)
    query: Query = Field(default_factory=dict)
    asks: Query = Field(default_factory=dict)  # the same, in a JSON body: by member path
    format: Literal["json", "ndjson", "events", "csv"] = "json"
    columns: dict[str, str] = Field(default_factory=dict)  # of CSV: header → member path
    websocket: bool = False
    ids: list[str] = Field(default_factory=list)
    headers: list[str] = Field(default_factory=list)
    passes: bool = Field(default=False, alias="pass")
    public: bool = False


Hours = Annotated[int | None, Field(ge=1, le=8760)]


class StepShape(Strict):
    """One address of the CRM's login; `match` is that of a `public` route."""

    match: str
    when: str | None = None


class IssuingShape(StepShape):
    """One that answers with a credential."""

    issues: str | None = None
    issues_refresh: str | None = None
    expires: str | None = None
    hours: Hours = None
    refresh_hours: Hours = None
    success: list[int] = Field(default_factory=list)


class SignInShape(IssuingShape):
    """Where somebody signs in."""

    staff: str
    by: Literal["crm_id", "id"] = "crm_id"
    who: str | None = None
    unless: list[str] = Field(default_factory=list)
    device: str | None = None
    continues: bool = False


class RefreshShape(IssuingShape):
    """Where a credential is exchanged for a fresh one."""

    presents: str


class SignOutShape(StepShape):
    """Where somebody signs out."""

    presents: str | None = None


class LoginShape(Strict):
    """The CRM's own login, from which the gateway learns who is who."""

    credential: str
    renews: bool = False
    sign_in: list[SignInShape]
    refresh: list[RefreshShape] = Field(default_factory=list)
    sign_out: list[SignOutShape] = Field(default_factory=list)


class AdapterFile(Strict):
    """How a CRM speaks."""

    adapter: str
    actions: list[str] | None = None
    paths: PathsShape = PathsShape()
    resources: dict[str, ResourceShape]
    routes: list[RouteShape]
    login: LoginShape | None = None
