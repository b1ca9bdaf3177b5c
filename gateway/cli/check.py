"""`check`: everything wrong with the policy at once, and what its denies reach."""

import argparse
import json
import sys

from gateway.app import base_of, load_bundle, load_settings, token_policy
from gateway.backends.clock import SystemClock
from gateway.backends.issuer_keys import unheard
from gateway.backends.issuers import read_issuers
from gateway.bundle import Bundle, deny_reach
from gateway.cli.exits import Exit
from gateway.cli.reports import EVERY_OUTPUT, Check, Outcome, of_findings, print_report
from gateway.cli.say import print_findings
from gateway.domain.finding import Finding
from gateway.tools.lint import lint
from gateway.tools.proof import Difference, prove

EPILOG = """\
examples:
  salon-gateway check
  salon-gateway --config /etc/salon-gateway/gateway.yaml check
  salon-gateway --output json check
  salon-gateway --output github check            annotations in a pull request

Every finding is printed as file:line:column, what is wrong, and what to do.
A policy that loads is then looked over for what hardly means what it says (docs/policy.md)
and held against stock pycasbin, decision by decision.

exit codes: 0 loads (warnings may be printed), 1 the proof found a difference, 3 does not load
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "check",
        help="find everything wrong with gateway.yaml and the policy files",
        description="Read gateway.yaml, the keys and every policy file, and report all findings.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.set_defaults(run=run, outputs=EVERY_OUTPUT)


def run(args: argparse.Namespace) -> int:
    """Check; print; exit."""
    settings = load_settings(args.config)
    base = base_of(args.config)
    bundle = load_bundle(args.config)
    token_policy(settings, base)
    read_issuers(settings, base, clock=SystemClock(), tell=unheard)
    observed = bundle.reminders(SystemClock().now())
    warnings = (*bundle.warnings, *observed, *lint(bundle))
    asked, differences = prove(bundle)
    match args.output:
        case "text":
            _print_text(bundle, warnings, asked, differences)
        case "json":
            _print_json(bundle, warnings, asked, differences)
        case output:
            print_report(output, "check", _checks(warnings, asked, differences), args.config)
    return Exit.BROKEN if differences else Exit.GOOD


def _checks(
    warnings: tuple[Finding, ...], asked: int, differences: tuple[Difference, ...]
) -> list[Check]:
    return [
        Check(name="the policy loads", outcome=Outcome.PASSED),
        *of_findings(warnings),
        Check(
            name="the rules decide as pycasbin does",
            outcome=Outcome.FAILED if differences else Outcome.PASSED,
            details="\n".join(map(str, differences)) or f"{asked} decisions agree",
        ),
    ]


def _print_text(
    bundle: Bundle,
    warnings: tuple[Finding, ...],
    asked: int,
    differences: tuple[Difference, ...],
) -> None:
    print_findings(warnings, "text", sys.stdout)
    for rule, reached in deny_reach(bundle):
        if reached:
            also = ", ".join(reached)
            print(f"note: the deny at {rule.ref} reaches {also} too")
    for difference in differences:
        print(f"error: {difference}", file=sys.stderr)
    if not differences:
        print(
            f"good: {len(bundle.rules)} rules, {len(bundle.people)} people, "
            f"{len(bundle.adapter.routes.routes)} routes, {len(warnings)} warnings; "
            f"{asked} decisions agree with pycasbin; policy {bundle.digest[:12]}"
        )


def _print_json(
    bundle: Bundle,
    warnings: tuple[Finding, ...],
    asked: int,
    differences: tuple[Difference, ...],
) -> None:
    answer = {
        "policy": bundle.digest,
        "rules": len(bundle.rules),
        "people": len(bundle.people),
        "routes": len(bundle.adapter.routes.routes),
        "warnings": [str(finding) for finding in warnings],
        "denies_reach": {str(rule.ref): list(reached) for rule, reached in deny_reach(bundle)},
        "proved": asked,
        "differences": [str(difference) for difference in differences],
    }
    print(json.dumps(answer, ensure_ascii=False, indent=2))
