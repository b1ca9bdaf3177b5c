"""`salon-gateway VERB ...`: find the verb, run it, turn what goes wrong into words."""

import argparse
import os
import sys
from collections.abc import Sequence

from gateway import __version__
from gateway.cli import (
    account,
    audit,
    check,
    demo,
    device,
    diff,
    explain,
    grant,
    hours,
    incident,
    init,
    replay,
    schema,
    serve,
    session,
    staff,
    state,
    test,
    token,
    who_can,
)
from gateway.cli.exits import Exit
from gateway.cli.reports import EVERY_OUTPUT, USUAL_OUTPUTS, of_findings, print_report
from gateway.cli.say import print_findings
from gateway.domain.errors import GatewayError
from gateway.domain.finding import PolicyError

VERBS = (
    demo,
    init,
    check,
    test,
    serve,
    explain,
    who_can,
    diff,
    replay,
    hours,
    staff,
    session,
    device,
    account,
    grant,
    incident,
    state,
    token,
    audit,
    schema,
)

EPILOG = """\
a first walk:
  salon-gateway demo                 a sample salon, guarded, with a tour
  salon-gateway init                 a starter policy in this folder
  salon-gateway check                everything wrong with it, with file, line and remedy
  salon-gateway test                 whether it does what its cases say
  salon-gateway explain --who mei GET /api/clients/7
                                     why a request would be answered so

exit codes: 0 good, 1 a broken promise found, 2 usage, 3 policy does not load, 4 cases fail,
130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    words = argparse.ArgumentParser(
        prog="salon-gateway",
        description="A policy-as-code access gateway in front of a salon's CRM.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("--version", action="version", version=f"salon-gateway {__version__}")
    words.add_argument(
        "--config",
        default=os.environ.get("SALON_GATEWAY_CONFIG", "gateway.yaml"),
        metavar="FILE",
        help="gateway.yaml to use (default: %(default)s, or $SALON_GATEWAY_CONFIG)",
    )
    words.add_argument(
        "--output",
        choices=EVERY_OUTPUT,
        default="text",
        help="text for people, json for programs, junit and github for CI (default: %(default)s)",
    )
    verbs = words.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    for verb in VERBS:
        verb.register(verbs)
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code."""
    args = parser().parse_args(arguments)
    known = getattr(args, "outputs", USUAL_OUTPUTS)
    if args.output not in known:
        can = ", ".join(known)
        message = f"`{args.verb}` has no output `{args.output}`; it has {can}"
        print(f"salon-gateway: {message}", file=sys.stderr)
        return Exit.USAGE
    try:
        return int(args.run(args))
    except PolicyError as error:
        if args.output in USUAL_OUTPUTS:
            print_findings(error.findings, args.output, sys.stderr)
        else:
            print_report(args.output, args.verb, of_findings(error.findings), args.config)
        return Exit.POLICY
    except GatewayError as error:
        print(f"salon-gateway: {error}", file=sys.stderr)
        return Exit.BROKEN
    except BrokenPipeError:  # `| head` went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.GOOD
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
