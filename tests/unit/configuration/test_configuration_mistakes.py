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
    ],
)
def test_what_the_message_tells_to_write_mends_the_mistake(kind):
    user = MISTAKES[kind][0]
    with pytest.raises(ConfigurationError) as caught:
        load(user)
    problem = caught.value.problems[0]
    mended = set_at(without(user, problem.path), problem.instead or problem.path, problem.write)
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
    text = message({"networks": 3, "panels": {"digits": {"n_images": 5}}})
    assert text.startswith("the configuration has a mistake:")
    assert "networks: not a valid value" in text


def test_a_family_with_a_mistake_is_still_a_family():
    text = message({"networks": {"lenet-digits": {"seeds": "x"}}})
    assert "unknown family" not in text


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
