"""What a person sees of a run: how long it may take, what it made, and what went wrong. Changes no result.

Times are those of Snakemake's benchmark files, ``results/cost/<paper>/<rule>/<job>.tsv``.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

COST = "results/cost"
_SLOWEST = 3
_LOG_LINES = 6
_FAILURES = 3
_ERROR = re.compile(r"^Error in rule (?P<rule>\S+):$")
_LOG = re.compile(r"^\s+log: (?P<log>.+?)(?: \(check log file\(s\) for error details\))?$")


@dataclass(frozen=True)
class Forecast:
    """How long a run may take.

    Attributes
    ----------
    jobs : int
        Jobs that are to run.
    known : int
        Those of which an earlier run says how long they take.
    seconds : float
        Of the known ones, on so many cores as were given; 0 where none is known.
    """

    jobs: int
    known: int
    seconds: float


def forecast(jobs: Sequence[tuple[str | None, int]], cores: int, cost: str | Path = COST) -> Forecast:
    """Estimate the time of a run from what its jobs took before.

    Parameters
    ----------
    jobs : sequence of (str or None, int)
        Of each job the path of its benchmark file, as Snakemake names it (None without one), and its threads.
    cores : int
        How many threads run at once.
    cost : path
        Where the benchmark files of earlier runs lie.

    Returns
    -------
    Forecast
        A job that ran before counts as what it took then; another of a rule that ran, as the mean of that rule's jobs;
        one of a rule that never ran is unknown. The time is the sum of seconds times threads by cores, and no less
        than the longest job: jobs that wait for each other make it longer.
    """
    folder = Path(cost)
    means: dict[Path, float | None] = {}
    times = []
    for benchmark, threads in jobs:
        seconds = None if benchmark is None else _expected(Path(benchmark), folder, means)
        if seconds is not None:
            times.append((seconds, min(threads, cores)))
    total = sum(seconds * threads for seconds, threads in times) / max(1, cores)
    return Forecast(len(jobs), len(times), max([total, *(seconds for seconds, _ in times)]))


def _expected(benchmark: Path, cost: Path, means: dict[Path, float | None]) -> float | None:
    rule = cost / benchmark.parent.parent.name / benchmark.parent.name
    before = _seconds(rule / benchmark.name)
    if before is not None:
        return before
    if rule not in means:
        found = [seconds for path in rule.glob("*.tsv") if (seconds := _seconds(path)) is not None]
        means[rule] = sum(found) / len(found) if found else None
    return means[rule]


def _seconds(benchmark: Path) -> float | None:
    """Wall seconds of a job, the mean where it was repeated."""
    # not with pandas, as netalike.evidence.cost: its import takes longer than a summary
    try:
        with benchmark.open(newline="") as file:
            found = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sum(found) / len(found) if found else None


def begin(found: Forecast, cores: int, unit: str = "cores") -> str:
    """Say what is ahead, in one line.

    Parameters
    ----------
    found : Forecast
    cores : int
    unit : str
        What they are called.

    Returns
    -------
    str
    """
    ahead = f"{_plural(found.jobs, 'job')} on {cores} {unit}"
    if not found.known:
        return f"{ahead}; how long they take is not known before the first run."
    unknown = found.jobs - found.known
    rest = f", and {unknown} jobs that never ran here" if unknown else ""
    return f"{ahead}: about {duration(found.seconds)}, as earlier runs took{rest}."


def duration(seconds: float) -> str:
    """Write a time as a person says it.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
        "8 s", "12 min" or "3 h 20 min".
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def summary(outputs: Iterable[str], benchmarks: Iterable[str], seconds: float, results: str | Path = "results") -> str:
    """Say what a run made, what it found, what took longest, and where to look.

    Parameters
    ----------
    outputs : iterable of str
        What its jobs made.
    benchmarks : iterable of str
        Their benchmark files.
    seconds : float
        What the run took.
    results : path
        The folder ``results``.

    Returns
    -------
    str
        Several lines. A part of which there is nothing to say is left out.
    """
    made, folder = list(outputs), Path(results)
    lines = [f"Made in {duration(seconds)}:  {_counted(made)}"]
    # a run for one figure has not judged the claims: what an earlier one found is not its summary
    if any(path.endswith("tables/claims.csv") for path in made):
        lines.append(f"Claims:    {_verdicts(folder / 'tables/claims.csv')}")
    if slowest := _slowest(benchmarks):
        lines.append(f"Slowest:   {slowest}")
    places = {"The page:": "index.html", "Tables:": "tables/", "Figures:": "figures/", "Job times:": "cost/"}
    lines += [f"{name:10} {folder / place}" for name, place in places.items() if (folder / place).exists()]
    return "\n".join(lines)


def _counted(outputs: Sequence[str]) -> str:
    kinds = {
        "networks": [path for path in outputs if "/networks/" in path and path.endswith(".safetensors")],
        "figures": [path for path in outputs if path.endswith(".svg")],
        "files of measurements": [path for path in outputs if path.endswith(".parquet") and "/tables/" not in path],
        "tables": [path for path in outputs if "/tables/" in path and path.endswith(".csv")],
    }
    counted = [f"{len(paths)} {kind}" for kind, paths in kinds.items() if paths]
    return ", ".join(counted) or f"{len(outputs)} files"


def _verdicts(table: Path) -> str:
    try:
        with table.open(newline="") as file:
            counts = Counter(row["verdict"] for row in csv.DictReader(file))
    except (OSError, KeyError):
        return f"no verdicts in {table}"
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())


def _slowest(benchmarks: Iterable[str]) -> str:
    rules: dict[str, list[float]] = {}
    for path in map(Path, benchmarks):
        seconds = _seconds(path)
        if seconds is not None:
            rules.setdefault(f"{path.parent.parent.name}/{path.parent.name}", []).append(seconds)
    slowest = sorted(rules.items(), key=lambda entry: (-sum(entry[1]), entry[0]))[:_SLOWEST]
    return ", ".join(
        f"{rule} {duration(sum(times))}" + (f" in {len(times)} jobs" if len(times) > 1 else "")
        for rule, times in slowest
    )


def failures(log: str | Path) -> list[tuple[str, str | None]]:
    """Find what failed, in Snakemake's own log.

    Parameters
    ----------
    log : path
        ``.snakemake/log/....snakemake.log``.

    Returns
    -------
    list of (str, str or None)
        Rule and its log file, each pair once, in the order in which they failed.
    """
    try:
        lines = Path(log).read_text(errors="replace").splitlines()
    except OSError:
        return []
    found: dict[tuple[str, str | None], None] = {}
    for number, line in enumerate(lines):
        match = _ERROR.match(line)
        if match:
            found[match["rule"], _log_below(lines[number + 1 :])] = None
    return list(found)


def _log_below(lines: Sequence[str]) -> str | None:
    for line in lines:
        if not line.startswith(" "):
            return None
        if match := _LOG.match(line):
            return match["log"].split(", ")[0]
    return None


def failed(log: str | Path) -> str:
    """Say briefly what failed, with the last lines of the rule's log.

    Parameters
    ----------
    log : path
        Snakemake's own log.

    Returns
    -------
    str
        Several lines: at most three failures, six lines of log each, and how to go on.
    """
    found = failures(log)
    lines = ["The run stopped." if not found else f"The run stopped: {_plural(len(found), 'job')} failed."]
    for rule, file in found[:_FAILURES]:
        lines.append(f"\n{rule}" + (f", in {file}:" if file else " (it has no log)"))
        lines += [f"    {line}" for line in _last_lines(file)]
    if len(found) > _FAILURES:
        lines.append(f"\n... and {len(found) - _FAILURES} more, in {log}")
    lines.append("\nWhat is done is kept: the same command goes on from here.")
    return "\n".join(lines)


def _last_lines(log: str | None) -> list[str]:
    if log is None:
        return []
    try:
        lines = [line.rstrip() for line in Path(log).read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ["(the log was not written: the job ended before its script began)"]
    return lines[-_LOG_LINES:] or ["(the log is empty)"]


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
