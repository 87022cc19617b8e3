"""Fine-tuning on shifted domains: is a network less like its base the less its domain is like the base domain?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from netalike.evidence.claims import Estimate, Statistic, estimate
from netalike.plots.intervals import mean_interval
from netalike.plots.labels import label_points
from netalike.plots.studies import (
    DEPTH_LABEL,
    KINDS,
    Look,
    at_common_depths,
    by_measure,
    draw_estimates,
    draw_estimates_by_depth,
    handle_of,
    interval_notes,
    level,
    mean_over_depths,
    name_lines,
    require,
    shared_legend,
    similarities,
    span,
    stacked_axes,
    undefined_note,
    with_factors,
)
from netalike.plots.theme import direction_label, marker, new_figure, palette, theme

_BASE_DOMAIN = "none"
_TOLD_APART = math.log(2)
_BARS = "(a) bars: 95 % over base networks; sideways: lowest and highest seed of the discriminator"
# level -> its look; the positive control first
_LEVELS: Mapping[str, Look] = {
    "finetuned": Look("fine-tuned on the base domain", "black", "", "-"),
    **{
        kind: KINDS[kind]._replace(colour="black", marker="")
        for kind in ("trained_untrained", "permuted_samples", "noise")
    },
}


@theme()
def transfer(rows: pd.DataFrame) -> Figure:
    """Draw the similarity of fine-tuned networks to their base against the similarity of their domains.

    Parameters
    ----------
    rows : DataFrame
        Rows of an experiment ``transfer_<study>``: CKA and deconfounded CKA with the factors `depth`, `pair` and
        `domain`, and ``domain_similarity`` by ``discriminator_loss``.

    Returns
    -------
    Figure
        (a) one point per domain, a panel per measure, with 95 % intervals over base networks and the controls as
        levels, (b) the rank correlation of the two over domains, of the mean over depths and by depth.

    Raises
    ------
    NetalikeError
        If the rows hold no fine-tuned networks, or no similarities of their domains.
    """
    domains = domain_similarities(rows)
    require(domains, "transfer", "rows of domain_similarity / discriminator_loss with the factor domain")
    found = with_factors(similarities(rows), "depth", "pair", "domain")
    tuned = found[(found["pair"] == "finetuned") & found["domain"].isin(domains["domain"])]
    require(tuned, "transfer", "rows of CKA with pair=finetuned on domains whose similarity was measured")
    levels = found[(found["pair"] != "finetuned") | (found["domain"] == _BASE_DOMAIN)]
    measures = [look for look, _ in by_measure(tuned)]
    figure, _ = new_figure(10.5, 9.0, 0, 0)
    upper, lower = stacked_axes(figure, [(1.6, [1] * len(measures)), (1, [1, 2])])
    estimates = _draw_correlations(lower, tuned, _losses(rows))
    points = with_factors(mean_over_depths(tuned), "domain")
    handles = _domain_handles(points) + _level_handles(levels) + [handle_of(look) for look in measures]
    notes = [_BARS, *interval_notes(estimates, "networks and domains"), *undefined_note(points)]
    shared_legend(figure, handles, notes, columns=4)
    _draw_domains(upper, points, mean_over_depths(levels), domains)
    return figure


def domain_similarities(rows: pd.DataFrame) -> pd.DataFrame:
    """Average the loss of the discriminators of each domain over their seeds.

    Parameters
    ----------
    rows : DataFrame
        Of the measurement table.

    Returns
    -------
    DataFrame
        Columns domain, loss, lowest and highest (of all seeds), sorted by domain.
    """
    losses = with_factors(_losses(rows), "domain").groupby("domain", sort=True)["value"]
    return losses.agg(loss="mean", lowest="min", highest="max").reset_index().dropna(subset=["loss"])


def _losses(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["quantity"] == "domain_similarity") & (rows["estimator"] == "discriminator_loss")]


def _kind_and_strength(domain: str) -> tuple[str, str]:
    kind, _, strength = domain.partition(":")
    return kind, strength


# ---- (a) ------------------------------------------------------------------------------------------------------------


def _draw_domains(axes: list[Axes], points: pd.DataFrame, levels: pd.DataFrame, domains: pd.DataFrame) -> None:
    placed = []
    for i, (ax, (look, group)) in enumerate(zip(axes, by_measure(points), strict=True)):
        table = _means_by_domain(group).merge(domains, on="domain")
        _draw_points(ax, table)
        for own, rows in by_measure(levels):
            if own == look:
                _draw_levels(ax, rows)
        level(ax, _TOLD_APART, "x", linestyle=":")
        ax.set_title(f"{'(a) ' * (i == 0)}{look.label}")
        ax.set_xlabel("domain similarity: loss of a discriminator, nats\n(ln 2 = cannot be told apart)")
        placed.append(table)
    axes[0].set_ylabel(f"similarity to the base network, mean over depths\n({direction_label()})")
    span(axes, 0, 1)
    span(axes, 0, _TOLD_APART, "x")
    for ax in axes:
        ax.set_xticks([0, 0.2, 0.4, _TOLD_APART], labels=["0", "0.2", "0.4", "ln 2"])
    for ax, table in zip(axes, placed, strict=True):
        label_points(ax, list(table["loss"]), list(table["mean"]), [name.replace(":", " ") for name in table["domain"]])


def _means_by_domain(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby("domain", sort=True)
    return pd.DataFrame([{"domain": domain, **mean_interval(group)._asdict()} for domain, group in groups])


def _draw_points(ax: Axes, table: pd.DataFrame) -> None:
    """Points with their intervals, and a thin line along the strengths of each kind of shift."""
    looks = _domain_looks(table["domain"])
    table = table.assign(kind=[_kind_and_strength(domain)[0] for domain in table["domain"]])
    table = table.assign(strength=[float(_kind_and_strength(domain)[1] or 0) for domain in table["domain"]])
    for kind, group in table.groupby("kind", sort=True):
        look, ladder = looks[str(kind)], group.sort_values("strength")
        x, y = ladder["loss"], ladder["mean"]
        ax.plot(x, y, color=look.colour, linewidth=0.8, alpha=0.4, zorder=2)
        ax.vlines(x, ladder["low"], ladder["high"], color=look.colour, linewidth=1.4, zorder=3)
        ax.hlines(y, ladder["lowest"], ladder["highest"], color=look.colour, linewidth=1, zorder=3)
        ax.plot(x, y, look.marker, color=look.colour, markeredgecolor="white", markersize=6.5, zorder=4)


def _domain_looks(domains: pd.Series) -> dict[str, Look]:
    kinds = sorted({_kind_and_strength(domain)[0] for domain in domains} - {_BASE_DOMAIN})
    colours = [palette(10)[i] for i in (2, 1, 4, 5)]
    looks = {kind: Look(kind, colours[i % len(colours)], marker(3 + i), "-") for i, kind in enumerate(kinds)}
    return looks | {_BASE_DOMAIN: Look("none (the base domain)", "black", "o", "")}


def _domain_handles(points: pd.DataFrame) -> list[Line2D]:
    drawn = {_kind_and_strength(domain)[0] for domain in points["domain"]}
    return [handle_of(look) for kind, look in _domain_looks(points["domain"]).items() if kind in drawn]


def _draw_levels(ax: Axes, rows: pd.DataFrame) -> None:
    for kind, group in with_factors(rows, "pair").groupby("pair", sort=True):
        if kind in _LEVELS:
            look = _LEVELS[str(kind)]
            level(ax, mean_interval(group).mean, color=look.colour, linestyle=look.line)


def _level_handles(levels: pd.DataFrame) -> list[Line2D]:
    present = set(levels["pair"])
    return [handle_of(look) for kind, look in _LEVELS.items() if kind in present]


# ---- (b) ------------------------------------------------------------------------------------------------------------


def _draw_correlations(axes: list[Axes], tuned: pd.DataFrame, losses: pd.DataFrame) -> list[Estimate]:
    overall, along = axes
    measures = list(by_measure(tuned))
    found: list[Estimate] = []
    for i, (look, group) in enumerate(measures):
        found.append(_correlation(group, losses))
        draw_estimates(overall, found[-1:], look, i, len(measures))
    for look, group in by_measure(at_common_depths(tuned)):
        depths = sorted(group["depth"].unique())
        estimates = [_correlation(group[group["depth"] == depth], losses) for depth in depths]
        draw_estimates_by_depth(along, depths, estimates, look)
        found += estimates
    label = "Spearman correlation with\ndomain similarity (1 = same order)"
    name_lines(overall, [""])
    overall.set_title("(b) mean over depths")
    overall.set_xlabel(label)
    along.set(xlabel=DEPTH_LABEL, ylabel=label, title="by depth")
    level(overall, 0, "x")
    level(along, 0)
    overall.set_xticks([-1, -0.5, 0, 0.5, 1])
    span([overall], -1, 1, "x")
    span([along], -1, 1)
    return found


def _correlation(tuned: pd.DataFrame, losses: pd.DataFrame) -> Estimate:
    over_domains = Statistic(
        name="spearman",
        of=("similarity", "domains"),
        join=("domain",),
        by=("network_a", "depth"),
        over=("networks", "domain"),
    )
    return estimate({"similarity": tuned, "domains": losses}, over_domains)
