"""`schema`: JSON Schemas of the YAML files, for editors."""

import argparse
import json
import sys
from pathlib import Path

from gateway.cli.exits import Exit
from gateway.domain.finding import did_you_mean
from gateway.tools.schema import NAMES, file_name, schema_text

EPILOG = """\
examples:
  salon-gateway schema                         which there are
  salon-gateway schema hours
  salon-gateway schema --write schemas         all of them, as schemas/<name>.schema.json

An editor that knows YAML schemas finds them by the first line of each file:
  # yaml-language-server: $schema=../schemas/hours.schema.json
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "schema",
        help="JSON Schemas of the YAML files, for editors",
        description="Print the JSON Schema of a YAML file, or write them for an editor.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("name", nargs="?", metavar="NAME", help=", ".join(NAMES))
    words.add_argument(
        "--write", metavar="FOLDER", help="write it (or all) there; what is there is replaced"
    )
    words.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List, print or write."""
    if args.name is not None and args.name not in NAMES:
        problem = f"unknown schema `{args.name}`; {did_you_mean(args.name, NAMES)}"
        print(f"salon-gateway schema: {problem}", file=sys.stderr)
        return Exit.USAGE
    if args.write is not None:
        return _write(Path(args.write), NAMES if args.name is None else (args.name,))
    if args.name is not None:
        print(schema_text(args.name), end="")
    else:
        print(json.dumps(NAMES) if args.output == "json" else "\n".join(NAMES))
    return Exit.GOOD


def _write(folder: Path, names: tuple[str, ...]) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / file_name(name)
            path.write_text(schema_text(name), encoding="utf-8")
            print(f"wrote  {path}")
    except OSError as error:
        print(f"salon-gateway schema: {error.filename}: {error.strerror}", file=sys.stderr)
        return Exit.USAGE
    return Exit.GOOD
