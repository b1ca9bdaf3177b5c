"""`who-can`: everybody who may do something, and under which circumstances."""

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from gateway.app import load_bundle
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.exits import Exit
from gateway.cli.reports import EVERY_OUTPUT, Check, Outcome, print_report
from gateway.cli.say import known_app, parse_moment, print_table
from gateway.domain.finding import Place, did_you_mean
from gateway.enforcer.assertions import Assertion, check_asked, parse_assertion
from gateway.enforcer.cubes import TooManyError
from gateway.enforcer.proving import counterexample, rests_on
from gateway.tools.whocan import Line, Listing, WhoCan, who_can

DEVICES = {"approved": True, "unapproved": False, "unknown": None}
EPILOG = """\
examples:
  salon-gateway who-can read client.contact.phone
  salon-gateway who-can export client --at 2026-11-24T21:30
  salon-gateway who-can read client.health --app phone --device unapproved
  salon-gateway who-can delete client --fact own_client --salon aoyama
  salon-gateway who-can --assert 'never: role:stylist read client.contact.email'

Whoever is not listed never may. Lines for --assert can stand in policies/assertions.yaml.

exit codes: 0 answered, and every assertion holds, 1 an assertion is broken or somebody's rules
are too many to list, 2 usage, 3 the policy does not load
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "who-can",
        help="everybody who may do something, when, and by which rules",
        description="List everybody who may do something, at any time and with any device.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("action", nargs="?", metavar="ACTION", help="`read`, `export`, ...")
    words.add_argument(
        "target", nargs="?", metavar="TARGET", help="a card, a class of fields or a field"
    )
    words.add_argument("--at", metavar="MOMENT", help="on the salon's clock (default: any time)")
    words.add_argument("--app", metavar="NAME", help="in this app (default: any, or none)")
    words.add_argument(
        "--device", choices=[*DEVICES, "any"], default="any", help="(default: %(default)s)"
    )
    words.add_argument("--salon", help="people and records of this salon only")
    words.add_argument(
        "--fact",
        action="append",
        default=[],
        metavar="NAME",
        help="what is so (`own_client`) or is not (`!own_client`); may be given several times",
    )
    words.add_argument(
        "--assert",
        dest="assertions",
        action="append",
        default=[],
        metavar="LINE",
        help="prove a line instead: `never: WHO ACTION TARGET [when CONDITIONS]`",
    )
    words.set_defaults(run=run, outputs=EVERY_OUTPUT)


def run(args: argparse.Namespace) -> int:
    """Ask, or prove; print; exit."""
    bundle = load_bundle(args.config)
    try:
        if args.assertions:
            return _prove(args, _assertions(args, bundle), bundle)
        question = _question(args, bundle)
    except ValueError as error:
        print(f"salon-gateway who-can: {error}", file=sys.stderr)
        return Exit.USAGE
    listing = who_can(bundle, question)
    observed = [str(one) for one in bundle.observing(question.now)]
    match args.output:
        case "json":
            data = _as_data(question, listing) | {"observed": observed}
            print(json.dumps(data, ensure_ascii=False, indent=2))
        case "text":
            _print_text(question, listing)
            for one in observed:
                print(f"  as if everything counted; but {one}")
        case output:
            print_report(output, "who-can", list(_checks(question, listing)), args.config)
    return Exit.BROKEN if listing.unlisted else Exit.GOOD


def _question(args: argparse.Namespace, bundle: Bundle) -> WhoCan:
    if args.action is None or args.target is None:
        raise ValueError("say what: `who-can ACTION TARGET`, like `who-can export client`")
    check_asked(args.action, args.target, bundle.adapter.vocabulary)
    salons = {post.salon for person in bundle.people.values() for post in person.posts}
    if args.salon is not None and args.salon not in salons:
        raise ValueError(f"unknown salon `{args.salon}`; {did_you_mean(args.salon, salons)}")
    told: list[tuple[str, bool | None]] = []
    app = known_app(args.app, bundle.apps)
    if app is not None:
        told.append((f"app:{app}", True))
    if args.device != "any":
        told.append(("approved_device", DEVICES[args.device]))
    told += _facts(args, bundle)
    if args.at is not None:
        parse_moment(args.at, "UTC")  # raises ValueError with a readable message
    return WhoCan(
        action=args.action,
        target=args.target,
        now=SystemClock().now(),
        at=None if args.at is None else partial(parse_moment, args.at),
        told=tuple(told),
        salon=args.salon,
    )


def _facts(args: argparse.Namespace, bundle: Bundle) -> Iterator[tuple[str, bool]]:
    # Roles are those that people hold; whoever asks for one reads its line.
    known = bundle.words().conditions.of(args.target, deny=True) - bundle.roles
    for typed in args.fact:
        name = typed.removeprefix("!")
        if name not in known:
            raise ValueError(f"unknown condition `{name}`; {did_you_mean(name, known)}")
        yield name, not typed.startswith("!")


def _print_text(question: WhoCan, listing: Listing) -> None:
    several = any(line.targets != (question.target,) for line in listing.lines)
    rows = [_row(line, several=several) for line in listing.lines]
    said = (
        f"{name} not known" if value is None else name if value else f"!{name}"
        for name, value in question.told
    )
    print(f"{' & '.join([f'{question.action} {question.target}', *said])}:")
    if rows:
        heads = ["  who", *(["what"] if several else []), "when", "only if", "rules"]
        print_table([heads, *rows])
    if listing.never:
        print(f"  never: {', '.join(listing.never)}")
    for name in listing.unlisted:
        print(f"  not listed: {name}: its rules combine too many conditions", file=sys.stderr)


def _row(line: Line, *, several: bool) -> list[str]:
    name = f" ({line.name})" if line.name else ""
    dates = f", {line.dates}" if line.dates else ""
    inside = ["inside another record"] if line.inside else []
    return [
        f"  {line.said}{name}",
        *([", ".join(line.targets)] if several else []),
        line.hours + dates,
        " & ".join([*line.given, *inside]) or "-",
        ", ".join(map(str, line.by)),
    ]


def _as_data(question: WhoCan, listing: Listing) -> dict[str, Any]:
    return {
        "action": question.action,
        "target": question.target,
        "told": dict(question.told),
        "lines": [
            {
                "who": line.who,
                "name": line.name,
                "salons": list(line.salons),
                "targets": list(line.targets),
                "hours": line.hours,
                "dates": line.dates,
                "only_if": list(line.given),
                "inside_another_record": line.inside,
                "rules": list(map(str, line.by)),
            }
            for line in listing.lines
        ],
        "never": list(listing.never),
        "not_listed": list(listing.unlisted),
    }


def _assertions(args: argparse.Namespace, bundle: Bundle) -> list[Assertion]:
    if args.action is not None or args.fact or args.at or args.app or args.salon:
        raise ValueError("`--assert` stands alone; conditions follow in it after `when`")
    words = bundle.words()
    return [
        parse_assertion(text.removeprefix("never:").strip(), words, Place("--assert", number))
        for number, text in enumerate(args.assertions, start=1)
    ]


def _prove(args: argparse.Namespace, assertions: list[Assertion], bundle: Bundle) -> int:
    everyone = bundle.everyone()
    good = True
    answers: list[dict[str, Any]] = []
    for assertion in assertions:
        broken = ""
        rests: list[str] = []
        try:
            found = counterexample(everyone, assertion)
            if found is None:
                rests = list(map(str, sorted(rests_on(everyone, assertion))))
            else:
                broken = str(found)
        except TooManyError:
            broken = "cannot be proved: its rules combine too many conditions"
        good = good and not broken
        answers.append(
            {
                "never": assertion.text,
                "holds": not broken,
                "broken_by": broken,
                "rests_on": rests,
            }
        )
    match args.output:
        case "json":
            print(json.dumps(answers, ensure_ascii=False, indent=2))
        case "text":
            print("\n".join(map(_sentence, answers)))
        case output:
            print_report(output, "who-can", list(map(_proof, answers)), args.config)
    return Exit.GOOD if good else Exit.BROKEN


def _proof(answer: dict[str, Any]) -> Check:
    """One assertion for a CI server."""
    return Check(
        name=f"never: {answer['never']}",
        outcome=Outcome.PASSED if answer["holds"] else Outcome.FAILED,
        details=answer["broken_by"],
    )


def _checks(question: WhoCan, listing: Listing) -> Iterator[Check]:
    """Who may, one check a line, at its rule; whoever could not be listed fails."""
    for line in listing.lines:
        yield Check(
            name=" ".join(_row(line, several=True)).strip(),
            outcome=Outcome.PASSED,
            place=Place(line.by[0].file, line.by[0].line) if line.by else None,
        )
    for name in listing.unlisted:
        yield Check(
            name=f"{name}: {question.action} {question.target}",
            outcome=Outcome.FAILED,
            details="not listed: its rules combine too many conditions",
        )


def _sentence(answer: dict[str, Any]) -> str:
    if not answer["holds"]:
        return f"broken: {answer['never']}: {answer['broken_by']}"
    rests = ", ".join(answer["rests_on"])
    return f"holds: {answer['never']}" + (f" (it rests on {rests})" if rests else "")
