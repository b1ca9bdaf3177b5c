"""`facts:` and `salon:` of a resource: what its records tell to rules.

A fact compares one value. A field that holds a list or a whole subtree has no one value, so
no fact and no salon can be read from it.
"""

from collections.abc import Callable, Mapping

from gateway.domain.access import REQUEST_CONDITIONS
from gateway.domain.fieldpath import ITEMS
from gateway.domain.finding import did_you_mean
from gateway.domain.record import MAX_FACTS, RecordFact, SalonOf, parse_comparison
from gateway.domain.resource import Field
from gateway.domain.subject import is_name
from gateway.mapping.shapes import NAME_RULE, ResourceShape, SalonShape
from gateway.texts.yamltext import Key

Complain = Callable[..., None]


def read_facts(
    shape: ResourceShape, fields: Mapping[str, Field], complain: Complain
) -> tuple[RecordFact, ...]:
    """Read the facts, in the file's order; what is wrong is left out and complained about."""
    if len(shape.facts) > MAX_FACTS:
        complain(f"a resource may have {MAX_FACTS} facts; remove some", "facts")
    found: list[RecordFact] = []
    for name, text in shape.facts.items():
        where = ("facts", name)
        if name in REQUEST_CONDITIONS:
            complain(f"`{name}` is a condition of every request; name the fact otherwise", *where)
        elif not is_name(name):
            complain(f"the name of the fact `{name}` {NAME_RULE}", *where)
        try:
            field, comparison = parse_comparison(text)
        except ValueError as error:
            complain(str(error), *where)
            continue
        if _has_one_value(field, fields, complain, *where):
            found.append(RecordFact(name=name, field=field, comparison=comparison))
    return tuple(found)


def read_salon(
    shape: ResourceShape, fields: Mapping[str, Field], complain: Complain
) -> SalonOf | None:
    """Read which field tells a record's salon; None if none does, or it was complained about."""
    if shape.salon is None:
        return None
    if not isinstance(shape.salon, SalonShape):
        known = _has_one_value(shape.salon, fields, complain, "salon")
        return SalonOf(field=shape.salon) if known else None
    for spelled, salon in shape.salon.names.items():
        where = ("salon", "names", spelled)
        if not spelled:
            complain("a salon's name in the CRM is empty; write it out", *where)
        if not is_name(salon):
            complain(f"the salon name `{salon}` {NAME_RULE}", *where)
    field = shape.salon.field
    if not _has_one_value(field, fields, complain, "salon", "field"):
        return None
    return SalonOf(field=field, names=shape.salon.names)


def _has_one_value(
    name: str, fields: Mapping[str, Field], complain: Complain, *where: Key
) -> bool:
    field = fields.get(name)
    if field is None:
        complain(f"unknown field `{name}`; {did_you_mean(name, fields)}", *where)
        return False
    several = [path for path in field.paths if path.whole or ITEMS in path.steps]
    if several:
        complain(
            f"`{several[0]}` (the field `{name}`) is more than one value; "
            "only a field without `[]` and `.**` can be compared",
            *where,
        )
    return not several
