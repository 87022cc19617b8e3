"""Published robust networks and ImageNet in a run: planned in the preset paper, imported from files that are there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
FAMILY = "shufflenet-robust"
WEIGHTS = f"results/networks/{FAMILY}-s0.safetensors"


def counted(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w[\w.-]*) +(\d+)$", text, re.MULTILINE)}


def test_the_preset_paper_plans_the_published_matrices(snakemake):
    target = "results/inversion/inversion_imagenet/measurements.parquet"
    done = snakemake("-n", target, "--config", "preset=paper")
    assert done.returncode == 0, done.stderr[-2000:]
    jobs = counted(done.stdout + done.stderr)
    imported = {name for name in jobs if name.startswith("import_")}
    assert len(imported) == 18
    assert {f"import_wide_resnet50_4-eps{eps}-imagenet" for eps in (0, 3)} <= imported
    assert (jobs["invert_networks"], jobs["compare_inverted"], jobs["find_imagenet"]) == (18, 1, 1)
    assert "fetch_dataset" not in jobs


def test_the_claims_of_the_published_matrices_are_of_that_study(repository):
    claims = yaml.safe_load((repository / "workflow/claims/inversion.yaml").read_text())["claims"]
    preset = yaml.safe_load((repository / "workflow/presets/paper.yaml").read_text())
    studies = preset["inversion"]["inversions"]
    for claim in claims:
        if claim["id"].startswith("inv-k6"):
            assert claim["needs"] == "paper"
            assert set(claim[True]) <= set(studies)  # YAML's `on`
    standard = [name for name in studies["imagenet"]["networks"] if "-eps0-" in name]
    families = [preset["networks"][name] for name in standard]
    assert len({family["architecture"] for family in families}) == len(families) == 9


@pytest.fixture(scope="module")
def configured(checkout, tmp_path_factory) -> list[str]:
    """Three classes of ImageNet, a network for them in the publisher's layout, and a configuration that names it."""
    from netalike import networks
    from netalike.networks.robust_names import robust_checkpoint

    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for kind in ("n01", "n02", "n03"):
        (root / "imagenet" / "val" / kind).mkdir(parents=True)
        for row in range(3):
            picture = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(picture).save(root / "imagenet" / "val" / kind / f"{row}.JPEG")
    network = networks.build("torchvision:shufflenet_v2_x1_0", 3, 3, seed=1)
    state = {f"module.model.model.{key}": value for key, value in network.state_dict().items()}
    file = root / robust_checkpoint("robust-imagenet-l2:shufflenet:3").file.path
    file.parent.mkdir(parents=True)
    torch.save({"model": state, "epoch": 90}, file)
    text = f"""
    data: {{root: {root}}}
    networks:
      {FAMILY}:
        architecture: torchvision:shufflenet_v2_x1_0
        dataset: imagenet
        weights: published:robust-imagenet-l2:shufflenet:3
      absent:
        architecture: torchvision:resnet18
        dataset: imagenet
        weights: published:robust-imagenet-l2:resnet18:5
    inversion:
      inversions:
        small: {{networks: [{FAMILY}, absent], n_images: 9, pairs: 8, batch_size: 9}}
    """
    (checkout / "robust.yaml").write_text(text)
    return ["--configfile", "robust.yaml"]


def test_a_robust_network_is_imported(snakemake, checkout: Path, configured):
    done = snakemake(WEIGHTS, *configured)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    card = json.loads((checkout / WEIGHTS).with_suffix(".json").read_text())
    assert (card["architecture"], card["classes"], card["dataset"]) == ("torchvision:shufflenet_v2_x1_0", 3, "imagenet")
    assert card["settings"]["eps"] == 3
    assert card["accuracy"] in [hits / 9 for hits in range(10)]
    marker = json.loads((checkout / "results/data/imagenet.json").read_text())
    assert (marker["n"], marker["classes"]) == ({"test": 9}, ["n01", "n02", "n03"])
    log = (checkout / f"logs/networks/import_{FAMILY}.log").read_text()
    assert "published 0.4332" in log


def test_a_file_that_is_nowhere_is_told_with_the_command_to_get_it(snakemake, checkout: Path, configured):
    done = snakemake("results/networks/absent-s0.safetensors", *configured)
    assert done.returncode != 0
    log = (checkout / "logs/networks/import_absent.log").read_text()
    assert re.search(r"robust-imagenet-l2:resnet18:5 is neither in .*curl -L .*resnet18_l2_eps5\.ckpt", log)


def test_imagenet_that_is_not_there_is_told(snakemake, checkout: Path, configured):
    (checkout / "results/data/imagenet.json").unlink(missing_ok=True)
    done = snakemake("results/data/imagenet.json", *configured, "--config", "data={root: nowhere}")
    assert done.returncode != 0
    log = (checkout / "logs/data/find_imagenet.log").read_text()
    assert "there is no folder nowhere/imagenet/val. Get ILSVRC2012 from https://image-net.org" in log


def test_a_name_that_is_none_gets_the_nearest(snakemake, configured):
    mistake = f"networks={{{FAMILY}: {{weights: 'published:robust-imagenet-l2:shuflenet:3'}}}}"
    done = snakemake("-n", *configured, "--config", mistake)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "nearest: published:robust-imagenet-l2:shufflenet:3" in text
    assert "wide_resnet50_4" not in text
