"""What must fit in the studies of the papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from netalike.configuration.common_checks import Known, check_architecture, check_repeated, check_training_images
from netalike.configuration.comparison_checks import (
    check_images,
    check_last_batch,
    check_layer_families,
    check_member,
    check_unknown_families,
    members,
    unfit_family,
)
from netalike.configuration.input_similarity_checks import check_input_similarity
from netalike.configuration.inversion_studies import InversionStudy
from netalike.configuration.models import NetworkFamily
from netalike.configuration.names import layer_names
from netalike.configuration.papers import OfNetworks, OnImages, OwnStudy, Study
from netalike.configuration.problems import Path, Problem
from netalike.configuration.shared_response_checks import check_aligned_family, check_shared_response
from netalike.configuration.shared_response_studies import AlignedFamilies, AlignmentStudy, SimulationStudy
from netalike.configuration.stitching_checks import check_stitching
from netalike.configuration.stitching_studies import LayerStudy, SweepStudy
from netalike.configuration.studies import Demonstration, PopulationStudy, TaskStudy, TransferStudy
from netalike.data.shift_names import DOMAIN_KINDS, NO_SHIFT, parse_domain
from netalike.errors import NetalikeError, UnknownNameError, nearest
from netalike.training.settings import Settings as TrainingSettings

LEAST_POPULATION = 3
"""Networks without which there is no order of similarities to compare with an order of accuracies."""

_EXAMPLE_DOMAIN = "rotation:30"


def check_study(path: Path, study: Study, known: Known) -> Iterator[Problem]:
    """Find every mistake of a study; see `checks.check`."""
    if isinstance(study, OwnStudy):
        if isinstance(study, SimulationStudy | AlignmentStudy):
            yield from check_shared_response(path, study, known)
        else:
            yield from check_input_similarity(path, study, known)
        return
    yield from check_unknown_families(path, study, known)
    found = list(members(study, known))
    if found:
        dataset = found[0][2].dataset
        yield from _check_datasets(path, study, dataset, known)
        yield from check_images(path, study, dataset, known)
    if isinstance(study, Demonstration):
        yield from _check_demonstration(path, study, known)
        return
    if isinstance(study, InversionStudy):
        yield from _check_inversion(path, study, known)
        return
    yield from _check_trained(path, study, known)
    yield from check_layer_families(path, study, known)
    yield from check_repeated((*path, "seeds"), study.seeds or ())
    for _, name, family in found:
        yield from check_member(path, study, name, family, known)
    if isinstance(study, TransferStudy):
        yield from _check_transfer(path, study, known)
    elif isinstance(study, AlignedFamilies):
        yield from check_aligned_family(path, study, known)
    else:
        yield from check_repeated((*path, "networks"), study.networks)
    if isinstance(study, PopulationStudy):
        yield from _check_population(path, study, known)
    if isinstance(study, LayerStudy | SweepStudy):
        yield from check_stitching(path, study, known)


def _families_that(known: Known, fit: Callable[[NetworkFamily], bool]) -> list[str]:
    return [name for name, family in known.configuration.networks.items() if fit(family)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "(there is none)"


def _check_datasets(path: Path, study: OfNetworks, dataset: str, known: Known) -> Iterator[Problem]:
    """All networks of a study see the same images, which are of the data set that they are trained on."""
    fitting = _families_that(known, lambda family: family.dataset == dataset)
    first = next(name for _, name, _ in members(study, known))
    for place, name, family in members(study, known):
        if family.dataset != dataset and known.facts.get(family.dataset) is not None:
            what = f"the family is on {family.dataset}, and {first} on {dataset}"
            allowed = f"families on one data set; on {dataset} are {_listed(fitting)}"
            relies_on = (("networks", first, "dataset"), ("networks", name, "dataset"))
            yield unfit_family(path, study, place, what, allowed, fitting, relies_on)


def _check_trained(path: Path, study: OnImages | InversionStudy, known: Known) -> Iterator[Problem]:
    """Studies are of trained networks (untrained twins come by themselves), mostly of the task `classes`."""
    dataset = known.configuration.networks[study.families[0]].dataset if _is_sound(study, known) else None
    any_task = isinstance(study, TaskStudy)
    fitting = _families_that(
        known, lambda f: f.is_trained and (any_task or f.task == "classes") and dataset in (None, f.dataset)
    )
    kind = "trained families (with training or weights)" + ("" if any_task else " of the task classes")
    allowed = f"{kind}: {_listed(fitting)}"
    for place, name, family in members(study, known):
        if not family.is_trained:
            relies_on: tuple[Path, ...] = (("networks", name, "training"), ("networks", name, "weights"))
            yield unfit_family(path, study, place, "the family is not trained", allowed, fitting, relies_on)
        elif not any_task and family.task != "classes":
            what = f"the family is trained on the task {family.task}"
            yield unfit_family(path, study, place, what, allowed, fitting, (("networks", name, "task"),))


def _is_sound(study: OfNetworks, known: Known) -> bool:
    """Say whether no family of the study is unknown or has mistakes of its own."""
    return set(study.families) <= set(known.configuration.networks)


def _check_transfer(path: Path, study: TransferStudy, known: Known) -> Iterator[Problem]:
    discriminator = study.discriminator
    yield from _check_domains((*path, "domains"), study.domains)
    yield from check_architecture((*path, "discriminator", "architecture"), discriminator.architecture)
    yield from check_repeated((*path, "discriminator", "seeds"), discriminator.seeds)
    for _, _, family in members(study, known):
        trainings: dict[Path, TrainingSettings] = {
            ("training",): study.training,
            ("discriminator", "training"): discriminator.training,
        }
        facts = known.facts.get(family.dataset)
        yield from check_training_images(path, study.n_train, family.dataset, trainings, facts)


def _check_inversion(path: Path, study: InversionStudy, known: Known) -> Iterator[Problem]:
    yield from _check_trained(path, study, known)
    for key in ("networks", "seed_images", "attack_eps"):
        yield from check_repeated((*path, key), getattr(study, key))
    yield from check_last_batch(path, study.pairs, "pairs", study.batch_size)


def _check_domains(path: Path, domains: Sequence[str]) -> Iterator[Problem]:
    yield from check_repeated(path, domains)
    for place, name in enumerate(domains):
        if (what := _mistake_of(name)) is not None:
            kinds = ", ".join(DOMAIN_KINDS)
            near = _domain_near(name)
            write = [near if other == name else other for other in domains]
            write = list(dict.fromkeys(other for other in write if other is not None)) or [_EXAMPLE_DOMAIN]
            allowed = f"{NO_SHIFT}, or KIND:STRENGTH such as {_EXAMPLE_DOMAIN}, with one of the kinds {kinds}"
            yield Problem((*path, place), what, name, allowed, write, near, path)


def _mistake_of(domain: str) -> str | None:
    """What is wrong with the name of a domain, or None."""
    try:
        kind, strength = parse_domain(domain)
    except UnknownNameError:
        return "unknown kind of domain"
    except NetalikeError as error:
        return str(error).removeprefix(f"domain {domain!r}: ").rstrip(".")
    plain = kind if kind == NO_SHIFT else f"{kind}:{strength:.12g}"
    # networks, figures and rows carry the name: one domain has one
    return None if domain == plain else f"this domain is written {plain}"


def _domain_near(domain: str) -> str | None:
    kind, _, given = domain.partition(":")
    near = nearest(kind, DOMAIN_KINDS)
    number = re.search(r"\d+(\.\d+)?", given)
    strengths = [*([f"{float(number[0]):.12g}"] if number else []), "30", "1"]
    return next((name for strength in strengths if _mistake_of(name := f"{near}:{strength}") is None), None)


def _check_population(path: Path, study: PopulationStudy, known: Known) -> Iterator[Problem]:
    yield from check_repeated((*path, "corruptions"), study.corruptions)
    yield from check_repeated((*path, "severities"), study.severities)
    if not _is_sound(study, known):
        return
    count = len(known.configuration.study_networks(study))
    if 0 < count < LEAST_POPULATION:
        what = f"{count} network{'s' * (count > 1)} cannot be ranked"
        allowed = f"at least {LEAST_POPULATION} networks in all, one for each seed of each family"
        relies_on: tuple[Path, ...] = ((*path, "seeds"), *(("networks", name, "seeds") for name in study.families))
        if study.seeds is not None:
            yield Problem((*path, "seeds"), what, list(study.seeds), allowed, None, relies_on=relies_on)
        else:
            given, seeds = list(study.networks), ("networks", study.families[0], "seeds")
            yield Problem((*path, "networks"), what, given, allowed, LEAST_POPULATION, None, seeds, relies_on)


def _check_demonstration(path: Path, study: Demonstration, known: Known) -> Iterator[Problem]:
    yield from check_repeated((*path, "layers"), study.layers)
    first, second = study.networks
    if first == second:
        others = [name for name in known.families if name != first]
        allowed = f"two families of {_listed(known.families)}"
        here = (*path, "networks")
        write, place = ([first, others[0]], here) if others else (None, path)
        yield Problem(here, "the two families are the same", list(study.networks), allowed, write, instead=place)
    yield from _check_substrings((*path, "layers"), study, known)


def _check_substrings(path: Path, study: Demonstration, known: Known) -> Iterator[Problem]:
    """Find texts that are part of no layer's name, and a network of which none of them is."""
    architectures = {
        f"{f.architecture} (family {name})": layer_names(f.architecture) for _, name, f in members(study, known)
    }
    layers = {network: names for network, names in architectures.items() if names is not None}
    kinds = _shared_kinds(list(layers.values()))
    allowed = f"parts of layers' names; both networks have the kinds {_listed(kinds)}"
    # a network whose layers are not known here may have any
    useless = [text for text in study.layers if len(layers) == 2 and not _is_part_of_any(text, layers.values())]
    for text in useless:
        what = f"is part of no layer's name of {' and of '.join(layers)}"
        better = [nearest(other, kinds) if other in useless else other for other in study.layers]
        write = list(dict.fromkeys(other for other in better if other)) or kinds
        yield Problem((*path, study.layers.index(text)), what, text, allowed, write, nearest(text, kinds), path)
    for network, names in layers.items() if not useless else ():
        if not any(_is_part_of_any(text, [names]) for text in study.layers):
            what = f"none of these is part of a layer's name of {network}"
            yield Problem(path, what, list(study.layers), allowed, [*study.layers, *kinds[:1]])


def _is_part_of_any(text: str, layers: Iterable[Sequence[str]]) -> bool:
    return any(text in name for names in layers for name in names)


def _shared_kinds(layers: Sequence[Sequence[str]]) -> list[str]:
    """The kinds of layers, as conv of conv1, that every network has."""
    kinds = [re.sub(r"[\d.]", "", name.rsplit(".", 1)[-1]) for names in layers for name in names]
    return [kind for kind in dict.fromkeys(kinds) if kind and all(_is_part_of_any(kind, [names]) for names in layers)]
