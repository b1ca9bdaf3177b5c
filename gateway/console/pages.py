"""Values → pages, and the headers that go with every one of them.

House rules: every value is escaped by the template engine; a name that is not there is an
error; no script and no style inside a page, nothing from outside. A page is complete without a
script: htmx, kept as a file of ours, only lets a row take the place of itself.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.console.words import SPEECHES, Speech

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# htmx as its own file asks for it: nothing is evaluated, no style is put into the page, no
# page is kept in the browser. A refusal is shown instead of the page that asked for it.
HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        "historyEnabled": False,
        "historyCacheSize": 0,
        "timeout": 10_000,
        "responseHandling": [
            {"code": "2..", "swap": True},
            {
                "code": "[345]..",
                "swap": True,
                "error": True,
                "target": "body",
                "swapOverride": "innerHTML",
            },
        ],
    },
    separators=(",", ":"),
)
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def _assets() -> dict[str, tuple[str, bytes]]:
    """Name → content type and bytes; of files that a page asks for, nothing else."""
    folder = files("gateway.console").joinpath("assets")
    return {
        file.name: (_TYPES[suffix], file.read_bytes())
        for file in folder.iterdir()
        if (suffix := file.name.rpartition(".")[2]) in _TYPES
    }


ASSETS: Mapping[str, tuple[str, bytes]] = _assets()


def _address(name: str) -> str:
    """Of this very content: what a browser kept of an older release is not asked for again."""
    digest = hashlib.sha256(ASSETS[name][1]).digest()
    return f"/assets/{name}?{base64.urlsafe_b64encode(digest)[:16].decode()}"


_TEMPLATES = Environment(
    loader=PackageLoader("gateway.console"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update(
    asset={name: _address(name) for name in ASSETS},
    htmx_config=HTMX_CONFIG,
    speeches=SPEECHES,
)


def page(template: str, speech: Speech, **values: Any) -> bytes:
    """One page in the reader's language, UTF-8.

    Args:
        template: the name of its file without `.html.j2`.
        speech: the language.
        values: what the template names.
    """
    text = _TEMPLATES.get_template(f"{template}.html.j2").render(
        speech=speech, say=speech.say, language=speech.language, **values
    )
    return text.encode()
