# Shared by the other files: which networks, pairs and figures there are, from the validated configuration.


import re


wildcard_constraints:
    dataset=r"[A-Za-z0-9_.+-]+",
    network=r"[A-Za-z0-9_.+-]+",
    panel=r"[A-Za-z0-9_.+-]+",
    estimator=r"[a-z_]+",
    chunk=r"\d+",


def weights(network):
    return f"results/networks/{network}.safetensors"


def used_networks():
    """The networks of all panels, each once."""
    return list(dict.fromkeys(network for panel in settings.panels for network in settings.panel_networks(panel)))


def imported_networks():
    """Networks that are not trained here, by family: published, of the user's own, pretrained, or untrained."""
    trained = set(settings.networks_to_train())
    families = {}
    for network in used_networks():
        if network not in trained:
            families.setdefault(settings.family_of(network), []).append(network)
    return families


def used_datasets():
    """The data sets of all panels and of their networks, each once."""
    trained_on = [settings.settings_of(network).dataset for network in used_networks()]
    return list(dict.fromkeys([*(panel.dataset for panel in settings.panels.values()), *trained_on]))


def alternatives(names):
    """A pattern that matches these names and nothing else."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def dataset_of(wildcards):
    return f"results/data/{settings.settings_of(wildcards.network).dataset}.json"


def panel_dataset(wildcards):
    return f"results/data/{settings.panels[wildcards.panel].dataset}.json"


def panel_weights(wildcards):
    return [weights(network) for network in settings.panel_networks(wildcards.panel)]


def panel_params(wildcards):
    """What a comparison depends on, apart from the networks themselves."""
    panel = settings.panels[wildcards.panel]
    return {
        **panel.model_dump(mode="json"),
        "members": {network: settings.family_of(network) for network in settings.panel_networks(wildcards.panel)},
        "estimators": panel_estimators(wildcards.panel),
        "seed": settings.seed,
    }


def panel_estimators(panel):
    psd = ["deconfounded_psd"] if settings.panels[panel].deconfounded_psd else []
    return [*settings.panels[panel].estimators, *psd]


def measure_chunks(panel):
    """Numbers of the jobs that share a panel's pairs, controls included."""
    if not settings.panels[panel].measures:
        return []
    pairs = len(settings.panel_pairs(panel))
    return range(max(1, -(-pairs // settings.panels[panel].pairs_per_job)))


def panel_measures(wildcards):
    panel = wildcards.panel
    return [f"results/comparison/{panel}/measures-{chunk}.parquet" for chunk in measure_chunks(panel)]


def all_measurements(wildcards):
    files = ["results/comparison/networks.parquet"]
    for panel in settings.panels:
        files.append(f"results/deconfounded_cka/{panel}/cka.parquet")
        files += [f"results/comparison/{panel}/measures-{chunk}.parquet" for chunk in measure_chunks(panel)]
    return files


def paper_figures(paper):
    """Every figure of one paper, or of the comparison."""
    names = {"deconfounded_cka": cka_figures, "comparison": comparison_figures}[paper]
    return [f"results/figures/{paper}/{panel}/{name}.svg" for panel in settings.panels for name in names(panel)]


def cka_figures(panel):
    layers = [f"layers_{estimator}" for estimator in panel_estimators(panel)]
    explained = ["explained_by_inputs"] if "deconfounded" in panel_estimators(panel) else []
    return [*layers, "pair", *explained]


def comparison_figures(panel):
    measures = ["measures_by_layer"] if settings.panels[panel].measures else []
    return ["self_similarity", "controls", *measures]


def figure_files(path):
    """A figure is a vector graphic, a picture, and a card that says what it shows."""
    return {"picture": f"{path}.png", "card": f"{path}.json"}
