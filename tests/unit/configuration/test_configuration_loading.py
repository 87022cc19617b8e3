"""A preset under the user's values."""

import json
import subprocess
import sys

import pytest

from netalike.configuration import Configuration, load, parse
from netalike.configuration.loading import REPOSITORY
from netalike.configuration.reading import PRESETS

QUICK = [f"{family}-s{seed}" for family in ("tiny10-digits", "lenet-digits") for seed in range(3)]


def without_studies():
    """What removes the studies of the quick preset."""
    removed = {}
    for paper, kind, name in load({}).studies():
        removed.setdefault(paper, {}).setdefault(kind, {})[name] = None
    return removed


def test_nothing_is_the_quick_preset():
    configuration = load({})
    assert configuration.preset == "quick"
    assert [name for name in configuration.network_ids() if name in QUICK] == QUICK
    assert configuration.datasets() == ["digits"]
    assert configuration.networks["tiny10-digits"].training.model_dump() == {
        "epochs": 12,
        "batch_size": 64,
        "lr": 0.05,
        "weight_decay": 1e-4,
        "optimizer": "sgd",
        "augment": True,
        "save_every": 10,
    }
    digits = configuration.panels["digits"]
    assert (digits.n_images, digits.batch_size, digits.deconfounded_psd) == (500, 125, True)
    assert digits.images_for_measures == 256


def test_the_standard_preset_extends_the_quick_one():
    configuration = load({"preset": "standard"})
    assert configuration.panels["digits"] == load({}).panels["digits"]
    assert set(load({}).network_ids()) < set(configuration.network_ids())
    count = {family: len(configuration.networks[family].seeds) for family in configuration.networks}
    assert (count["tiny10-authors"], count["resnet20-authors"], count["dense-mnist"]) == (20, 2, 3)
    assert len(configuration.networks_to_train()) == len(configuration.network_ids()) - 20 - 2
    assert len(configuration.panel_pairs("tiny10-cifar10")) == 22 * 21 / 2
    assert configuration.panel_networks("cross-cifar10") == [
        f"{family}-s{seed}" for family in ("tiny10-authors", "resnet20-authors") for seed in (0, 1)
    ]


def test_the_paper_preset_has_the_papers_sizes():
    configuration = load({"preset": "paper"})
    assert configuration.networks["tiny10-cifar10"].training.epochs == 300
    assert configuration.networks["resnet20_w5-cifar10"].architecture == "resnet20_w5"
    assert configuration.panels["densenet-resnet"].layers_of("resnet101") == ("*conv*", "fc")


@pytest.mark.parametrize("preset", PRESETS)
def test_plain_values_read_back_to_the_same_configuration(preset):
    configuration = load({"preset": preset})
    plain = json.loads(json.dumps(configuration.as_dict()))
    assert Configuration.model_validate(plain) == configuration


def test_a_value_replaces_one_key_and_leaves_the_others():
    digits = load({"panels": {"digits": {"n_images": 250}}}).panels["digits"]
    assert digits.n_images == 250
    assert digits.batch_size == 125


def test_a_list_is_replaced_as_a_whole():
    assert load({"panels": {"digits": {"controls": ["noise"]}}}).panels["digits"].controls == ("noise",)


def test_null_removes_a_family_a_panel_and_training():
    configuration = load(
        {
            "networks": {"lenet-digits": None, "tiny10-digits": {"training": None}},
            "panels": {"digits": None, "mine": {"dataset": "digits", "networks": ["tiny10-digits"]}},
            **without_studies(),
        }
    )
    assert "lenet-digits" not in configuration.networks
    assert list(configuration.panels) == ["mine"]
    assert not configuration.networks["tiny10-digits"].is_trained


@pytest.mark.parametrize(
    "key",
    [
        "preset",
        "seed",
        "data",
        "networks",
        "panels",
        "input_similarity",
        "deconfounded_cka",
        "stitching",
        "page",
        "resources",
    ],
)
def test_a_heading_without_values_says_nothing(key):
    assert load({key: None}) == load({})


def test_dotted_keys_are_expanded_and_their_text_is_yaml():
    configuration = load({"panels.digits.n_images": "250", "panels.digits.controls": "[noise]", "data.mirror": "null"})
    assert configuration.panels["digits"].n_images == 250
    assert configuration.panels["digits"].controls == ("noise",)
    assert configuration.data.mirror is None


def test_a_dotted_key_wins_over_a_nested_one():
    assert (
        load({"panels.digits.n_images": 100, "panels": {"digits": {"n_images": 200}}}).panels["digits"].n_images == 100
    )


def test_a_quoted_name_may_hold_a_dot():
    user = {"networks": {"a.b": {"architecture": "tiny10", "dataset": "digits"}}, 'networks."a.b".seeds': "0-1"}
    assert load(user).networks["a.b"].seeds == (0, 1)


def test_the_text_values_of_snakemakes_command_line_are_understood():
    cli = pytest.importorskip("snakemake.cli")
    given = cli.parse_config(
        ["seed=3", "panels={digits: {n_images: 250, deconfounded_psd: false, layers: [relu*]}}", "networks={x: null}"]
    )
    configuration = load(given)
    assert (configuration.seed, configuration.panels["digits"].n_images) == (3, 250)
    assert configuration.panels["digits"].deconfounded_psd is False
    assert configuration.panels["digits"].layers == ("relu*",)
    assert "x" not in configuration.networks


@pytest.mark.parametrize(
    ("given", "seeds"),
    [(3, (0, 1, 2)), ("3", (0, 1, 2)), ("2-4", (2, 3, 4)), ([5, 1], (5, 1)), (["5", "1"], (5, 1)), ("7-7", (7,))],
)
def test_seeds(given, seeds):
    user = {"networks": {"mine": {"architecture": "lenet", "dataset": "digits", "seeds": given}}}
    assert load(user).networks["mine"].seeds == seeds


def test_a_number_in_scientific_notation_is_a_number():
    assert parse("lr: 1e-4") == {"lr": 1e-4}


def test_a_file_is_read(tmp_path):
    (tmp_path / "config.yaml").write_text("preset: quick\nseed: 5\n")
    assert load(tmp_path / "config.yaml").seed == 5


def test_an_image_folder_is_a_data_set_of_unknown_size():
    user = {
        "data": {"folders": {"leaves": {"path": "x", "channels": 1}}},
        "networks": {"mine": {"architecture": "lenet", "dataset": "leaves"}},
        "panels": {"leaves": {"dataset": "leaves", "networks": ["mine"], "n_images": 4000}},
    }
    assert load(user).datasets() == ["digits", "leaves"]


def test_a_panel_across_data_sets_with_as_many_channels():
    user = {
        "networks": {"mine": {"architecture": "lenet", "dataset": "mnist"}},
        "panels": {"digits": {"networks": ["mine", "lenet-digits"], "across_datasets": True}},
    }
    assert load(user).panel_networks("digits")[0] == "mine-s0"


def test_a_removed_family_may_leave_its_layers_behind():
    user = {"preset": "paper", "panels": {"densenet-resnet": {"networks": ["densenet121"]}}}
    assert load(user).panels["densenet-resnet"].networks == ("densenet121",)


@pytest.mark.parametrize(
    ("n_images", "batch_size", "last"), [(500, 124, 4), (500, 500, 500), (100, 128, 100), (8, 4, 4)]
)
def test_a_last_batch_of_four_images_is_enough(n_images, batch_size, last):
    assert n_images % batch_size in (0, last) or n_images == last
    settings = {"n_images": n_images, "batch_size": batch_size, "compare": ["representation"]}
    load({"panels": {"digits": settings}})


class TestWhatRulesAsk:
    configuration = load({"preset": "standard", "networks": {"dense-mnist": {"threads": 2}}})

    def test_a_network_belongs_to_its_family_and_seed(self):
        assert self.configuration.family_of("tiny10-authors-s13") == "tiny10-authors"
        assert self.configuration.seed_of("tiny10-authors-s13") == 13
        with pytest.raises(KeyError, match="tiny10-authors-s20"):
            self.configuration.family_of("tiny10-authors-s20")

    def test_published_weights_lie_below_the_data_root(self):
        assert self.configuration.weights_of("tiny10-authors-s13") == "resources/networks/tiny10/in13-gn13.pt"
        assert self.configuration.weights_of("lenet-mnist-s0") is None

    def test_a_pattern_of_weights_is_filled_with_the_seed(self):
        user = {
            "networks": {"a": {"architecture": "lenet", "dataset": "mnist", "seeds": "4-5", "weights": "n/{seed}.pt"}}
        }
        assert load(user).weights_of("a-s5") == "n/5.pt"

    def test_pairs_are_unordered_and_come_in_portions(self):
        pairs = self.configuration.panel_pairs("digits")
        assert len(pairs) == 91  # of 7 families, 2 each
        assert len({frozenset(pair) for pair in pairs}) == 91
        assert len(self.configuration.panel_pairs("digits", with_self=True)) == 91 + 14
        jobs = self.configuration.pair_jobs("tiny10-cifar10")
        assert [len(job) for job in jobs] == [64, 64, 64, 39]
        assert [pair for job in jobs for pair in job] == self.configuration.panel_pairs("tiny10-cifar10")

    def test_threads_of_a_family_replace_those_of_all(self):
        assert self.configuration.threads_of("dense-mnist-s0") == 2
        assert self.configuration.threads_of("lenet-mnist-s0") == 1

    def test_pretrained_networks_are_trained_and_bare_ones_are_not(self):
        paper = load({"preset": "paper", "networks": {"bare": {"architecture": "tiny10", "dataset": "cifar10"}}})
        assert paper.networks["densenet121"].is_trained
        assert not paper.networks["bare"].is_trained


def test_no_framework_is_imported():
    code = (
        "import sys; from netalike.configuration import load; load({'preset': 'standard'});"
        "print(sorted({'torch', 'tensorflow', 'torchvision', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY / "workflow"
    )
    assert done.stdout.strip() == "[]"
