"""model.conf as sections, keys and values, read as Casbin's own reader reads it, or refused.

Casbin keeps the last of two equal keys, skips sections that it does not know, cuts values at
a `#`, and joins a line that ends in a backslash to the next. What could mean one thing to it
and another to a person, or to us, is a finding here; what is left, both readers read alike
(tests/properties/test_modeltext.py holds ours against Casbin's).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean

SECTIONS = (
    "request_definition",
    "policy_definition",
    "role_definition",
    "policy_effect",
    "matchers",
)
COMMENTS = ("#", ";")
CONTINUES = "\\"
_BLANK = " \t\r"  # a CR before the LF is part of the line's end


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, and where each part of it stands.

    Attributes:
        place: of its key.
        parts: (offset in the value, place) of each line's part, in order.
    """

    value: str
    place: Place
    parts: tuple[tuple[int, Place], ...]

    def at(self, offset: int) -> Place:
        """Where the character at this offset of the value stands in the file."""
        start, place = [part for part in self.parts if part[0] <= offset][-1]
        return Place(place.file, place.line, place.column + offset - start)


Entries = Mapping[tuple[str, str], Entry]  # (section, key) → value


def parse_model_text(text: str, file: str) -> Entries:
    """Read the lines.

    Raises:
        PolicyError: every line that is not a comment, a `[section]` or a `key = value`, or that
            Casbin would read otherwise.
    """
    return _Reader(file).read(text)


@dataclass(slots=True)
class _Reader:
    """One pass over the lines."""

    file: str
    section: str = ""
    sections: dict[str, int] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    open: list[tuple[str, Place]] = field(default_factory=list)  # parts that go on below

    def read(self, text: str) -> Entries:
        for number, raw in enumerate(text.split("\n"), start=1):
            self._line(raw.strip(_BLANK), self._place(number, raw))
        if self.open:
            self._unfinished()
        if self.findings:
            raise PolicyError(self.findings)
        return self.entries

    def _place(self, number: int, raw: str) -> Place:
        return Place(self.file, number, len(raw) - len(raw.lstrip(_BLANK)) + 1)

    def _line(self, line: str, place: Place) -> None:
        if self.open and (not line or line.startswith((*COMMENTS, "["))):
            self._unfinished()
        if not line or line.startswith(COMMENTS):
            return
        for column, char in enumerate(line, start=place.column):
            if not (" " <= char <= "~" or char == "\t"):
                self._refuse(
                    Place(place.file, place.line, column),
                    f"`U+{ord(char):04X}` may only stand in a comment; write plain ASCII",
                )
                self.open.clear()
                return
        if line.startswith("["):
            self._header(line, place)
        elif line.endswith(CONTINUES):
            # As Casbin: the backslash becomes one blank, and the next line's indent goes.
            self.open.append((line.removesuffix(CONTINUES).strip(_BLANK) + " ", place))
        else:
            self._entry([*self.open, (line, place)])
            self.open.clear()

    def _header(self, line: str, place: Place) -> None:
        name = line[1:-1]
        if not line.endswith("]"):
            self._refuse(place, "a `[section]` stands alone on its line")
        elif name not in SECTIONS:
            near = did_you_mean(name, SECTIONS)
            self._refuse(place, f"the section `[{name}]` is not understood; {near}")
        elif name in self.sections:
            self._refuse(place, f"`[{name}]` stands in line {self.sections[name]} already")
        self.section = name
        self.sections.setdefault(name, place.line)

    def _entry(self, parts: list[tuple[str, Place]]) -> None:
        first, place = parts[0]
        key = first.partition("=")[0].strip(_BLANK)
        if "=" not in first or not key:
            self._refuse(place, f"`{first.strip(_BLANK)}` is not understood; write `key = value`")
            return
        if not self.section:
            self._refuse(place, f"`{key}` stands above the first `[section]`")
            return
        if (self.section, key) in self.entries:
            line = self.entries[self.section, key].place.line
            self._refuse(place, f"`{key}` stands in line {line} already; delete one")
            return
        self.entries[self.section, key] = _joined(parts)

    def _unfinished(self) -> None:
        _, place = self.open[-1]
        self._refuse(place, f"the line ends in `{CONTINUES}` but does not go on below")
        self.open.clear()

    def _refuse(self, place: Place, message: str) -> None:
        self.findings.append(Finding(place, message))


def _joined(parts: list[tuple[str, Place]]) -> Entry:
    """The text after the `=`, in one line, with the place of every part."""
    text = "".join(part for part, _ in parts)
    after = text.index("=") + 1
    skipped = after + len(text[after:]) - len(text[after:].lstrip(_BLANK))
    starts = []
    offset = -skipped  # of the part in the value: the first one begins with the key
    for part, place in parts:
        starts.append((offset, place))
        offset += len(part)
    return Entry(text[after:].strip(_BLANK), parts[0][1], tuple(starts))
