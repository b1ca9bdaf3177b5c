"""The starter set: policies, adapters, dashboards and CI examples that travel with the package."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

FOLDERS = ("policies", "adapters", "dashboards")
CI = {  # in ci/ → where it stands in a repository of the owner's
    "github-workflow.yml": ".github/workflows/policy.yml",
    "pre-commit-config.yaml": ".pre-commit-config.yaml",
    "gitignore": ".gitignore",
}
CONFIG = "gateway.template.yaml"


def starter(folder: str) -> Traversable:
    """One folder of the starter set: from the wheel, or from the checkout around the package."""
    packed = files("gateway") / "starter" / folder
    return packed if packed.is_dir() else Path(__file__).parents[2] / folder


def config_template() -> str:
    """The commented gateway.yaml that `init` writes."""
    return (files("gateway.cli") / CONFIG).read_text(encoding="utf-8")
