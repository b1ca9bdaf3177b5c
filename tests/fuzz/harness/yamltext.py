"""Strict YAML gives every scalar as the text that stands there, or findings, and nothing else.

Against PyYAML's own loader that guesses nothing, which is asked to read the same text.
"""

import yaml

from gateway.domain.finding import PolicyError
from gateway.texts.encoding import decode
from gateway.texts.yamltext import MAX_DEPTH, parse_yaml
from tests.fuzz.refusals import require_findings

MAX_BYTES = 512
SEEDS = (
    b"a: 1\nb: [x, 'y', \"z\\u00e9\"]\nc:\n  - d: 22:00\n    e: no\n  - |\n    text\n",
    b"a: {b: {c: [1, 2, {d: ~}]}}\n# comment\n",
    b"a: &x 1\nb: *x\n<<: {c: d}\n",
    b"a: !!python/object:os.system x\nb: !!str 1\n",
    b"---\na: 1\n---\nb: 2\n",
    b"a: 1\na: 2\n? [x]\n: y\n",
    "名前: 佐藤\r\nb: c\r\n".encode("utf-8-sig"),
)
# fmt: off
WORDS = (
    b"<<: ", b"&a ", b"*a", b"!!str ", b"!!map ", b"? ", b"- ", b"|\n", b">\n", b"---\n",
    b"...\n", b"%YAML 1.1\n", b"\xc2\x85", b"\xe2\x80\xa8", b"\t", b"#", b": ", b"{", b"[[",
    b'"\\x41"', b"'", b"~", b"null", b"=", b"2026-11-21", b"0x1f", b"1:30", b"\r\n", b"\r",
)
# fmt: on


def check(data: bytes) -> None:
    try:
        document = parse_yaml(decode(data, "a.yaml"), "a.yaml")
    except PolicyError as error:
        require_findings(error, "a.yaml")
        return
    text = data.decode("utf-8-sig")
    found = yaml.load(text, yaml.BaseLoader)  # noqa: S506  # the one that guesses nothing
    assert document.data == ({} if found is None else found)
    _require_plain(document.data, 0)
    lines = text.count("\n") + text.count("\r") + 2
    assert all(1 <= (place.line or 1) <= lines for place in document.places.values())


def _require_plain(value: object, depth: int) -> None:
    assert depth <= MAX_DEPTH + 1
    assert type(value) in {str, list, dict}
    if isinstance(value, dict):
        assert all(type(name) is str for name in value)
    for inner in value.values() if isinstance(value, dict) else value:
        if not isinstance(value, str):
            _require_plain(inner, depth + 1)
