"""What there is to fuzz: the modules of `harness/`, and the inputs that are kept for each.

A harness is a module with
- a docstring, whose first line is its promise;
- `check(data: bytes)`, which raises iff a promise is broken by this input;
- `SEEDS`, inputs to begin with, good ones and bad ones;
- perhaps `WORDS`, pieces that a random change would not hit upon;
- perhaps `MAX_BYTES`, the longest input that is worth trying.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
MAX_BYTES = 4096
FINDINGS = ("crash-", "timeout-", "oom-", "slow-unit-", "leak-")  # libFuzzer's names


def names() -> list[str]:
    return sorted(file.stem for file in (HERE / "harness").glob("*.py"))


def load(name: str) -> ModuleType:
    return import_module(f"tests.fuzz.harness.{name}")


def promise(harness: ModuleType) -> str:
    return (harness.__doc__ or "").partition("\n")[0]


def max_bytes(harness: ModuleType) -> int:
    return getattr(harness, "MAX_BYTES", MAX_BYTES)


def words(harness: ModuleType) -> tuple[bytes, ...]:
    return getattr(harness, "WORDS", ())


def kept(name: str) -> list[Path]:
    """Inputs in the checkout: whatever once broke a promise, and what a person added."""
    folder = CORPUS / name
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def inputs(name: str, harness: ModuleType) -> list[bytes]:
    """Seeds and kept inputs."""
    return [*harness.SEEDS, *(file.read_bytes() for file in kept(name))]


def findings(folder: Path) -> set[Path]:
    """Inputs in a folder that broke a promise, by their names."""
    return {
        file
        for file in (folder.iterdir() if folder.is_dir() else ())
        if file.name.startswith(FINDINGS)
    }


def as_dictionary(pieces: Iterable[bytes]) -> str:
    """Words as a file for libFuzzer's `-dict`."""
    escaped = ("".join(f"\\x{byte:02x}" for byte in piece) for piece in pieces if piece)
    return "".join(f'"{text}"\n' for text in escaped)
