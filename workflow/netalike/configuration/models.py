"""One model per section of the configuration: every key with its default, its meaning and an example.

The commented `config.yaml`, the reference page, the JSON schema and the error messages are made from these models. A
new section is one model here and one line in `Configuration`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import combinations, combinations_with_replacement, islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from netalike.configuration.fields import Name, Positive, Section, Seeds, Task, Whole
from netalike.configuration.input_similarity_studies import InputSimilarity
from netalike.configuration.inversion_studies import Inversion
from netalike.configuration.names import COLLECTIONS, Collection, is_pretrained
from netalike.configuration.panels import Panel
from netalike.configuration.papers import OwnStudy, StitchingStudy, Study
from netalike.configuration.shared_response_studies import SharedResponsePaper
from netalike.configuration.stitching_studies import LayerStudy, Stitching
from netalike.configuration.studies import DeconfoundedCka, Demonstration, PaperSection
from netalike.training.adversarial_settings import AdversarialSettings
from netalike.training.settings import Settings as TrainingSettings

PUBLISHED = "published:"


class ImageFolder(Section):
    """An image folder that becomes a data set: one subfolder of images per class."""

    path: str = Field(description="The folder, with one subfolder of images per class.", examples=["my-images"])
    size: Whole = Field(32, ge=8, le=1024, description="Height and width to which images are resized.", examples=[64])
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for colour.", examples=[1])
    test_share: float = Field(
        0.2, gt=0, lt=1, description="Share of the images of each class that becomes the test split.", examples=[0.25]
    )


class DataSettings(Section):
    """Where data sets are kept, and where a missing file is fetched from."""

    changes_results: ClassVar[bool] = False

    root: str = Field(
        "resources",
        min_length=1,
        description="Folder of the data sets, each in its publisher's own layout.",
        examples=["/scratch/datasets"],
    )
    mirror: str | None = Field(
        None,
        description="Folder or URL that is tried before the publishers; null takes the environment variable "
        "NETALIKE_MIRROR, if that is set.",
        examples=["https://mirror.example.org/netalike"],
    )
    offline: bool = Field(
        False, description="Never use the network: a file that no mirror folder has is an error.", examples=[True]
    )
    folders: dict[Name, ImageFolder] = Field(
        {},
        description="Your own image folders; each becomes a data set under its name.",
        examples=[{"leaves": {"path": "my-images", "size": 32, "channels": 3, "test_share": 0.25}}],
    )


class NetworkFamily(Section):
    """Networks that differ in their seed alone. Neither `training` nor `weights`: untrained networks."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"threads", "networks_per_job"})

    architecture: str = Field(
        min_length=1,
        description="lenet, tiny10, nbn_tiny10, resnet20_w1, in any width (lenet_w2 has twice the channels of lenet); "
        "dense, mlp, vgg_small, resnet8, mobile, densenet_small; torchvision:NAME, torchvision:NAME:WEIGHTS "
        "(pretrained), robustness:wide_resnet50_4, robustness:cifar_resnet50, or file:PATH:FUNCTION for a function of "
        "yours that returns a torch.nn.Module.",
        examples=["resnet20_w2"],
        json_schema_extra={"$comment": "the name of an architecture, such as tiny10"},
    )
    dataset: str = Field(
        min_length=1,
        description="Data set the networks are trained on: digits, mnist, fashion, cifar10, cifar100, imagenet, or a "
        "name of data.folders.",
        examples=["cifar10"],
        json_schema_extra={"$comment": "the name of a data set, such as digits"},
    )
    seeds: Seeds = Field(
        (0,),
        description="One network per seed, called FAMILY-sSEED: a list, a range such as 0-19, or how many.",
        examples=["0-4"],
    )
    training: TrainingSettings | None = Field(
        None,
        description="How to train the networks; {} is the defaults, null is no training.",
        examples=[{"epochs": 20, "batch_size": 64, "lr": 0.02}],
    )
    robust_training: AdversarialSettings | None = Field(
        None,
        description="Instead of training: how to train the networks on attacked images, so that they become robust.",
        examples=[{"eps": 1, "epochs": 10, "batch_size": 64, "lr": 0.05}],
    )
    task: Task = Field(
        "classes",
        description="What the networks learn to tell: classes (of the data set); rotation (by which of 0, 90, 180 and "
        "270 degrees an image was turned); random_labels (the training labels in random order, so that nothing is to "
        "be learned but the images by heart); shortcut (classes, on training images that a bright spot gives away).",
        examples=["rotation"],
    )
    n_train: Positive | None = Field(
        None, description="Train on the first so many training images; null takes all.", examples=[2000]
    )
    weights: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Trained weights instead of training: a file, with {seed} where it has one per seed (.safetensors, "
        ".pt, .pth, .th), or published:tiny10-authors, published:resnet20_w1-authors, or a published robust network: "
        "published:robust-imagenet-l2:resnet50:3 (collection, architecture, eps; docs/inversion.md lists them).",
        examples=["published:tiny10-authors"],
    )
    threads: Positive | None = Field(
        None, description="CPU threads to train one network; null takes resources.threads_per_job.", examples=[2]
    )
    networks_per_job: Positive = Field(
        1,
        description="Networks that one job trains, one after the other; more of them spare short trainings the start "
        "of a job.",
        examples=[4],
    )

    @property
    def learning(self) -> TrainingSettings | None:
        """How the networks are trained here, on images as they are or attacked; None where they are not."""
        return self.training or self.robust_training

    @property
    def is_trained(self) -> bool:
        """Whether the networks have learned anything, here or elsewhere."""
        return self.learning is not None or self.weights is not None or is_pretrained(self.architecture)

    @property
    def collection(self) -> Collection | None:
        """The published collection that the weights come from, if they do."""
        if self.weights is None or not self.weights.startswith(PUBLISHED):
            return None
        return COLLECTIONS.get(self.weights.removeprefix(PUBLISHED))


class PageSettings(Section):
    """The page results/index.html."""

    changes_results: ClassVar[bool] = False

    title: str = Field(
        "How alike are these networks?", min_length=1, description="Title of the page.", examples=["My networks"]
    )
    embed_rows: Whole = Field(
        200_000,
        ge=0,
        description="Rows of the measurement table that the page holds; the rest is in results/tables.",
        examples=[5000],
    )


class ResourceSettings(Section):
    """What one job may use."""

    changes_results: ClassVar[bool] = False

    threads_per_job: Whole = Field(
        1, ge=1, description="CPU threads of PyTorch in a job that trains or compares.", examples=[4]
    )
    threads_compare: Whole = Field(
        2, ge=1, description="CPU threads of the one job that compares a whole panel.", examples=[8]
    )
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|auto|cuda(:\d+)?|mps)$",
        description="Where networks run: cpu, cuda, cuda:1, mps, or auto for the first of them that the machine has.",
        examples=["cuda"],
    )
    memory_gb: float = Field(
        2.7,
        gt=0,
        description="Memory, in GB, for the blocks of Gram matrices in that job; about 0.5 GB come on top.",
        examples=[8],
    )


class Configuration(Section):
    """What to run: a preset, and the values that replace the preset's."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"preset"})

    preset: Literal["quick", "standard", "paper"] = Field(
        "quick",
        description="Values to start from: quick (minutes, no download), standard (hours on two cores, downloads) or "
        "paper (the paper's sizes, on a cluster).",
        examples=["standard"],
    )
    seed: Whole = Field(0, ge=0, description="Base of every seed of a run.", examples=[7])
    data: DataSettings = Field(
        DataSettings.model_validate({}), description="Where data sets are kept, and how they are fetched."
    )
    networks: dict[Name, NetworkFamily] = Field(
        {},
        description="Families of networks by name: letters, digits, and . _ + - (no --).",
        examples=[
            {
                "my-tiny10": {
                    "architecture": "tiny10",
                    "dataset": "digits",
                    "seeds": "0-2",
                    "training": {"epochs": 12, "batch_size": 64, "lr": 0.05},
                },
                "my-own": {
                    "architecture": "file:my_networks.py:make",
                    "dataset": "digits",
                    "weights": "nets/{seed}.pt",
                },
                "my-rotations": {
                    "architecture": "lenet_w2",
                    "dataset": "digits",
                    "seeds": 4,
                    "training": {"epochs": 20, "batch_size": 64, "lr": 0.02, "augment": False},
                    "task": "rotation",
                    "n_train": 1000,
                    "networks_per_job": 2,
                },
            }
        ],
    )
    panels: dict[Name, Panel] = Field(
        {},
        description="Comparisons by name; each compares every pair of its networks.",
        examples=[
            {
                "mine": {
                    "dataset": "digits",
                    "networks": ["tiny10-digits", "lenet-digits"],
                    "layers": {"tiny10-digits": ["relu*"], "lenet-digits": ["blocks"]},
                    "n_images": 500,
                    "batch_size": 100,
                    "controls": ["permuted_samples"],
                }
            }
        ],
    )
    input_similarity: InputSimilarity = Field(
        InputSimilarity.model_validate({}), description="The experiments of the input-similarity paper."
    )
    deconfounded_cka: DeconfoundedCka = Field(
        DeconfoundedCka.model_validate({}), description="The experiments of the deconfounded-CKA paper."
    )
    stitching: Stitching = Field(Stitching.model_validate({}), description="The experiments of the stitching paper.")
    shared_response: SharedResponsePaper = Field(
        SharedResponsePaper.model_validate({}), description="The experiments of the shared-response paper."
    )
    inversion: Inversion = Field(Inversion.model_validate({}), description="The experiments of the inversion paper.")
    page: PageSettings = Field(PageSettings.model_validate({}), description="The page that a run ends in.")
    resources: ResourceSettings = Field(ResourceSettings.model_validate({}), description="What one job may use.")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as Snakemake's `config` holds them; `Configuration.model_validate` reads them back."""
        return self.model_dump(mode="json")

    def network_ids(self) -> list[str]:
        """Return the id of every network, family by family."""
        return [network_id(family, seed) for family, settings in self.networks.items() for seed in settings.seeds]

    def family_of(self, network: str) -> str:
        """Return the family of a network.

        Raises
        ------
        KeyError
            If no family has such a network.
        """
        return self._parts(network)[0]

    def seed_of(self, network: str) -> int:
        """Return the seed of a network; KeyError if no family has such a network."""
        return self._parts(network)[1]

    def settings_of(self, network: str) -> NetworkFamily:
        """Return the settings of a network's family; KeyError if no family has such a network."""
        return self.networks[self.family_of(network)]

    def weights_of(self, network: str) -> str | None:
        """Return the file of a network's foreign weights (published ones are below `data.root`), or None."""
        family = self.settings_of(network)
        pattern = family.weights
        if family.collection is not None:
            pattern = (Path(self.data.root) / family.collection.pattern).as_posix()
        return None if pattern is None else pattern.replace("{seed}", str(self.seed_of(network)))

    def eps_of(self, network: str) -> float:
        """Return the size of the attacks that a network was trained against; 0 for standard networks."""
        family = self.settings_of(network)
        if family.collection is not None:
            return family.collection.eps
        return 0.0 if family.robust_training is None else family.robust_training.eps

    def facts_of(self, network: str) -> dict[str, Any]:
        """Return what tells a network from others of a panel: its family, architecture, task, data set, training."""
        family = self.settings_of(network)
        learning = family.learning
        told: dict[str, Any] = {"weights": family.weights} if learning is None else learning.model_dump(mode="json")
        return {
            "family": self.family_of(network),
            "architecture": family.architecture,
            "task": family.task,
            "dataset": family.dataset,
            "training": json.dumps({**told, "n_train": family.n_train}, sort_keys=True),
            "eps": self.eps_of(network),
            "augment": None if learning is None else learning.augment,
        }

    def threads_of(self, network: str) -> int:
        """Return the CPU threads with which a network is trained."""
        return self.settings_of(network).threads or self.resources.threads_per_job

    def networks_to_train(self) -> list[str]:
        """Return the ids of the networks that this run trains."""
        return [network for network in self.network_ids() if self.settings_of(network).learning is not None]

    def panel_networks(self, panel: str) -> list[str]:
        """Return the ids of a panel's networks, without recordings and controls, family by family."""
        settings = self.panels[panel]
        return self._members(settings.families, settings.seeds, settings.networks_per_family)

    def panel_recordings(self, panel: str) -> dict[str, str]:
        """Return who takes part in a panel by recorded activations: file, or kind of Keras network, by name."""
        settings, studies = self.panels[panel], self.shared_response.alignments
        keras = {
            f"{studies[name].training.architecture}-s{seed}": studies[name].training.architecture
            for name in settings.keras
            for seed in studies[name].seeds[: settings.networks_per_family]
        }
        return {**keras, **settings.recordings}

    def studies(self) -> dict[tuple[str, str, str], Study]:
        """Return every study by its paper, its kind and its name."""
        sections = {key: getattr(self, key) for key in type(self).model_fields}
        return {
            (paper, *name): study
            for paper, section in sections.items()
            if isinstance(section, PaperSection)
            for name, study in section.studies().items()
        }

    def study_networks(self, study: Study) -> list[str]:
        """Return the ids of a study's networks, without twins and controls, family by family; none of its own."""
        if isinstance(study, OwnStudy):
            return []
        if isinstance(study, Demonstration):
            return [network_id(family, self.networks[family].seeds[0]) for family in study.families]
        return self._members(study.families, study.seeds)

    def study_dataset(self, study: Study) -> str | None:
        """Return the data set that all networks of a study see, or None where the study makes its own data."""
        if isinstance(study, OwnStudy):
            return study.fetched
        return self.networks[study.families[0]].dataset

    def tasks_of(self, study: Study) -> dict[str, str]:
        """Return the task that each network of a study is trained on, by id."""
        return {network: self.settings_of(network).task for network in self.study_networks(study)}

    def study_pairs(self, study: StitchingStudy) -> list[tuple[str, str]]:
        """Return the ordered pairs of networks of a study of stitching, family by family: the front, the end."""
        return self._ordered_pairs(study, study.pairs)

    def controlled_pairs(self, study: LayerStudy) -> list[tuple[str, str]]:
        """Return those of a study's pairs whose networks take part in the controls."""
        return self._ordered_pairs(study, min(study.control_pairs, study.pairs or study.control_pairs))

    def _ordered_pairs(self, study: StitchingStudy, count: int | None) -> list[tuple[str, str]]:
        of_families = (self._members([family], study.seeds) for family in study.families)
        return [pair for networks in of_families for pair in islice(ordered_pairs(networks), count)]

    def panel_pairs(self, panel: str, with_self: bool = False) -> list[tuple[str, str]]:
        """Return the unordered pairs of a panel's networks; a network with itself only `with_self`."""
        choose = combinations_with_replacement if with_self else combinations
        return list(choose(self.panel_networks(panel), 2))

    def pair_jobs(self, panel: str, with_self: bool = False) -> list[list[tuple[str, str]]]:
        """Return the pairs of a panel in portions of `pairs_per_job`, one per job."""
        pairs, portion = self.panel_pairs(panel, with_self), self.panels[panel].pairs_per_job
        return [pairs[start : start + portion] for start in range(0, len(pairs), portion)]

    def datasets(self) -> list[str]:
        """Return the data sets that a training, a panel or a study needs, each once."""
        trained = [family.dataset for family in self.networks.values() if family.learning is not None]
        panels = [panel.dataset for panel in self.panels.values()]
        studies = [self.study_dataset(study) for study in self.studies().values()]
        return list(dict.fromkeys([*trained, *panels, *(name for name in studies if name is not None)]))

    def _members(self, families: Sequence[str], seeds: Sequence[int] | None, at_most: int | None = None) -> list[str]:
        return [
            network_id(family, seed)
            for family in families
            for seed in [seed for seed in self.networks[family].seeds if seeds is None or seed in seeds][:at_most]
        ]

    def _parts(self, network: str) -> tuple[str, int]:
        for family, seed in self._ids():
            if network == network_id(family, seed):
                return family, seed
        raise KeyError(f"no network {network!r} in the configuration: {', '.join(self.network_ids())}")

    def _ids(self) -> Iterator[tuple[str, int]]:
        return ((family, seed) for family, settings in self.networks.items() for seed in settings.seeds)


def network_id(family: str, seed: int) -> str:
    """Return the id of one network of a family: `FAMILY-sSEED`."""
    return f"{family}-s{seed}"


def ordered_pairs(networks: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield all ordered pairs of different networks so that the first of them use each network equally often.

    Parameters
    ----------
    networks : sequence of str

    Yields
    ------
    (str, str)
        Each network and the one after it (the first comes after the last), then each and the next but one, and so on.
    """
    count = len(networks)
    for step in range(1, count):
        yield from ((networks[i], networks[(i + step) % count]) for i in range(count))
