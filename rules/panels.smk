# Panels: who takes part, which files of rows there are, and what they depend on, from the validated configuration.


def panel_dataset(wildcards):
    return f"results/data/{settings.panels[wildcards.panel].dataset}.json"


def panel_weights(wildcards):
    return [weights(network) for network in settings.panel_networks(wildcards.panel)]


# family of measures -> its experiment, as PANEL.EXPERIMENT is called, and the rule that measures it
PANEL_EXPERIMENTS = {
    "representation": ("measures", "comparison/measure_panel"),
    "alignment": ("alignment", "comparison/align_panel"),
    "behaviour": ("behaviour", "comparison/compare_behaviour"),
    "gradients": ("gradients", "comparison/compare_gradients"),
    "stitching": ("stitching", "comparison/stitch_panel"),
    "inversion": ("inversion", "comparison/compare_inverted_panel"),
}
# figure of a panel -> what Snakemake's report calls it, and the inputs whose rows it shows
PANEL_FIGURES = {
    "self_similarity": ("a network with itself", ["cka"]),
    "controls": ("controls", ["cka"]),
    "measures_by_layer": ("all measures by layer", ["cka", "measures"]),
    "measure_correlations": ("which measures agree", ["summary"]),
    "pair_heatmap": ("all pairs under all measures", ["summary"]),
    "measure_separation": ("what each measure tells apart", ["summary"]),
    "cost_pareto": ("cost against separation", ["summary"]),
    "network_maps": ("maps of the networks", ["summary"]),
}
# Keys of a panel that one family of measures alone needs: another number of stitches records nothing again.
FAMILY_KEYS = {"alignment", "gradients", "stitching", "inversion"}


def panel_params(*families):
    """What a comparison depends on, apart from the networks themselves; with the settings of some families."""

    def params(wildcards):
        panel, name = settings.panels[wildcards.panel], wildcards.panel
        networks, recorded = settings.panel_networks(name), settings.panel_recordings(name)
        unneeded = FAMILY_KEYS - set(families) | {"compare", "networks_per_family"}
        return {
            **panel.model_dump(mode="json", exclude=unneeded),
            "members": {**{network: settings.family_of(network) for network in networks}, **panel_kinds(name)},
            "running": networks,
            "recorded": {network: "file" if network in panel.recordings else "keras" for network in recorded},
            "estimators": panel_estimators(name),
            "seed": settings.seed,
        }

    return params


def panel_kinds(panel):
    """Of recorded networks, what stands for their family: the architecture, or the name of the file."""
    own = settings.panels[panel].recordings
    return {name: name if name in own else kind for name, kind in settings.panel_recordings(panel).items()}


def panel_facts(wildcards):
    """What is known of each network of a panel."""
    told = {"task": "classes", "dataset": "", "training": "", "eps": 0.0, "augment": None}
    recorded = {
        name: {**told, "family": kind, "architecture": kind} for name, kind in panel_kinds(wildcards.panel).items()
    }
    return {**{network: settings.facts_of(network) for network in settings.panel_networks(wildcards.panel)}, **recorded}


def panel_keras(wildcards):
    """The recorded trainings that a panel takes networks from."""
    return [
        f"results/shared_response/alignment_{study}/networks-{chunk}"
        for study in settings.panels[wildcards.panel].keras
        for chunk in keras_chunks(study)
    ]


def inversion_chunks(panel):
    return chunks(settings.panel_networks(panel), settings.panels[panel].inversion.networks_per_job)


def panel_files(panel):
    """Files of rows, by family of measures; those of the deconfounded-CKA paper are its own."""
    of, folder = settings.panels[panel], f"results/comparison/{panel}"
    parts = measure_chunks(panel)
    files = {}
    if of.has("representation"):
        files["representation"] = [f"{folder}/measures-{chunk}.parquet" for chunk in parts if of.measures]
    if of.has("alignment"):
        files["alignment"] = [f"{folder}/alignment-{chunk}.parquet" for chunk in parts]
    if of.has("behaviour"):
        files["behaviour"] = [f"{folder}/behaviour.parquet"]
    if of.has("gradients"):
        files["gradients"] = [f"{folder}/gradients.parquet"]
    if of.has("stitching"):
        files["stitching"] = [f"{folder}/stitching-{chunk}.parquet" for chunk in parts]
    if of.has("inversion"):
        files["inversion"] = [f"{folder}/inversion.parquet"]
    return files


def panel_rows(panel):
    """Every file of rows of a panel, with those of CKA at all pairs of layers, where networks are run."""
    cka = [f"results/deconfounded_cka/{panel}/cka.parquet"] if settings.panels[panel].networks else []
    return cka + [file for files in panel_files(panel).values() for file in files]


def panel_timings(panel):
    """What each file of rows cost: a CSV beside it."""
    return [file.replace(".parquet", ".timing.csv") for file in panel_rows(panel)]


def panel_estimators(panel):
    psd = ["deconfounded_psd"] if settings.panels[panel].deconfounded_psd else []
    return [*settings.panels[panel].estimators, *psd]


def checked_panels():
    """The panel on whose recordings our measures are held against other implementations: the first."""
    return [name for name, panel in settings.panels.items() if panel.has("representation")][:1]


def measure_chunks(panel):
    """Numbers of the jobs that share a panel's pairs, controls included."""
    members = len(settings.panel_networks(panel)) + len(settings.panel_recordings(panel))
    pairs = members * (members - 1) // 2
    return range(max(1, -(-pairs // settings.panels[panel].pairs_per_job)))


def panel_measures(wildcards):
    return panel_files(wildcards.panel).get("representation", [])


def panel_experiments(networks):
    """Of each experiment of the panels: the files to make again, and the jobs that its rows cost; see `experiments`."""
    found = {}
    for panel in settings.panels:
        jobs = [networks[network] for network in settings.panel_networks(panel)]
        made = {"layers": (["results/deconfounded_cka/{panel}/cka.parquet"], "deconfounded_cka/compare_panel")}
        made |= {
            PANEL_EXPERIMENTS[family][0]: (files, PANEL_EXPERIMENTS[family][1])
            for family, files in panel_files(panel).items()
        }
        made["comparison"] = ([f"results/comparison/{panel}/summary.parquet"], "comparison/summarise_panel")
        for name, (files, rule_name) in made.items():
            if files and (name != "layers" or jobs):
                files = [file.format(panel=panel) for file in files]
                found[f"{name}_{panel}"] = {"files": files, "jobs": [*jobs, *_panel_jobs(rule_name, panel, files)]}
    return found


def _panel_jobs(rule_name, panel, files):
    chunks_of = [Path(file).stem.rpartition("-")[2] for file in files]
    return [f"{rule_name}/{panel}" if not chunk.isdigit() else f"{rule_name}/{panel}-{chunk}" for chunk in chunks_of]


def cka_figures(panel):
    """The figures of CKA alone: the script of each, and what Snakemake's report calls it."""
    if not settings.panels[panel].networks:
        return {}
    estimators = panel_estimators(panel)
    layers = {
        f"layers_{estimator}": {
            **_figure("layers", "layer by layer, mean over seeds", estimator),
            "wildcards": {"estimator": estimator},
        }
        for estimator in estimators
    }
    explained = _figure("explained_by_inputs", "share explained by the inputs, by depth", "published")
    return {
        **layers,
        "pair": _figure("pair", "layer by layer, one pair", "all"),
        **({"explained_by_inputs": explained} if "deconfounded" in estimators else {}),
    }


def _figure(script, words, estimator):
    return {"script": script, "words": words, "estimator": estimator}


def comparison_figures(panel):
    """The figures of all measures: the script of each, the inputs that it shows, and what Snakemake's report calls it."""
    of = settings.panels[panel]
    left_out = set() if of.networks else {"self_similarity", "controls"}
    # between networks of one family that differ in their seeds, which a panel may have none of
    families = by_family(settings.panel_networks(panel)).values()
    has_seeds = any(len(networks) > 1 for networks in families)
    left_out |= set() if of.measures and has_seeds else {"measures_by_layer"}
    return {
        figure: {"script": figure, "words": words, "rows": rows}
        for figure, (words, rows) in PANEL_FIGURES.items()
        if figure not in left_out
    }


def drawn_panels(figures_of):
    """Each panel with its figures, where it has any."""
    for panel in settings.panels:
        if figures := figures_of(panel):
            yield panel, figures


def cka_rows(wildcards):
    """Panels of recordings alone have none."""
    return rules.compare_panel.output.measurements if settings.panels[wildcards.panel].networks else []
