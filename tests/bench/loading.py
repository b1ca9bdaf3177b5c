"""From the owner's files to a policy that can decide, and to everything `check` has to say."""

from gateway.build import build
from gateway.bundle import Bundle
from gateway.enforcer.index import compile_index
from gateway.enforcer.rules import parse_rules
from gateway.tools.lint import lint
from tests.bench import policies
from tests.bench.deciding import subjects
from tests.bench.measure import Contender, side_by_side, spell
from tests.bench.tables import Section


def loading(sizes: tuple[int, ...], *, quick: bool) -> tuple[Section, dict[int, Bundle]]:
    """Time it.

    Returns:
        The section, and a policy of each size for the other parts.
    """
    bundles, rows = {}, []
    for count in sizes:
        bundles[count] = bundle = build(policies.sources(count))
        rounds = 1 if quick else 2 if count > 10_000 else 5
        timings = side_by_side(_contenders(bundle, count), rounds=rounds)
        parts = [timings[name].seconds for name in ("read", "compile", "build", "lint")]
        rows.append((f"{count:,}", *map(spell, parts), spell(parts[2] + parts[3]), str(rounds)))
    section = Section(
        title="Loading a policy",
        about=(
            "Target: 10,000 rows read, checked and compiled within 1 s.\n\n"
            "*Read* is salon_rules.csv alone, *compile* the index alone; *load* is everything "
            f"from bytes to a policy, with the roster of {policies.PEOPLE} people, the hours, the "
            "adapter and the model; *look over* is what `salon-gateway check` does besides with "
            "the rules (contradictory, shadowed, redundant, never asked). Its proof against stock "
            "pycasbin is left out: that takes as long as pycasbin does, whatever the rows."
        ),
        columns=("rows", "read", "compile", "load", "look over", "load and look over", "rounds"),
        rows=rows,
    )
    return section, bundles


def _contenders(bundle: Bundle, count: int) -> dict[str, Contender]:
    sources, words = policies.sources(count), bundle.words()
    text = sources.rules.data.decode()
    people = subjects(bundle)
    vocabulary = bundle.adapter.vocabulary
    return {
        "read": Contender(run=lambda: parse_rules(text, "salon_rules.csv", words)),
        "compile": Contender(
            run=lambda: compile_index(bundle.rules, vocabulary, people, bundle.matcher)
        ),
        "build": Contender(run=lambda: build(sources)),
        "lint": Contender(run=lambda: lint(bundle)),
    }
