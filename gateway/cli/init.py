"""`init`: write a commented starter set into a folder. Never overwrites anything."""

import argparse
import os
import secrets
import sys
from importlib.resources.abc import Traversable
from pathlib import Path

from gateway.cli.exits import Exit
from gateway.cli.starter import CI, FOLDERS, config_template, starter
from gateway.tools.schema import NAMES, file_name, schema_text

EPILOG = """\
examples:
  salon-gateway init
  salon-gateway init /etc/salon-gateway
  salon-gateway init --ci            also what a git repository of the policy needs

writes gateway.yaml, policies/, adapters/, dashboards/, schemas/ (for editors) and a fresh
token secret.
A file that is already there stays as it is and is named.
--ci adds .github/workflows/policy.yml and .pre-commit-config.yaml, which run check, test and
diff on every change, and a .gitignore that keeps the secrets out.

then:
  salon-gateway check
  salon-gateway serve
"""
SECRET_BYTES = 48  # 64 characters of base64; HS256 wants 32 bytes or more


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "init",
        help="write a commented starter set",
        description="Write a commented starter set for a salon.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("folder", nargs="?", default=".", help="where (default: here)")
    words.add_argument(
        "--ci", action="store_true", help="also a GitHub workflow, a pre-commit hook, .gitignore"
    )
    words.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write what is missing; say what was there."""
    folder = Path(args.folder)
    try:
        written, kept = write_starter(folder, ci=args.ci)
    except OSError as error:
        print(f"salon-gateway init: {error.filename}: {error.strerror}", file=sys.stderr)
        return Exit.USAGE
    for path in written:
        print(f"wrote  {path}")
    for path in kept:
        print(f"kept   {path} (it was there)")
    print("next: salon-gateway check")
    return Exit.GOOD


def write_starter(folder: Path, *, ci: bool = False) -> tuple[list[Path], list[Path]]:
    """Write the starter set.

    Args:
        folder: where.
        ci: write what tries out every change in a git repository, too.

    Returns:
        The files written, and the files that were there and stayed.
    """
    written: list[Path] = []
    kept: list[Path] = []

    def write(path: Path, data: bytes, mode: int = 0o644) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # O_EXCL: what is there is never overwritten, not even between looking and writing.
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            kept.append(path)
            return
        with os.fdopen(opened, "wb") as file:
            file.write(data)
        written.append(path)

    write(folder / "gateway.yaml", config_template().encode())
    secret = secrets.token_urlsafe(SECRET_BYTES) + "\n"
    write(folder / "secrets" / "token-secret", secret.encode(), 0o600)
    for name in FOLDERS:
        for relative, data in _files(starter(name)):
            write(folder / name / relative, data)
    for name in NAMES:
        write(folder / "schemas" / file_name(name), schema_text(name).encode())
    if ci:
        for name, place in CI.items():
            write(folder / place, (starter("ci") / name).read_bytes())
    return written, kept


def _files(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    """Every file below a folder, with its path from there, in order."""
    found = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _files(item, f"{prefix}{item.name}/")
        elif not item.name.startswith("."):
            found.append((prefix + item.name, item.read_bytes()))
    return found
