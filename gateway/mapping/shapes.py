"""The form of `adapters/<crm>.yaml`: which keys there are. Their sense is read elsewhere."""

from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from gateway.texts.yamltext import Strict


# Which arm of a union was meant, so that only that arm's errors are reported.
def _list_or_text(value: Any) -> str:
    return "list" if isinstance(value, list) else "text"


def _shape_or_text(value: Any) -> str:
    return "ParameterShape" if isinstance(value, dict | ParameterShape) else "text"


class ParameterShape(Strict):
    """A query parameter with more to say than one word; exactly one key."""

    max: int | None = Field(default=None, ge=0, le=999_999_999)
    searches: list[str] | None = None
    one_of: list[str] | None = None


Text = Annotated[str, Tag("text")]


class ResourceShape(Strict):
    """One kind of record."""

    sensitive: bool = True
    id: str | None = None
    fields: dict[
        str, Annotated[Text | Annotated[list[str], Tag("list")], Discriminator(_list_or_text)]
    ] = Field(default_factory=dict)
    classes: dict[str, list[str]] = Field(default_factory=dict)


class RouteShape(Strict):
    """One thing the CRM can be asked."""

    # `pass` is a word of Python's, so the attribute is called otherwise; the file's key is not.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    match: str
    resource: str
    action: str
    records: str = ""
    beside: list[str] = Field(default_factory=list)
    query: dict[
        str,
        Annotated[
            Text | Annotated[ParameterShape, Tag("ParameterShape")], Discriminator(_shape_or_text)
        ],
    ] = Field(default_factory=dict)
    headers: list[str] = Field(default_factory=list)
    passes: bool = Field(default=False, alias="pass")
    public: bool = False


class AdapterFile(Strict):
    """How a CRM speaks."""

    adapter: str
    actions: list[str] | None = None
    resources: dict[str, ResourceShape]
    routes: list[RouteShape]
