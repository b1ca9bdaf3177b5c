"""`test`: does the policy do what the owner's cases say, and would they notice if it did not?"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app import base_of, load_settings
from gateway.backends.policy_folder import CASES, PolicyFolder, read_owned
from gateway.build import SourceFile, build
from gateway.bundle import Bundle
from gateway.cli.exits import Exit
from gateway.cli.reports import EVERY_OUTPUT, Check, Outcome, of_findings, print_report
from gateway.cli.say import paint, print_findings
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.enforcer.rules import Rule
from gateway.tools.cases import Cases, Result, read_cases, run_all
from gateway.tools.mutants import Change, Coverage, Mutant, Score, coverage, mutation_score

EPILOG = """\
examples:
  salon-gateway test
  salon-gateway test policies/cases/starter.yaml
  salon-gateway test --coverage --mutants
  salon-gateway test --min-score 90
  salon-gateway --output junit test

Cases are sentences with a request and the answer it must get: docs/policy.md.
A mutant is the policy with one row deleted, or turned from allow to deny or back. One that no
case notices names a row that no case holds.

exit codes: 0 every case passes, 1 the score is below --min-score, 2 usage (also: there are no
cases), 3 the policy or a case file does not load, 4 cases fail
"""
_KEY_COLUMNS = len("decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything there is to tell."""

    bundle: Bundle
    results: Sequence[Result]
    coverage: Coverage
    score: Score | None
    list_uncovered: bool
    min_score: int | None

    @property
    def failed(self) -> list[Result]:
        """The cases that did not come out as they say."""
        return [result for result in self.results if not result.passed]

    @property
    def too_low(self) -> bool:
        """Is the score below what was asked for?"""
        score, wanted = self.score, self.min_score
        if score is None or wanted is None:
            return False
        return score.killed * 100 < wanted * len(score.mutants)

    @property
    def warnings(self) -> list[Finding]:
        """Rows without a case, where they were asked for, and mutants that survived."""
        found = []
        if self.list_uncovered:
            found += [_warn(rule, "no case comes to this row") for rule in self.coverage.uncovered]
        if self.score is not None:
            found += [_warn(mutant.rule, _unnoticed(mutant)) for mutant in self.score.survivors]
        return sorted(found)


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "test",
        help="does the policy do what your cases say?",
        description="Run the cases of the policy folder, or of the files given.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("files", nargs="*", metavar="FILE", help="default: all in policies/cases")
    words.add_argument("--coverage", action="store_true", help="list rows that no case comes to")
    words.add_argument(
        "--mutants", action="store_true", help="change each row, and list what no case notices"
    )
    words.add_argument(
        "--min-score", type=_percent, metavar="N", help="exit 1 if fewer than N %% are noticed"
    )
    words.set_defaults(run=run, outputs=EVERY_OUTPUT)


def _percent(typed: str) -> int:
    if not typed.isdecimal() or int(typed) > 100:
        raise argparse.ArgumentTypeError(f"`{typed}` is not a percentage from 0 to 100")
    return int(typed)


def run(args: argparse.Namespace) -> int:
    """Run the cases; print; exit."""
    bundle, cases = _load(args)
    if not cases.cases:
        print(
            f"salon-gateway test: there are no cases; write some in {CASES}/*.yaml beside "
            "salon_rules.csv, or name a file",
            file=sys.stderr,
        )
        return Exit.USAGE
    results = run_all(bundle, cases)
    good = all(result.passed for result in results)
    wanted = args.mutants or args.min_score is not None
    report = Report(
        bundle=bundle,
        results=results,
        coverage=coverage(bundle, results),
        # Cases that fail already would notice anything.
        score=mutation_score(bundle, results) if wanted and good else None,
        list_uncovered=args.coverage,
        min_score=args.min_score,
    )
    match args.output:
        case "text":
            _print_text(report)
        case "json":
            print(json.dumps(_as_data(report), ensure_ascii=False, indent=2))
        case output:
            print_report(output, "test", list(_checks(report)), args.config)
    if wanted and not good:
        print("salon-gateway test: mutants are tried once every case passes", file=sys.stderr)
    if not good:
        return Exit.CASES
    return Exit.BROKEN if report.too_low else Exit.GOOD


def _load(args: argparse.Namespace) -> tuple[Bundle, Cases]:
    """The policy and the cases.

    Raises:
        PolicyError: everything wrong with either.
    """
    settings, base = load_settings(args.config), base_of(args.config)
    findings: list[Finding] = []
    bundle = cases = None
    reading = PolicyFolder(settings, base).read()
    findings += reading.findings
    try:
        bundle = build(reading.sources) if reading.sources is not None else None
    except PolicyError as error:
        findings += error.findings
    try:
        cases = read_cases(_given(args.files) if args.files else reading.cases)
    except PolicyError as error:
        findings += error.findings
    if bundle is None or cases is None:
        raise PolicyError(findings)
    return bundle, cases


def _given(files: Iterable[str]) -> Iterator[SourceFile]:
    """The case files of the command line."""
    for file in files:
        yield SourceFile(name=file, data=read_owned(Path(file)))


# -- text ---------------------------------------------------------------------------------------


def _print_text(report: Report) -> None:
    for result in report.failed:
        headline = f"{result.case.place}: failed: {result.case.says}"
        print(paint(headline, Severity.ERROR, sys.stdout))
        print("\n".join(_details(result)))
    print_findings(report.warnings, "text", sys.stdout)
    if report.score is not None:
        print(_score_sentence(report.score))
    print(_summary(report))


def _details(result: Result) -> Iterator[str]:
    for mismatch in result.mismatches:
        key = mismatch.key.ljust(_KEY_COLUMNS)
        yield f"  {key}  expected {mismatch.expected}"
        yield f"  {'':{_KEY_COLUMNS}}  got {mismatch.got}"
    if result.rules:
        yield f"  {'rules':{_KEY_COLUMNS}}  {', '.join(map(str, result.rules))}"


def _summary(report: Report) -> str:
    failed, count = len(report.failed), len(report.results)
    rules, open_rows = len(report.coverage.rules), len(report.coverage.uncovered)
    verdict = f"failed: {failed} of {count} cases" if failed else f"good: {count} cases"
    return (
        f"{verdict}; they come to {rules - open_rows} of {rules} rows "
        f"({report.coverage.percent} %); policy {report.bundle.digest[:12]}"
    )


def _score_sentence(score: Score) -> str:
    return f"mutation score: {score.percent} % ({score.killed} of {len(score.mutants)} noticed)"


def _warn(rule: Rule, message: str) -> Finding:
    row = f"p, {', '.join(rule.row)}"
    return Finding(Place(rule.ref.file, rule.ref.line), f"{message}: `{row}`", Severity.WARNING)


def _unnoticed(mutant: Mutant) -> str:
    if mutant.change is Change.DELETED:
        return "no case notices if this row is deleted"
    other = "deny" if mutant.rule.effect == "allow" else "allow"
    return f"no case notices if this row says `{other}`"


# -- JSON ---------------------------------------------------------------------------------------


def _as_data(report: Report) -> dict[str, Any]:
    covered = report.coverage
    score = report.score
    return {
        "policy": report.bundle.digest,
        "cases": [_case_data(result) for result in report.results],
        "failed": len(report.failed),
        "coverage": {
            "rules": len(covered.rules),
            "percent": covered.percent,
            "uncovered": [_rule_data(rule) for rule in covered.uncovered],
        },
        "mutation": None
        if score is None
        else {
            "mutants": len(score.mutants),
            "killed": score.killed,
            "percent": score.percent,
            "survivors": [
                _rule_data(mutant.rule) | {"change": mutant.change.value}
                for mutant in score.survivors
            ],
        },
    }


def _case_data(result: Result) -> dict[str, Any]:
    place = result.case.place
    return {
        "says": result.case.says,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "passed": result.passed,
        "happened": result.happened,
        "mismatches": [
            {
                "key": mismatch.key,
                "line": mismatch.place.line,
                "expected": mismatch.expected,
                "got": mismatch.got,
            }
            for mismatch in result.mismatches
        ],
        "rules": list(map(str, result.rules)),
    }


def _rule_data(rule: Rule) -> dict[str, str]:
    return {"rule": str(rule.ref), "row": f"p, {', '.join(rule.row)}"}


# -- CI -----------------------------------------------------------------------------------------


def _rules(result: Result) -> str:
    return f"rules: {', '.join(map(str, result.rules)) or 'none'}"


def _checks(report: Report) -> Iterator[Check]:
    for result in report.results:
        yield Check(
            name=result.case.says,
            outcome=Outcome.PASSED if result.passed else Outcome.FAILED,
            place=result.case.place,
            details="\n".join((*map(str, result.mismatches), _rules(result))),
        )
    yield from of_findings(report.warnings)
    if report.score is not None and report.min_score is not None:
        yield Check(
            name=f"at least {report.min_score} % of the changed rows are noticed",
            outcome=Outcome.FAILED if report.too_low else Outcome.PASSED,
            details=_score_sentence(report.score),
        )
