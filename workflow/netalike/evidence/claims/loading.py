"""Read the claim files of a folder, and say all that is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import ValidationError

from netalike.configuration.problems import ConfigurationError, dotted
from netalike.configuration.reading import parse
from netalike.errors import nearest
from netalike.evidence.claims.mistakes import ClaimError, Mistake, Path, found_in, sentence
from netalike.evidence.claims.places import Places
from netalike.evidence.claims.schema import PAPERS, Claim

IDS = "ids.txt"
_RETIRED = "retired:"
_FILE_KEYS = ("paper", "claims")
_FROM_THE_FILE = ("paper", "file")  # stand there once, for all its claims


@dataclass
class _File:
    """A claim file: its claims, the ids that it holds with their lines, and its mistakes."""

    name: str
    stem: str
    claims: list[Claim] = field(default_factory=list)
    ids: list[tuple[str, int | None]] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def refuse(self, text: str, key: Path = (), claim: str = "", line: int | None = None) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(self.name, claim, dotted(key) if key else "", text, line))


def load(directory: str | os.PathLike[str]) -> list[Claim]:
    """Read all claims of a folder.

    Parameters
    ----------
    directory : path
        Holds one YAML file per paper. Where it also holds ``ids.txt``, with an id or ``retired: ID REASON`` per line,
        every claim has to stand in it, and every id that is not retired has to have its claim.

    Returns
    -------
    list of Claim
        By file, in the order of the files.

    Raises
    ------
    ClaimError
        With a line for every mistake: file, claim, field, what is expected, and the nearest name.
    """
    folder = FilePath(directory)
    if not folder.is_dir():
        raise ClaimError([Mistake(_shown(folder), "", "", "no such folder; expected one that holds claim files")])
    files = [_read(path) for path in sorted(folder.glob("*.yaml"))]
    mistakes = [mistake for file in files for mistake in file.mistakes]
    mistakes += [*_repeated_ids(files), *_unregistered(files, folder / IDS)]
    if mistakes:
        raise ClaimError(mistakes)
    return [claim for file in files for claim in file.claims]


def _read(path: FilePath) -> _File:
    file = _File(_shown(path), path.stem)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        file.refuse(f"cannot be read: {error}")
        return file
    try:
        places = Places(text)
        if not places.is_mapping:
            file.refuse("not keys and values; expected paper and claims")
            return file
        file.ids = [(given, places.line((*at, "id"))) for at, given in places.ids.items() if _is_claim(at)]
        if places.repeated:
            _refuse_repeated_keys(file, places)
        else:
            _read_values(file, parse(text, file.name), places)
    except (yaml.YAMLError, ConfigurationError):
        _refuse_text(file, text)
    except ValueError as error:  # a date that is none
        file.refuse(f"no YAML: {error}")
    return file


def _is_claim(path: Path) -> bool:
    return len(path) == 2 and path[0] == "claims"


def _refuse_text(file: _File, text: str) -> None:
    try:
        parse(text, file.name)
    except ConfigurationError as error:
        for problem in error.problems:
            file.refuse(f"{problem.what}: {problem.given}; expected {problem.allowed}")


def _refuse_repeated_keys(file: _File, places: Places) -> None:
    for path, first, second in places.repeated:
        claim, key = places.ids.get(path[:2], ""), path[2:] if _is_claim(path[:2]) else path
        file.refuse(f"given twice, in line {first} and in line {second}; expected once", key, claim)


def _read_values(file: _File, values: Mapping[Any, Any], places: Places) -> None:
    for key in values:
        if key not in _FILE_KEYS:
            allowed = f"one of {', '.join(_FILE_KEYS)}"
            file.refuse(
                sentence("unknown key", allowed, nearest(str(key), _FILE_KEYS)), (str(key),), "", places.line((key,))
            )
    _check_paper(file, values.get("paper"), places.line(("paper",)))
    claims = values.get("claims")
    if not isinstance(claims, list):
        file.refuse(sentence("missing" if claims is None else "not a list", "a list of claims"), ("claims",))
        return
    for index, given in enumerate(claims):
        _read_claim(file, given, index, places)


def _check_paper(file: _File, paper: Any, line: int | None) -> None:
    if paper not in PAPERS:
        what = "missing" if paper is None else f"unknown paper {paper!r}"
        file.refuse(sentence(what, f"one of {', '.join(PAPERS)}", nearest(str(paper), PAPERS)), ("paper",), "", line)
    elif paper != file.stem:
        file.refuse(f"{paper} in a file called {file.stem}.yaml; expected {paper}.yaml", ("paper",), "", line)


def _read_claim(file: _File, given: Any, index: int, places: Places) -> None:
    at: Path = ("claims", index)
    name = places.ids.get(at, f"claim {index + 1}")
    if not isinstance(given, Mapping):
        file.refuse("not a mapping; expected the fields of a claim", (), name, places.line(at))
        return
    values = _with_text_keys(given)
    for key in (key for key in _FROM_THE_FILE if key in values):
        file.refuse(
            "not a field of a claim; expected once, at the top of the file", (key,), name, places.line((*at, key))
        )
    paper = file.stem if file.stem in PAPERS else PAPERS[0]
    try:
        file.claims.append(Claim.model_validate({**values, "paper": paper, "file": file.name}))
    except ValidationError as error:
        for path, text in found_in(error, Claim):
            file.refuse(text, path, name, places.line((*at, *path)))


def _with_text_keys(value: Any) -> Any:
    """YAML 1.1 reads the key `on` as a truth value."""
    if isinstance(value, Mapping):
        return {"on" if key is True else str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _repeated_ids(files: Sequence[_File]) -> Iterator[Mistake]:
    first: dict[str, str] = {}
    for file in files:
        for given, line in file.ids:
            where = f"{file.name}, line {line}"
            if given in first:
                yield Mistake(
                    file.name, given, "id", f"stands already in {first[given]}; expected one that is new", line
                )
            first.setdefault(given, where)


def _unregistered(files: Sequence[_File], path: FilePath) -> Iterator[Mistake]:
    """Hold the ids of all claims to the file of permanent ids, where there is one."""
    if not path.is_file():
        return
    listed, retired = _registered(path)
    given = {name: (file.name, line) for file in files for name, line in file.ids}
    for name, (file_name, line) in given.items():
        if name in retired:
            yield Mistake(file_name, name, "id", f"retired in {_shown(path)}; expected a new one", line)
        elif name not in listed:
            what = f"not in {_shown(path)}"
            yield Mistake(
                file_name, name, "id", sentence(what, f"the line {name!r} there", nearest(name, listed)), line
            )
    if all(file.ids for file in files):
        for name in (name for name in listed if name not in given):
            expected = f"its claim, or the line '{_RETIRED} {name} REASON': ids are permanent"
            yield Mistake(_shown(path), name, "", sentence("in no claim file", expected, nearest(name, given)))


def _registered(path: FilePath) -> tuple[list[str], list[str]]:
    texts = (line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
    lines = [text.split() for text in texts if text.strip()]
    retired = [words[1] for words in lines if words[0] == _RETIRED and len(words) > 2]
    faulty = [words for words in lines if len(words) > 1 and (words[0] != _RETIRED or len(words) < 3)]
    if faulty:
        text = sentence(f"{' '.join(faulty[0])!r} is not valid", f"an id per line, or '{_RETIRED} ID REASON'")
        raise ClaimError([Mistake(_shown(path), "", "", text)])
    return [words[0] for words in lines if len(words) == 1], retired


def _shown(path: FilePath) -> str:
    """Write a path from the working directory where it lies below it."""
    try:
        return path.resolve().relative_to(FilePath.cwd()).as_posix()
    except ValueError:
        return path.as_posix()
