"""`netalike claims`: list, show, check and compare what the papers claim. No framework is imported."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import netalike
from netalike.errors import BadFileError, NetalikeError, unknown_name

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from netalike.evidence.claims import Claim
    from netalike.evidence.claims.differences import ClaimsDifference

app = typer.Typer(
    help="What the papers claim, and what the rows of a run say about it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# verdict -> symbol, as on the page, and colour; the word stands beside them
_LOOKS = {
    "reproduced": ("✓", "green"),
    "contradicted": ("✗", "red"),
    "inconclusive": ("?", "yellow"),
    "not testable at this scale": ("\N{WHITE UP-POINTING SMALL TRIANGLE}", "dim"),
    "not run": ("\N{WHITE CIRCLE}", "dim"),
}
_FAILURES = ("contradicted", "inconclusive", "not run")
_WIDTH = 170  # of a table in a file or a pipe
_SETTINGS, _LONGEST = 20, 60  # settings that are printed, and characters of each
# what lies outside the other's interval, in words
_MOVED = {
    ("results",): "results outside the reference's interval",
    ("reference",): "reference outside the results' interval",
    ("results", "reference"): "each outside the other's interval",
    ("missing",): "one has no value",
}

ClaimsFolder = Annotated[
    Path | None, typer.Option("--claims", help="Folder of the claim files.", show_default="that of the checkout")
]
Results = Annotated[Path, typer.Option("--results", help="Folder of the results of a run.")]
Preset = Annotated[
    str | None, typer.Option(help="quick, standard or paper.", show_default="that of the run in --results")
]
Paper = Annotated[str | None, typer.Option(help="Only the claims of the paper with this key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list", epilog="Example: netalike claims list --paper deconfounded_cka")
def list_command(
    claims_folder: ClaimsFolder = None,
    results: Results = Path("results"),
    preset: Preset = None,
    paper: Paper = None,
    as_json: AsJson = False,
) -> None:
    """List the claims; with their verdicts, where there are results."""
    claims = _load(claims_folder, paper)
    judged = _judged(claims, results, preset) if _has_results(results, preset) else None
    if as_json:
        _print_json([_summary(claim, _row(judged, index)) for index, claim in enumerate(claims)])
    else:
        _print_list(claims, judged)


@app.command("show", epilog="Example: netalike claims show dcka-a5-better-than-cka")
def show_command(
    claim_id: Annotated[str, typer.Argument(metavar="ID", help="Of the claim.")],
    claims_folder: ClaimsFolder = None,
    results: Results = Path("results"),
    preset: Preset = None,
    as_json: AsJson = False,
) -> None:
    """Show all there is to know about one claim."""
    claims = {claim.id: claim for claim in _load(claims_folder, None)}
    if claim_id not in claims:
        raise unknown_name("claim", claim_id, claims)
    claim = claims[claim_id]
    judged = _judged([claim], results, preset) if _has_results(results, preset) else None
    if as_json:
        _print_json({**_written(claim), "judgement": _judgement(_row(judged, 0))})
    else:
        _print_claim(claim, _row(judged, 0))


@app.command("check", epilog="Example: netalike claims check --results results --strict")
def check_command(
    claims_folder: ClaimsFolder = None,
    results: Results = Path("results"),
    preset: Preset = None,
    paper: Paper = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where a claim that can be tested is not reproduced.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge every claim by the measurements of a run; exit with 0 whatever the verdicts, unless --strict."""
    claims = _load(claims_folder, paper)
    judged = _judged(claims, results, preset)
    if as_json:
        _print_json([_summary(claim, _row(judged, index)) for index, claim in enumerate(claims)])
    else:
        _print_check(judged)
    failures = list(_failures(judged, results)) if strict else []
    for failure in failures:
        typer.echo(failure, err=True)
    if failures:
        raise typer.Exit(1)


@app.command("diff", epilog="Example: netalike claims diff results/reference --strict")
def diff_command(
    folder_a: Annotated[Path, typer.Argument(metavar="FOLDER_A", help="Results to hold against, a reference.")],
    folder_b: Annotated[Path, typer.Argument(metavar="[FOLDER_B]", help="Results of a run.")] = Path("results"),
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where a verdict changed, a value moved or a claim is gone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what changed between the claims of two runs: verdicts, values, claims, settings."""
    from netalike.evidence.claims import differences

    found = differences.claims_difference(*(differences.read_claims(folder) for folder in (folder_a, folder_b)))
    found = replace(found, configuration=differences.configuration_difference(folder_a, folder_b))
    if as_json:
        _print_json({"reference": str(folder_a), "results": str(folder_b), **found.as_dict()})
    else:
        _print_diff(found)
    if strict and found.fails:
        raise typer.Exit(1)


@app.command("freeze", epilog="Example: netalike claims freeze --to results/reference")
def freeze_command(
    results: Results = Path("results"),
    to: Annotated[Path, typer.Option(help="Folder to be made, or replaced.")] = Path("results/reference"),
    limit_mb: Annotated[float, typer.Option(min=0.1, help="Megabytes that the folder may have.")] = 10.0,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Figures to leave out, as '*/layers_*'; repeatable.")
    ] = None,
) -> None:
    """Keep the tables, claims and figures of a run, small enough to be committed: what `diff` holds others against."""
    from netalike.evidence.reference import write_reference

    folder = write_reference(results, to, limit_mb, leave_out or [])
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    typer.echo(f"{folder}: {len(files):,} files, {size:.1f} MB.")


def _load(folder: Path | None, paper: str | None) -> list[Claim]:
    from netalike.evidence.claims import ClaimError, load
    from netalike.evidence.claims.schema import PAPERS

    if paper is not None and paper not in PAPERS:
        raise unknown_name("paper", paper, PAPERS)
    # In a checkout, the package lies beside the claims.
    place = folder or Path(netalike.__file__).parents[1] / "claims"
    if folder is None and not place.is_dir():
        raise NetalikeError("the claim files are part of a checkout, and this is none: give --claims DIR.")
    try:
        claims = load(place)
    except ClaimError as error:
        # One line per mistake, where other errors are one line.
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from error
    return [claim for claim in claims if paper in (None, claim.paper)]


def _measurements(results: Path) -> Path:
    return results / "tables" / "measurements.parquet"


def _configuration(results: Path) -> Path:
    return results / "tables" / "configuration.json"


def _has_results(results: Path, preset: str | None) -> bool:
    return _measurements(results).exists() and (preset is not None or _configuration(results).exists())


def _judged(claims: Sequence[Claim], results: Path, preset: str | None) -> pd.DataFrame:
    from netalike.evidence import measurements
    from netalike.evidence.claims import judge_all

    path = _measurements(results)
    if not path.exists():
        raise BadFileError(f"{path} is missing: run `snakemake`, or give --results DIR.")
    return judge_all(claims, measurements.read(path), preset or _preset_of(results))


def _preset_of(results: Path) -> str:
    path = _configuration(results)
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["preset"])
    except FileNotFoundError:
        raise BadFileError(f"{path} is missing: run `snakemake`, or give --preset.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFileError(f"{path} names no preset ({error!r}): run `snakemake` again, or give --preset.") from error


def _failures(judged: pd.DataFrame, results: Path) -> Iterable[str]:
    """Say why a run falls short, a line for each verdict and each figure that should be there."""
    for _, row in judged[judged["testable"]].iterrows():
        if row["verdict"] in _FAILURES:
            ours = f"ours is {_interval(row)}, " if math.isfinite(row["value"]) else ""
            reason = f" ({row['reason']})" if row["reason"] else ""
            yield f"{row['id']}: {row['verdict']}: {ours}expected {row['tolerance']}{reason}"
        card = results / "figures" / f"{row['figure']}.json"
        if not card.exists():
            yield f"{row['id']}: no figure: {card} is missing"


def _row(judged: pd.DataFrame | None, index: int) -> pd.Series | None:
    return None if judged is None else judged.iloc[index]


def _summary(claim: Claim, row: pd.Series | None) -> dict[str, Any]:
    from netalike.evidence.claims.tables import or_none

    numbers = {name: None if row is None else or_none(row[name]) for name in ("value", "low", "high")}
    return {
        "id": claim.id,
        "paper": claim.paper,
        "kind": claim.kind,
        "verdict": None if row is None else row["verdict"],
        **numbers,
        "paper_value": claim.paper_value,
        "tolerance": claim.tolerance.given(),
        "needs": claim.needs,
    }


def _written(claim: Claim) -> dict[str, Any]:
    """Return a claim as its file holds it: without what was not given."""
    return claim.model_dump(mode="json", exclude_unset=True)


def _judgement(row: pd.Series | None) -> dict[str, Any] | None:
    from netalike.evidence.claims.tables import or_none

    if row is None:
        return None
    values = {str(name): value for name, value in row.items()}
    values |= {name: json.loads(values[name]) for name in ("rows", "others")} | {"testable": bool(row["testable"])}
    return {name: or_none(value) if isinstance(value, float) else value for name, value in values.items()}


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False))


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def _table(title: str, headings: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    return table


def _print_list(claims: Sequence[Claim], judged: pd.DataFrame | None) -> None:
    console = _console()
    for paper in dict.fromkeys(claim.paper for claim in claims):
        of_paper = [(index, claim) for index, claim in enumerate(claims) if claim.paper == paper]
        headings = ["id", "kind", *([] if judged is None else ["verdict"]), "needs", "statement"]
        table = _table(f"{paper}: {_counted(len(of_paper), 'claim')}", headings)
        for index, claim in of_paper:
            verdicts = [] if judged is None else [_looks(judged.iloc[index]["verdict"])]
            table.add_row(claim.id, claim.kind, *verdicts, claim.needs, _plain(claim.statement))
        console.print(table)
    if not claims:
        console.print("no claims")


def _print_check(judged: pd.DataFrame) -> None:
    console = _console()
    for paper, rows in judged.groupby("paper", sort=False):
        headings = ["id", "kind", "verdict", "ours [95 % interval]", "paper's value", "tolerance", "needs"]
        table = _table(str(paper), headings)
        for _, row in rows.iterrows():
            ours, theirs = _plain(_interval(row)), _plain(row["paper_value"])
            table.add_row(row["id"], row["kind"], _looks(row["verdict"]), ours, theirs, row["tolerance"], row["needs"])
        console.print(table)
    counts = judged["verdict"].value_counts()
    told = [f"{counts[verdict]} {verdict}" for verdict in _LOOKS if verdict in counts]
    console.print(f"{_counted(len(judged), 'claim')}: {', '.join(told)}" if told else "no claims")


def _print_diff(found: ClaimsDifference) -> None:
    from netalike.evidence.claims.differences import interval_text

    console = _console()
    if found.verdicts:
        table = _table("verdicts that changed", ["id", "was", "is", "reference [95 % interval]", "results"])
        for one in found.verdicts:
            verdicts = [_looks(side.verdict) for side in (one.reference, one.results)]
            table.add_row(one.id, *verdicts, *(_plain(interval_text(side)) for side in (one.reference, one.results)))
        console.print(table)
    if found.moved:
        table = _table("values that moved", ["id", "reference [95 % interval]", "results", "what"])
        for one in found.moved:
            numbers = (_plain(interval_text(side)) for side in (one.reference, one.results))
            table.add_row(one.id, *numbers, _MOVED[one.outside])
        console.print(table)
    for title, names in (("new", found.new), ("gone", found.gone)):
        if names:
            console.print(f"{title}: {', '.join(names)}")
    for name, fields in found.redefined.items():
        console.print(f"written otherwise: {name}: {', '.join(fields)}")
    _print_settings(console, found)
    changed, moved = _counted(len(found.verdicts), "verdict"), _counted(len(found.moved), "value")
    rest = f"{changed} changed, {moved} moved, {len(found.new)} new, {len(found.gone)} gone"
    console.print(f"{_counted(found.same, 'claim')} as before, {rest}")


def _print_settings(console: Console, found: ClaimsDifference) -> None:
    if not found.configuration:
        return
    table = _table("settings that differ", ["setting", "reference", "results"])
    for setting, values in list(found.configuration.items())[:_SETTINGS]:
        table.add_row(setting, *(_plain(_short(value)) for value in values))
    console.print(table)
    if len(found.configuration) > _SETTINGS:
        console.print(f"and {len(found.configuration) - _SETTINGS} more: --json lists them")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _print_claim(claim: Claim, row: pd.Series | None) -> None:
    from rich.table import Table

    table = Table(title=claim.id, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _facts(claim, row):
        if text:
            table.add_row(name, text)
    _console().print(table)


def _facts(claim: Claim, row: pd.Series | None) -> Iterable[tuple[str, str]]:
    from netalike.configuration.problems import flow
    from netalike.evidence.claims.tables import as_text, changes, reading

    yield from (("statement", _plain(claim.statement)), ("paper", claim.paper), ("source", _plain(claim.source)))
    yield "evidence", _plain(": ".join(part for part in (claim.evidence.kind, reading(claim.evidence)) if part))
    yield "paper's value", _plain(as_text(claim.paper_value)) or "none stated"
    if row is not None:
        yield from _found(row)
    tolerance = claim.tolerance.in_words(claim.paper_value)
    yield "tolerance", _plain(f"{tolerance}. {claim.tolerance.reason}")
    yield from (("kind", claim.kind), ("needs", claim.needs), ("statistic", _plain(claim.statistic.in_words())))
    for name, group in claim.select.items():
        yield f"rows of {name}", _plain(flow(group.model_dump()))
    yield from (("data", ", ".join(claim.on)), ("figure", claim.figure), ("changes", _plain(changes(claim))))
    yield "file", claim.file


def _found(row: pd.Series) -> Iterable[tuple[str, str]]:
    yield from (("verdict", _looks(row["verdict"])), ("judged on", row["on"]), ("reason", _plain(row["reason"])))
    yield "ours", _plain(_interval(row))
    if math.isfinite(row["percentile_low"]):
        yield "percentile", _plain(f"[{row['percentile_low']:.4g}, {row['percentile_high']:.4g}]")
    counts = ((name, row[column]) for name, column in (("units", "n_units"), ("rows", "n_rows")))
    yield "from", ", ".join(f"{count:,.0f} {name}" for name, count in counts if math.isfinite(count))
    for other in json.loads(row["others"]):
        numbers = {name: math.nan if other[name] is None else other[name] for name in ("value", "low", "high")}
        yield f"on {other['on']}", f"{_looks(other['verdict'])}: {_plain(_interval(numbers))}"


def _interval(row: Mapping[str, Any] | pd.Series) -> str:
    if not math.isfinite(row["value"]):
        return ""
    if not math.isfinite(row["low"]):
        return f"{row['value']:.4g} (no interval)"
    alone = row["low"] == row["high"] == row["value"]
    return f"{row['value']:.4g}" + ("" if alone else f" [{row['low']:.4g}, {row['high']:.4g}]")


def _looks(verdict: str) -> str:
    symbol, colour = _LOOKS[verdict]
    return f"[{colour}]{symbol} {verdict}[/{colour}]"


def _plain(text: str) -> str:
    """Keep rich from reading brackets of a text as its markup."""
    from rich.markup import escape

    return escape(text)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
