"""The scripts and rules that made the figures, as text: a page that has left its repository still shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

PATH = "sources.html"
"""Of the page that shows them, beside the index."""

_RULE = re.compile(r"^(?:rule|checkpoint)\s+(\w+)\s*:", re.MULTILINE)
# rules that a loop makes, one for each study, panel or family: `name` is an f-string
_LOOP = re.compile(r"^for [^\n]*:\n(?:\s*\n)?    rule:\s*\n\s*name:\s*\n\s*f\"([^\"]+)\"", re.MULTILINE)
_FILLED = re.compile(r"\{[^{}]*\}")
_NEXT = re.compile(r"^\S", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """A piece of the repository: `name` as the figure's card has it, `file` where it stands, `text` what it says."""

    kind: str
    name: str
    file: str
    text: str

    @property
    def anchor(self) -> str:
        """Of the piece on its page."""
        return f"{self.kind}-{self.name}"

    @property
    def link(self) -> str:
        """From the index to the piece."""
        return f"{PATH}#{quote(self.anchor)}"


def sources(repository: str | Path | None, scripts: Iterable[str], rules: Iterable[str]) -> dict[str, list[Source]]:
    """Read scripts and rules.

    Parameters
    ----------
    repository : path, optional
        The checkout, with its Snakefile and its folder of rules.
    scripts : iterable of str
        Paths from there.
    rules : iterable of str
        Names.

    Returns
    -------
    dict
        ``rule`` and ``script``, sorted by name; what is not found, or lies outside the repository, is left out.
    """
    if repository is None:
        return {"rule": [], "script": []}
    root = Path(repository).resolve()
    known, made = _rules(root), _loops(root)
    return {
        "rule": [found for name in sorted(set(rules)) if (found := known.get(name) or _made(name, made))],
        "script": [Source("script", name, name, text) for name in sorted(set(scripts)) if (text := _text(root, name))],
    }


def _text(root: Path, name: str) -> str:
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _rules(root: Path) -> dict[str, Source]:
    found = {}
    for path in [root / "Snakefile", *sorted((root / "rules").glob("*.smk"))]:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            for start in _RULE.finditer(text):
                file = path.relative_to(root).as_posix()
                found[start[1]] = Source("rule", start[1], file, text[start.start() : _end(text, start.end())])
    return found


def _loops(root: Path) -> list[tuple[re.Pattern[str], Source]]:
    """Loops that make rules, each with what the names of its rules look like."""
    found = []
    for path in sorted((root / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for start in _LOOP.finditer(text):
            looks = ".+".join(re.escape(part) for part in _FILLED.split(start[1]))
            own = text[start.start() : _end(text, start.end())]
            found.append((re.compile(looks), Source("rule", start[1], path.relative_to(root).as_posix(), own)))
    return found


def _made(name: str, loops: Iterable[tuple[re.Pattern[str], Source]]) -> Source | None:
    """The loop that made a rule: of several, the one whose own words say most."""
    fitting = [(len(looks.pattern), source) for looks, source in loops if looks.fullmatch(name)]
    if not fitting:
        return None
    return replace(max(fitting, key=lambda one: one[0])[1], name=name)


def _end(text: str, start: int) -> int:
    """Return where a rule ends: before the next line that is not indented."""
    after = _NEXT.search(text, text.find("\n", start) + 1)
    return after.start() if after else len(text)
