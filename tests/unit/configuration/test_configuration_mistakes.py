"""Every mistake ends in a message that says where, what was given, what is allowed, and what to write."""

import pytest
import yaml

from netalike.configuration import ConfigurationError, load, parse
from netalike.errors import NetalikeError


def message(user):
    with pytest.raises(ConfigurationError) as caught:
        load(user)
    return str(caught.value)


def panel(**changes):
    return {"panels": {"digits": changes}}


def family(**settings):
    return {"networks": {"mine": {"architecture": "tiny10", "dataset": "digits", **settings}}}


FAMILIES = {
    "turned": {"architecture": "lenet", "dataset": "digits", "seeds": 2, "task": "rotation", "training": {}},
    "bare": {"architecture": "lenet", "dataset": "digits"},
    "mnist": {"architecture": "lenet", "dataset": "mnist", "training": {}},
}
TRAINING = {"epochs": 3, "batch_size": 64, "lr": 0.01}


def study(kind, **settings):
    """A study of that kind, beside networks of several tasks and data sets."""
    return {"networks": FAMILIES, "deconfounded_cka": {kind: {"mine": settings}}}


def transfer(*domains, networks="lenet-digits", **settings):
    return study("transfers", networks=networks, domains=list(domains), **{"training": TRAINING, **settings})


# what the user wrote, and lines that the message must hold
MISTAKES = {
    "unknown section": (
        {"panel": {}},
        ["panel: unknown key", "allowed: the keys preset, seed, data, networks, panels", "nearest: panels"],
    ),
    "unknown key of a panel": (
        panel(n_image=250),
        ["panels.digits.n_image: unknown key", "given:   250", "nearest: n_images", "        n_images: 250"],
    ),
    "unknown key far down": (
        family(training={"epoch": 3}),
        ["networks.mine.training.epoch: unknown key", "nearest: epochs", "          epochs: 3"],
    ),
    "unknown key like no other": (panel(zzz=1), ["panels.digits.zzz: unknown key; remove it"]),
    "wrong type": (
        panel(n_images="many"),
        ["panels.digits.n_images: not a valid value", "given:   many", "allowed: a whole number of at least 4"],
    ),
    "a boolean for a number": (panel(n_images=True), ["given:   true", "allowed: a whole number of at least 4"]),
    "text for a list": (panel(estimators="biased"), ["allowed: a list; each item one of", "estimators: [biased]"]),
    "text for a boolean": ({"data": {"offline": "perhaps"}}, ["data.offline: not a valid value", "true or false"]),
    "number for a section": ({"page": 3}, ["page: not a valid value", "a mapping with the keys title, embed_rows"]),
    "out of range": (
        panel(batch_size=3),
        ["panels.digits.batch_size: out of range", "given:   3", "at least 4", "        batch_size: 4"],
    ),
    "optional number out of range": (family(threads=0), ["networks.mine.threads: out of range", "at least 1"]),
    "negative learning rate": (
        family(training={"lr": -1}),
        ["networks.mine.training.lr: out of range", "allowed: a number above 0", "          lr: 0.1"],
    ),
    "missing": (
        {"networks": {"mine": {"dataset": "digits"}}},
        ["networks.mine.architecture: required, but missing", "allowed: the name of an architecture"],
    ),
    "data set": (
        family(dataset="cifar-10"),
        [
            "networks.mine.dataset: unknown data set",
            "given:   cifar-10",
            "nearest: cifar10",
            "        dataset: cifar10",
        ],
    ),
    "data set of a panel": (panel(dataset="minst"), ["panels.digits.dataset: unknown data set", "nearest: mnist"]),
    "architecture": (
        family(architecture="resnet20_v2"),
        ["networks.mine.architecture: unknown architecture", "torchvision:NAME:WEIGHTS", "architecture: resnet20_w2"],
    ),
    "family": (
        panel(networks=["lenet-digit", "tiny10-digits"]),
        [
            "panels.digits.networks[0]: unknown family",
            "nearest: lenet-digits",
            "networks: [lenet-digits, tiny10-digits]",
        ],
    ),
    "name of a family": (
        {"networks": {"a--b": {"architecture": "tiny10", "dataset": "digits"}}},
        ["networks.a--b: not a valid name", "no --, no slash", "      a-b:"],
    ),
    "measure": (
        panel(measures=["procrustes", "pwca"]),
        ["panels.digits.measures[1]: unknown name", "nearest: pwcca", "measures: [procrustes, pwcca]"],
    ),
    "estimator": (panel(estimators=["unbaised"]), ["estimators[0]: unknown name", "estimators: [unbiased]"]),
    "control": (panel(controls=["untraind", "noise"]), ["nearest: untrained", "controls: [untrained, noise]"]),
    "listed twice": (panel(measures=["rsa", "cca", "rsa"]), ["rsa is listed twice", "measures: [rsa, cca]"]),
    "seeds": (family(seeds="many"), ["networks.mine.seeds: not a valid value", "a range such as 0-19"]),
    "no seeds": (family(seeds=0), ["networks.mine.seeds: not a valid value", "given:   0"]),
    "seeds of a panel": (panel(seeds="7-9"), ["panels.digits.seeds: the family tiny10-digits has none of these"]),
    "preset": (
        {"preset": "standart", "panel": 3},
        ["has a mistake", "preset: unknown preset", "allowed: one of quick, standard, paper", "preset: standard"],
    ),
    "too many images": (
        panel(n_images=600),
        [
            "panels.digits.n_images: more images than there are",
            "from 4 to 500",
            "test split of digits",
            "n_images: 500",
        ],
    ),
    "last batch": (
        panel(batch_size=249),
        ["panels.digits.batch_size: the last batch of 500 images would have 2", "at least 4 images", "batch_size: 248"],
    ),
    "layer": (
        panel(networks=["tiny10-digits"], layers=["bn*", "conv9"]),
        ["panels.digits.layers[1]: matches no layer of tiny10 (family tiny10-digits)", "layers: [bn*, conv8]"],
    ),
    "layer that one family lacks": (
        panel(layers=["bn*", "conv2"]),
        ["layers[0]: matches no layer of lenet", "tiny10-digits: [bn*, conv2]", "lenet-digits: [conv2]"],
    ),
    "layers of an unknown family": (
        panel(layers={"lenet-digit": ["blocks"], "lenet-digits": ["blocks"], "tiny10-digits": ["blocks"]}),
        ["panels.digits.layers.lenet-digit: unknown family of networks", "nearest: lenet-digits"],
    ),
    "layers of a family left out": (
        panel(layers={"lenet-digits": ["blocks"]}),
        ["panels.digits.layers.tiny10-digits: missing", "tiny10-digits: [blocks]"],
    ),
    "another data set": (
        {"networks": family(dataset="mnist")["networks"], **panel(networks=["mine"])},
        ["the family is on mnist, the panel on digits", "across_datasets: true"],
    ),
    "other channels": (
        {"networks": family(dataset="cifar10")["networks"], **panel(networks=["mine"], across_datasets=True)},
        ["whose images have 1 channel and not 3", "dataset: cifar10"],
    ),
    "training and weights": (
        family(training={}, weights="a.pt"),
        ["networks.mine.weights: training and weights are both given", "weights: a.pt", "training: null"],
    ),
    "published collection": (
        family(weights="published:tiny10-autors"),
        ["networks.mine.weights: unknown published collection", "nearest: published:tiny10-authors"],
    ),
    "published for another data set": (
        family(weights="published:tiny10-authors"),
        ["networks.mine.dataset: not the dataset of published:tiny10-authors", "allowed: cifar10"],
    ),
    "seeds nobody published": (
        family(weights="published:tiny10-authors", dataset="cifar10", seeds="18-21"),
        ["published:tiny10-authors has no network of seed 20", "seeds: [18, 19]"],
    ),
    "one file for several seeds": (
        family(weights="nets/a.pt", seeds=2),
        ["2 seeds would all read this one file", "weights: nets/a-{seed}.pt"],
    ),
    "placeholder": (family(weights="{number}.pt"), ["unknown placeholder {number}", "weights: '{seed}.pt'"]),
    "weights twice": (
        family(architecture="torchvision:resnet18:IMAGENET1K_V1", weights="a.pt"),
        ["torchvision:resnet18:IMAGENET1K_V1 brings its own weights", "weights: null"],
    ),
    "task": (
        family(task="rotations"),
        [
            "networks.mine.task: unknown name",
            "allowed: one of classes, rotation, random_labels, shortcut",
            "nearest: rotation",
        ],
    ),
    "published for another task": (
        family(weights="published:tiny10-authors", dataset="cifar10", task="rotation"),
        ["networks.mine.task: not the task of published:tiny10-authors", "task: classes"],
    ),
    "a panel of nobody": (
        {"panels": {"empty": {"dataset": "digits"}}},
        ["panels.empty.networks: nobody takes part", "or give keras, or recordings"],
    ),
    "unknown family of measures": (
        panel(compare=["representations"]),
        ["panels.digits.compare[0]: unknown name", "nearest: representation"],
    ),
    "more pairs to invert than images": (
        panel(n_images=40, batch_size=20),
        ["panels.digits.inversion.pairs: more pairs than the panel has images, which are 40", "pairs: 40"],
    ),
    "too few images to invert": (
        panel(n_images=6, batch_size=6, compare=["behaviour", "inversion"]),
        ["panels.digits.inversion.pairs: more pairs", "compare: [behaviour]"],
    ),
    "Keras networks beside others": (
        panel(keras=["digits"]),
        ["panels.digits.keras: Keras networks are recorded on images of their own choice", "keras: []"],
    ),
    "unknown Keras study": (
        {"panels": {"k": {"dataset": "digits", "keras": ["digit"]}}},
        ["panels.k.keras[0]: unknown study of Keras networks", "nearest: digits", "keras: [digits]"],
    ),
    "Keras networks on other images": (
        {"panels": {"k": {"dataset": "mnist", "keras": ["digits"]}}},
        ["panels.k.keras[0]: the study is on digits, the panel on mnist", "dataset: digits"],
    ),
    "a recording that is called as a network": (
        panel(recordings={"lenet-digits-s0": "a.npz"}),
        ["recordings.lenet-digits-s0: a network of the section networks has this name", "my-lenet-digits-s0: a.npz"],
    ),
    "more training images than there are": (
        family(training={"batch_size": 64}, n_train=1298),
        [
            "networks.mine.n_train: more images than there are",
            "allowed: null, or a whole number from 64 to 1297, the images in the training split of digits",
            "n_train: null",
        ],
    ),
    "fewer training images than a batch": (
        family(training={"batch_size": 64}, n_train=63),
        ["networks.mine.n_train: fewer images than a batch, which has 64", "given:   63", "n_train: 64"],
    ),
    "a batch larger than the data set": (
        family(training={"batch_size": 1298}),
        ["networks.mine.training.batch_size: digits has 1297 training images", "batch_size: 1297"],
    ),
    "training images without training": (
        family(n_train=500),
        ["networks.mine.n_train: the family has no training", "n_train: null"],
    ),
    "networks per job": (family(networks_per_job=0), ["networks.mine.networks_per_job: out of range", "at least 1"]),
    "kind of study": (
        {"deconfounded_cka": {"task": {}}},
        ["deconfounded_cka.task: unknown key", "tasks, transfers, populations, demonstrations", "nearest: tasks"],
    ),
    "name of a study": (
        {"deconfounded_cka": {"tasks": {"a--b": {"networks": ["lenet-digits"]}}}},
        ["deconfounded_cka.tasks.a--b: not a valid name", "        a-b:"],
    ),
    "key of a study": (
        study("tasks", networks=["lenet-digits"], twins=3),
        ["deconfounded_cka.tasks.mine.twins: unknown key", "nearest: untrained_twins", "untrained_twins: 3"],
    ),
    "family of a study": (
        study("tasks", networks=["lenet-digit", "tiny10-digits"]),
        [
            "deconfounded_cka.tasks.mine.networks[0]: unknown family of networks",
            "mnist; or null for the whole study, to remove it",
            "given:   lenet-digit",
            "nearest: lenet-digits",
            "networks: [lenet-digits, tiny10-digits]",
        ],
    ),
    "the one family of a study": (
        transfer("rotation:30", networks="lenet-digit"),
        ["transfers.mine.networks: unknown family", "nearest: lenet-digits", "networks: lenet-digits"],
    ),
    "a list for one family": (
        transfer("rotation:30", networks=["lenet-digits"]),
        ["transfers.mine.networks: not a valid value", "allowed: the name of a family", "networks: lenet-digits"],
    ),
    "no family like that": (
        study("tasks", networks=["zzz"]),
        ["networks[0]: unknown family of networks; name one that fits, or remove the study", "      mine: null"],
    ),
    "data sets of a study": (
        study("tasks", networks=["lenet-digits", "mnist"]),
        [
            "deconfounded_cka.tasks.mine.networks[1]: the family is on mnist, and lenet-digits on digits",
            "allowed: families on one data set; on digits are tiny10-digits, lenet-digits, ",
            "networks: [lenet-digits]",
        ],
    ),
    "untrained family": (
        study("tasks", networks=["lenet-digits", "bare"]),
        [
            "deconfounded_cka.tasks.mine.networks[1]: the family is not trained",
            "allowed: trained families (with training or weights): tiny10-digits, lenet-digits, ",
            "networks: [lenet-digits]",
        ],
    ),
    "untrained family to fine-tune": (
        transfer("rotation:30", networks="bare"),
        ["transfers.mine.networks: the family is not trained", "of the task classes: tiny10-digits, lenet-digits"],
    ),
    "task of a population": (
        study("populations", networks=["lenet-digits", "turned"]),
        ["populations.mine.networks[1]: the family is trained on the task rotation", "networks: [lenet-digits]"],
    ),
    "kind of domain": (
        transfer("rotations:30", "blur:1"),
        [
            "deconfounded_cka.transfers.mine.domains[0]: unknown kind of domain",
            "given:   rotations:30",
            "allowed: none, or KIND:STRENGTH such as rotation:30, with one of the kinds rotation, inversion, blur",
            "nearest: rotation:30",
            "domains: ['rotation:30', 'blur:1']",
        ],
    ),
    "domain like no other": (
        transfer("zzz", "blur:1"),
        ["transfers.mine.domains[0]: unknown kind of domain", "domains: ['blur:1']"],
    ),
    "strength of a domain": (
        transfer("noise:2"),
        [
            "domains[0]: 2 is out of range; expected noise:STRENGTH, with STRENGTH a number from 0 to 1",
            "nearest: noise:1",
        ],
    ),
    "strength that is no number": (
        transfer("rotation:x"),
        ["domains[0]: 'x' is not a number; expected rotation:STRENGTH", "nearest: rotation:30"],
    ),
    "two spellings of a domain": (
        transfer("rotation:30.0"),
        ["domains[0]: this domain is written rotation:30", "domains: ['rotation:30']"],
    ),
    "number for a domain": (
        transfer("blur:1", 5),
        ["transfers.mine.domains[1]: not a valid value", "given:   5", "domains: ['blur:1', 'rotation:30']"],
    ),
    "domain listed twice": (transfer("blur:1", "blur:1"), ["blur:1 is listed twice", "domains: ['blur:1']"]),
    "no domains": (transfer(), ["transfers.mine.domains: empty", "allowed: a list of domains such as rotation:30"]),
    "nothing about fine-tuning": (
        study("transfers", networks="lenet-digits", domains=["blur:1"]),
        ["deconfounded_cka.transfers.mine.training: required, but missing", "the keys epochs, batch_size, lr"],
    ),
    "images to fine-tune on": (
        transfer("blur:1", n_train=1298),
        ["deconfounded_cka.transfers.mine.n_train: more images than there are", "from 64 to 1297"],
    ),
    "batch of a discriminator": (
        transfer("blur:1", n_train=100, discriminator={"training": {"batch_size": 128}}),
        ["transfers.mine.n_train: fewer images than a batch, which has 128", "n_train: 128"],
    ),
    "architecture of a discriminator": (
        transfer("blur:1", discriminator={"architecture": "lenett"}),
        [
            "transfers.mine.discriminator.architecture: unknown architecture",
            "nearest: lenet",
            "all but dense in any width",
        ],
    ),
    "training of a discriminator": (
        transfer("blur:1", discriminator={"training": {"epoch": 3}}),
        ["transfers.mine.discriminator.training.epoch: unknown key", "nearest: epochs"],
    ),
    "corruption": (
        study("populations", networks=["lenet-digits"], corruptions=["fogg", "contrast"]),
        [
            "deconfounded_cka.populations.mine.corruptions[0]: unknown name",
            "allowed: one of gaussian_noise, shot_noise",
            "nearest: fog",
            "corruptions: [fog, contrast]",
        ],
    ),
    "corruption listed twice": (
        study("populations", networks=["lenet-digits"], corruptions=["fog", "fog"]),
        ["populations.mine.corruptions: fog is listed twice", "corruptions: [fog]"],
    ),
    "no corruptions": (
        study("populations", networks=["lenet-digits"], corruptions=[]),
        ["populations.mine.corruptions: empty"],
    ),
    "severity": (
        study("populations", networks=["lenet-digits"], severities=[1, 6]),
        [
            "deconfounded_cka.populations.mine.severities[1]: out of range",
            "allowed: a whole number of at least 1 and at most 5",
            "severities: [1, 5]",
        ],
    ),
    "severity listed twice": (
        study("populations", networks=["lenet-digits"], severities=[3, 3]),
        ["populations.mine.severities: 3 is listed twice"],
    ),
    "small population": (
        study("populations", networks=["mnist"]),
        [
            "deconfounded_cka.populations.mine.networks: 1 network cannot be ranked",
            "allowed: at least 3 networks in all, one for each seed of each family",
            "      mnist:\n        seeds: 3",
        ],
    ),
    "small part of a population": (
        study("populations", networks=["lenet-digits"], seeds="0-1"),
        ["populations.mine.seeds: 2 networks cannot be ranked", "given:   [0, 1]", "seeds: null"],
    ),
    "seeds of a study": (
        study("tasks", networks=["lenet-digits"], seeds=[7]),
        ["deconfounded_cka.tasks.mine.seeds: the family lenet-digits has none of these", "seeds: null"],
    ),
    "seeds of a study listed twice": (
        study("tasks", networks=["lenet-digits"], seeds=[1, 1]),
        ["deconfounded_cka.tasks.mine.seeds: 1 is listed twice", "seeds: [1]"],
    ),
    "family of a study listed twice": (
        study("tasks", networks=["lenet-digits", "lenet-digits"]),
        ["deconfounded_cka.tasks.mine.networks: lenet-digits is listed twice", "networks: [lenet-digits]"],
    ),
    "images of a study": (
        study("tasks", networks=["lenet-digits"], n_images=501),
        ["deconfounded_cka.tasks.mine.n_images: more images than there are", "test split of digits", "n_images: 500"],
    ),
    "last batch of a study": (
        study("demonstrations", networks=["lenet-digits", "tiny10-digits"], batch_size=249),
        ["demonstrations.mine.batch_size: the last batch of 500 images would have 2", "batch_size: 248"],
    ),
    "layer of a study": (
        study("tasks", networks=["lenet-digits", "tiny10-digits"], layers=["bn*"]),
        [
            "deconfounded_cka.tasks.mine.layers[0]: matches no layer of lenet (family lenet-digits)",
            "lenet-digits: [blocks]",
            "tiny10-digits: [bn*]",
        ],
    ),
    "layer of the one family of a study": (
        transfer("blur:1", layers=["relu9"]),
        ["transfers.mine.layers[0]: matches no layer of lenet", "layers: [relu4]"],
    ),
    "layers of an unknown family of a study": (
        study("tasks", networks=["lenet-digits"], layers={"lenet-digit": ["fc1"], "lenet-digits": ["fc1"]}),
        ["deconfounded_cka.tasks.mine.layers.lenet-digit: unknown family of networks", "nearest: lenet-digits"],
    ),
    "layers of a family left out of a study": (
        study("tasks", networks=["lenet-digits"], layers={"tiny10-digits": ["fc"]}),
        ["tasks.mine.layers.lenet-digits: missing", "for each family of the study", "lenet-digits: [blocks]"],
    ),
    "one family to demonstrate": (
        study("demonstrations", networks=["lenet-digits"]),
        ["deconfounded_cka.demonstrations.mine.networks: too few", "allowed: a list of two families"],
    ),
    "three families to demonstrate": (
        study("demonstrations", networks=["lenet-digits", "tiny10-digits", "mnist"]),
        ["deconfounded_cka.demonstrations.mine.networks: too many", "allowed: a list of two families"],
    ),
    "the same family twice to demonstrate": (
        study("demonstrations", networks=["lenet-digits", "lenet-digits"]),
        ["demonstrations.mine.networks: the two families are the same", "networks: [lenet-digits, tiny10-digits]"],
    ),
    "unknown family to demonstrate": (
        study("demonstrations", networks=["lenet-digits", "zzz"]),
        ["demonstrations.mine.networks[1]: unknown family", "networks: [lenet-digits, tiny10-digits]"],
    ),
    "part of no layer's name": (
        study("demonstrations", networks=["lenet-digits", "tiny10-digits"], layers=["convs", "pool"]),
        [
            "deconfounded_cka.demonstrations.mine.layers[0]: is part of no layer's name of "
            "lenet (family lenet-digits) and of tiny10 (family tiny10-digits)",
            "allowed: parts of layers' names; both networks have the kinds conv, relu, fc",
            "nearest: conv",
            "layers: [conv, pool]",
        ],
    ),
    "no layers of one network to demonstrate": (
        study("demonstrations", networks=["lenet-digits", "tiny10-digits"], layers=["pool"]),
        [
            "demonstrations.mine.layers: none of these is part of a layer's name of tiny10 (family tiny10-digits)",
            "given:   [pool]",
            "layers: [pool, conv]",
        ],
    ),
    "folder with a taken name": (
        {"data": {"folders": {"mnist": {"path": "x"}}}},
        ["data.folders.mnist: this name is taken by a built-in data set", "      my-mnist:"],
    ),
    "dotted key": ({"panels.digits.n_images": "600"}, ["panels.digits.n_images: more images", "given:   600"]),
    "dotted key without YAML": ({"page.title": "[a"}, ["page.title: no YAML"]),
}


@pytest.mark.parametrize(("user", "lines"), MISTAKES.values(), ids=MISTAKES.keys())
def test_the_message_says_what_to_do(user, lines):
    text = message(user)
    for line in lines:
        assert line in text
    assert "pydantic" not in text.casefold()
    assert "Input should" not in text


@pytest.mark.parametrize("user", [user for user, _ in MISTAKES.values()], ids=MISTAKES.keys())
def test_what_the_message_tells_to_write_is_yaml_for_that_place(user):
    with pytest.raises(ConfigurationError) as caught:
        load(user)
    for problem in caught.value.problems:
        if "  write:\n" in str(problem):
            written = yaml.safe_load(str(problem).split("  write:\n")[1])
            for step in problem.instead or problem.path:
                written = written[step]
            assert written == problem.write


@pytest.mark.parametrize(
    "kind",
    [
        "unknown key of a panel",
        "wrong type",
        "text for a list",
        "out of range",
        "data set",
        "architecture",
        "family",
        "measure",
        "control",
        "listed twice",
        "preset",
        "too many images",
        "last batch",
        "layer",
        "layer that one family lacks",
        "training and weights",
        "seeds nobody published",
        "one file for several seeds",
        *list(MISTAKES)[list(MISTAKES).index("task") : list(MISTAKES).index("folder with a taken name")],
    ],
)
def test_what_the_message_tells_to_write_mends_the_mistake(kind):
    user = MISTAKES[kind][0]
    with pytest.raises(ConfigurationError) as caught:
        load(user)
    problem = caught.value.problems[0]
    place = problem.instead or problem.path
    beside = place[: len(problem.path) - 1] == problem.path[:-1]
    mended = set_at(without(user, problem.path) if beside else user, place, problem.write)
    assert problem.path not in wrong_places(mended)


def wrong_places(user):
    try:
        load(user)
    except ConfigurationError as error:
        return {problem.path for problem in error.problems}
    return set()


def without(values, path):
    if not path or isinstance(path[0], int) or path[0] not in values:
        return dict(values)
    if len(path) == 1 or not isinstance(values[path[0]], dict):
        return {key: value for key, value in values.items() if key != path[0]}
    return {**values, path[0]: without(values[path[0]], path[1:])}


def set_at(values, path, value):
    if not path:
        return {**values, **value} if isinstance(value, dict) and isinstance(values, dict) else value
    inner = values.get(path[0], {}) if isinstance(values, dict) else {}
    return {**(values if isinstance(values, dict) else {}), path[0]: set_at(inner, path[1:], value)}


def test_every_mistake_is_in_one_message_and_none_twice():
    text = message(
        {
            "seed": -1,
            "networks": {"mine": {"architecture": "tiny11", "dataset": "digits", "seeds": "x"}},
            "panels": {"digits": {"n_images": "many", "batchsize": 5, "networks": ["mine", "yours"]}},
        }
    )
    assert text.startswith("the configuration has 6 mistakes:")
    for place in (
        "seed",
        "networks.mine.seeds",
        "networks.mine.architecture",
        "panels.digits.n_images",
        "panels.digits.batchsize",
        "panels.digits.networks[1]",
    ):
        assert text.count(f"\n{place}: ") == 1


def test_a_mistake_is_not_blamed_on_what_depends_on_it():
    text = message({"networks": 3, "panels": {"digits": {"n_images": 50}}})
    assert text.startswith("the configuration has a mistake:")
    assert "networks: not a valid value" in text


def test_a_family_with_a_mistake_is_still_a_family():
    text = message({"networks": {"lenet-digits": {"seeds": "x"}}})
    assert "unknown family" not in text


def test_a_study_is_not_blamed_for_the_mistakes_of_its_families():
    text = message(
        {
            "networks": {
                "mine": {"architecture": "lenet", "dataset": "cifar-10", "seeds": "x", "training": {"lr": 0}},
                "yours": {"dataset": "digits", "training": 3},
            },
            "deconfounded_cka": {
                "populations": {"mine": {"networks": ["lenet-digits", "mine"]}, "more": {"networks": ["mine"]}},
                "tasks": {"yours": {"networks": ["yours"]}},
            },
        }
    )
    assert "deconfounded_cka" not in text
    for place in ("mine.dataset", "mine.seeds", "mine.training.lr", "yours.architecture", "yours.training"):
        assert f"\nnetworks.{place}: " in text


def test_a_list_with_a_wrong_item_is_not_called_short():
    text = message(study("populations", networks=["lenet-digits"], corruptions=["smog"]))
    assert text.startswith("the configuration has a mistake:")


def test_networks_of_several_tasks_make_a_panel():
    loaded = load({"networks": FAMILIES, **panel(networks=["turned", "bare"], networks_per_family=1)})
    assert loaded.panel_networks("digits") == ["turned-s0", "bare-s0"]
    assert loaded.facts_of("turned-s0")["task"] == "rotation"


def test_networks_take_part_by_recordings_alone():
    loaded = load({"panels": {"k": {"dataset": "digits", "keras": ["digits"], "networks_per_family": 2}}})
    assert loaded.panel_recordings("k") == {"conv_small-s0": "conv_small", "conv_small-s1": "conv_small"}
    assert not loaded.panels["k"].has("stitching")
    assert loaded.panels["k"].has("behaviour")


def test_the_error_is_one_of_ours():
    with pytest.raises(NetalikeError):
        load({"seed": -1})


def test_a_name_with_a_dot_is_quoted():
    text = message({"networks": {"a.b": {"architecture": "tiny10", "dataset": "digits", "seeds": "x"}}})
    assert 'networks."a.b".seeds: not a valid value' in text


def test_yaml_syntax_is_reported_with_line_and_column(tmp_path):
    (tmp_path / "config.yaml").write_text("preset: quick\npage:\n  title: [a\nseed: 3\n")
    with pytest.raises(ConfigurationError, match=r"config\.yaml has a mistake") as caught:
        load(tmp_path / "config.yaml")
    assert "no YAML in line 4, column 5" in str(caught.value)


def test_a_tab_is_reported_with_its_line():
    with pytest.raises(ConfigurationError, match="line 2, column 1: found character"):
        parse("page:\n\ttitle: a\n")


def test_a_duplicate_key_is_refused_with_both_lines():
    with pytest.raises(ConfigurationError, match=r"batch_size: given twice, in line 3 and in line 5"):
        parse("panels:\n  digits:\n    batch_size: 4\n    n_images: 8\n    batch_size: 5\n")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml has a mistake"):
        load(tmp_path / "nowhere.yaml")


def test_a_file_that_is_a_list_is_refused():
    with pytest.raises(ConfigurationError, match="is no mapping"):
        parse("- preset: quick\n")
