# Shared by the other files: which networks, pairs and figures there are, from the validated configuration.
from netalike.configuration.names import DATASETS, DatasetFacts


wildcard_constraints:
    dataset=r"[A-Za-z0-9_.+-]+",
    panel=r"[A-Za-z0-9_.+-]+",
    study=r"[A-Za-z0-9_.+-]+",
    estimator=r"[a-z_]+",
    chunk=r"\d+",


# Of jobs that are ready, those come first which most others wait for: networks, then panels, whose summary reads all that
# is measured of them. Else what has a long way to go is begun last, and one core has nothing to do.
FIRST, SOON = 20, 10


def weights(network):
    return f"results/networks/{network}.safetensors"


def card(network):
    return f"results/networks/{network}.json"


# as before where this workflow runs in its own folder; elsewhere the way there
CLAIMS = sorted(os.path.relpath(path) for path in (HOME / "workflow/claims").glob("*.yaml"))

# The experiments of the papers: paper -> kind of study -> the studies of that kind. The files of a study are in
# results/PAPER/KIND_STUDY/; its rows are the experiment KIND_STUDY of the measurement table, unless EXPERIMENTS says
# otherwise.
PAPERS = {
    "input_similarity": {
        "toy": settings.input_similarity.toys,
        # what holds exactly is checked once, on small networks of its own: the first study lends its name
        "gradient_identities": dict(list(settings.input_similarity.toys.items())[:1]),
        "similarity_term": settings.input_similarity.similarity_terms,
        "map_alignment": settings.input_similarity.map_alignments,
    },
    "deconfounded_cka": {
        "tasks": settings.deconfounded_cka.tasks,
        "transfer": settings.deconfounded_cka.transfers,
        "ood": settings.deconfounded_cka.populations,
        "demonstration": settings.deconfounded_cka.demonstrations,
        "identities": settings.deconfounded_cka.tasks,
    },
    "stitching": {
        "layers": settings.stitching.layers,
        "sweeps": settings.stitching.sweeps,
    },
    "shared_response": {
        "simulation": settings.shared_response.simulations,
        "exact_alignment": dict(list(settings.shared_response.simulations.items())[:1]),
        "alignment": settings.shared_response.alignments,
        "aligned_families": settings.shared_response.aligned_families,
    },
    "inversion": {
        "inversion": settings.inversion.inversions,
    },
}
PAPER_WORDS = {
    "input_similarity": "Input similarity",
    "deconfounded_cka": "Deconfounded CKA",
    "stitching": "Stitching",
    "shared_response": "Shared response model",
    "inversion": "Representation inversion",
}
STUDIES = {kind: studies for kinds in PAPERS.values() for kind, studies in kinds.items()}
PAPER_OF = {kind: paper for paper, kinds in PAPERS.items() for kind in kinds}
# kind of study -> the experiments that its rows belong to, where it has several
EXPERIMENTS = {
    "layers": ["layers", "invariants"],
    "sweeps": ["ranks", "l1", "cka_reg", "masks", "targets", "trajectory"],
}
# kind of study -> the rules that measure it, a job per study
STUDY_RULES = {
    "toy": ["measure_toys"],
    "gradient_identities": ["check_gradients"],
    "tasks": ["compare_tasks"],
    "transfer": ["discriminate_domains"],
    "ood": ["evaluate_population", "compare_population"],
    "demonstration": ["demonstrate"],
    "identities": ["check_identities"],
    "exact_alignment": ["check_alignment"],
    "alignment": ["align_networks"],
    "aligned_families": ["align_families"],
    "inversion": ["compare_inverted"],
}


def chunks(items, size):
    """The portions of a list, by their numbers."""
    return {str(part): items[start : start + size] for part, start in enumerate(range(0, len(items), size))}


# kind of study -> the rule that measures it in portions, what a portion's file is called, and a study's portions by name
PORTION_RULES = {
    "similarity_term": ("train_with_similarity", "seeds", lambda study: chunks(study.seeds, study.seeds_per_job)),
    "map_alignment": (
        "align_maps",
        "labels",
        lambda study: {f"{noise}-{seed}": (noise, seed) for noise in study.noise for seed in study.seeds},
    ),
    "transfer": (
        "transfer_networks",
        "networks",
        lambda study: chunks(settings.study_networks(study), study.networks_per_job),
    ),
    "layers": ("stitch_pairs", "pairs", lambda study: chunks(settings.study_pairs(study), study.pairs_per_job)),
    "sweeps": ("sweep_stitches", "pairs", lambda study: chunks(settings.study_pairs(study), study.pairs_per_job)),
    "simulation": (
        "simulate_alignment",
        "repeats",
        lambda study: chunks(range(study.repeats), study.repeats_per_job),
    ),
    "inversion": (
        "invert_networks",
        "networks",
        lambda study: chunks(settings.study_networks(study), study.networks_per_job),
    ),
}
# figure -> the kinds of study that it is of, separated by a space, and what Snakemake's report calls it
STUDY_FIGURES = {
    "toy_curvature": ("toy", "soft counts by position, curvature and frequency"),
    "toy_measures": ("toy", "every count by frequency"),
    "toy_sizes": ("toy", "counts by number of training samples"),
    "toy_denoising": ("toy", "denoising of noisy labels"),
    "gradient_identities": ("gradient_identities", "exact identities of gradients"),
    "similarity_term_curves": ("similarity_term", "accuracy with and without a similarity term"),
    "similarity_term_differences": ("similarity_term", "what a similarity term changes"),
    "map_alignment_error": ("map_alignment", "error before and after alignment"),
    "map_alignment_accuracy": ("map_alignment", "cumulative accuracy of vertices"),
    "map_alignment_training": ("map_alignment", "training curves"),
    "map_alignment_overlay": ("map_alignment", "image, noisy and corrected polygons"),
    "map_alignment_denoising": ("map_alignment", "predicted and true denoising"),
    "map_alignment_counts": ("map_alignment", "histogram of soft counts"),
    "map_alignment_neighbours": ("map_alignment", "nearest neighbours of patches"),
    "map_alignment_facts": ("map_alignment", "what similar patches share"),
    "random_by_depth": ("tasks", "random and trained networks by depth"),
    "explained_by_depth": ("tasks", "share explained by the inputs, by depth"),
    "separation": ("tasks", "separation of same task, other task and random"),
    "transfer": ("transfer", "fine-tuning on shifted domains"),
    "ood": ("ood", "out-of-distribution accuracy"),
    "demonstration": ("demonstration", "layer by layer, with and without the division bug"),
    "identities": ("identities", "exact identities"),
    "stitching_layers": ("layers", "relative accuracy by layer"),
    "stitching_similarity": ("layers", "similarity and accuracy of stitches by layer"),
    "stitching_agreement": ("layers", "agreement with the end network by layer"),
    "stitching_ranks": ("sweeps", "rank of the stitching layer"),
    "stitching_training": ("sweeps", "CKA against relative accuracy along training"),
    "stitching_masks": ("sweeps", "masks, targets and sparsity"),
    "simulation_bars": ("simulation", "between-network similarity of rotated and permuted copies"),
    "simulation_rsms": ("simulation", "similarity matrices of copies, before and after alignment"),
    "alignment_identities": ("exact_alignment", "recovered rotations, and agreement with BrainIAK"),
    "shared_panel": ("alignment aligned_families", "similarity matrices within and between networks"),
    "shared_development": ("alignment", "similarity of similarities over training"),
    "shared_variance": ("alignment aligned_families", "variance explained by a shared response, by layer"),
    "shared_consistency": ("alignment aligned_families", "consistency of similarity matrices, by layer"),
    "shared_classes": ("alignment aligned_families", "similarity of classes, by layer and epoch"),
    "shared_trajectories": ("alignment aligned_families", "trajectories before and after alignment"),
    "inversion_similarity": ("inversion", "similarity on targets and on inverted images"),
    "inversion_published": ("inversion", "the published matrices"),
    "inversion_gallery": ("inversion", "seeds, targets and inverted images"),
    "inversion_robustness": ("inversion", "similarity and robustness"),
    "inversion_asymmetry": ("inversion", "robust against standard networks, both ways"),
    "inversion_losses": ("inversion", "losses of the inversion"),
    "inversion_accuracy": ("inversion", "clean and robust accuracy"),
}
# kind of study -> a study's files of pictures; of map alignment, those of the first seed
PICTURES = {
    "map_alignment": lambda study: [f"labels-{noise}-{study.seeds[0]}" for noise in study.noise],
    "simulation": lambda study: ["repeats-0"],
    "alignment": lambda study: ["pictures"],
    "aligned_families": lambda study: ["pictures"],
    "inversion": lambda study: ["pictures"],
}


def drawn_studies():
    """Kind, study and figures of each study that has any."""
    for kind, studies in STUDIES.items():
        for study in studies:
            if figures := figures_of_study(kind, study):
                yield kind, study, figures


def count_of(things, word):
    return f"{len(things)} {word}{'s' * (len(things) != 1)}"


def used_networks():
    """The networks of all panels and studies, each once."""
    in_panels = [network for panel in settings.panels for network in settings.panel_networks(panel)]
    in_studies = [
        network
        for studies in STUDIES.values()
        for study in studies.values()
        for network in settings.study_networks(study)
    ]
    return list(dict.fromkeys([*in_panels, *in_studies]))


def by_family(networks):
    families = {}
    for network in networks:
        families.setdefault(settings.family_of(network), []).append(network)
    return families


def training_jobs():
    """Family, number of the job, and the networks that this job trains."""
    for family, networks in by_family(settings.networks_to_train()).items():
        size = settings.networks[family].networks_per_job
        for part, start in enumerate(range(0, len(networks), size)):
            yield family, part, networks[start : start + size]


def imported_networks():
    """Networks that are not trained here, by family: published, of the user's own, pretrained, or untrained."""
    trained = set(settings.networks_to_train())
    return by_family(network for network in used_networks() if network not in trained)


def used_datasets():
    """The data sets of all panels and of their networks, each once."""
    trained_on = [settings.settings_of(network).dataset for network in used_networks()]
    own = [study.fetched for _, study in own_studies() if study.fetched not in (None, "aerial")]
    return list(dict.fromkeys([*(panel.dataset for panel in settings.panels.values()), *trained_on, *own]))


def own_studies():
    """Kind and settings of the studies that train networks of their own."""
    return [(kind, study) for kind, studies in STUDIES.items() for study in studies.values() if not study.families]


def study_of(kind):
    """The study that a rule's wildcard names."""
    return lambda wildcards: STUDIES[kind][wildcards.study]


def study_dataset(kind):
    def marker(wildcards):
        dataset = settings.study_dataset(STUDIES[kind][wildcards.study])
        return [] if dataset is None else f"results/data/{dataset}.json"

    return marker


def study_weights(kind):
    return lambda wildcards: [weights(network) for network in settings.study_networks(STUDIES[kind][wildcards.study])]


def study_params(kind, *left_out):
    """What an experiment depends on, apart from the networks themselves, and from keys that are left out."""

    def params(wildcards):
        study = STUDIES[kind][wildcards.study]
        networks = settings.study_networks(study)
        per_job = {"networks_per_job", "pairs_per_job", "seeds_per_job"}
        values = study.model_dump(mode="json", exclude=per_job | set(left_out))
        if not study.families:
            return {**values, "seed": settings.seed}
        return {
            **values,
            "dataset": settings.study_dataset(study),
            "members": {network: settings.family_of(network) for network in networks},
            "tasks": settings.tasks_of(study),
            "seed": settings.seed,
        }

    return params


def portions(kind, study):
    """What one job after the other measures of a study, by name: networks, seeds, labels, or pairs of a stitch."""
    return PORTION_RULES[kind][2](STUDIES[kind][study]) if kind in PORTION_RULES else {}


def portion_of(kind):
    """The portion that a rule's wildcards name."""
    return lambda wildcards: list(portions(kind, wildcards.study)[wildcards.chunk])


def pair_weights(kind):
    """The networks of a portion of pairs, each once."""
    return lambda wildcards: [
        weights(network) for network in dict.fromkeys(n for pair in portion_of(kind)(wildcards) for n in pair)
    ]


def eps_of_networks(kind):
    """The size of the attacks that each network of a study was trained against; 0 for standard networks."""
    return lambda wildcards: {
        network: settings.eps_of(network) for network in settings.study_networks(STUDIES[kind][wildcards.study])
    }


def toy_networks(wildcards):
    folder = f"results/input_similarity/toy_{wildcards.study}"
    return [f"{folder}/networks-n{n}.safetensors" for n in STUDIES["toy"][wildcards.study].n]


def study_pictures(kind, study):
    """The pictures that some figures show beside rows."""
    if kind not in PICTURES:
        return []
    return [f"results/{PAPER_OF[kind]}/{kind}_{study}/{name}.npz" for name in PICTURES[kind](STUDIES[kind][study])]


# Keys of a study of Keras networks that say how they are aligned, and not how they are trained.
ALIGNMENT_KEYS = ("n_evaluate", "features", "iterations", "z_score", "centers", "controls", "rsms")


def animations():
    """The moving pictures, beside the figures that show them still."""
    return [
        f"results/figures/shared_response/{kind}_{study}/shared_trajectories.gif"
        for kind in ("alignment", "aligned_families")
        for study in STUDIES[kind]
    ]


def keras_chunks(study):
    """The seeds of the Keras networks that one job after the other trains, by number of the job."""
    found = STUDIES["alignment"][study]
    return chunks(found.seeds, found.seeds_per_job)


def keras_networks(wildcards):
    folder = f"results/shared_response/alignment_{wildcards.study}"
    return [f"{folder}/networks-{chunk}" for chunk in keras_chunks(wildcards.study)]


def study_measurements(kind, study):
    """The files that hold the rows of a study."""
    names = {"ood": ["accuracies", "similarities"], "transfer": ["domains"]}.get(kind, ["measurements"])
    if kind in PORTION_RULES:
        parts = [f"{PORTION_RULES[kind][1]}-{chunk}" for chunk in portions(kind, study)]
        names = [*parts, *(names if kind in STUDY_RULES else [])]
    return [f"results/{PAPER_OF[kind]}/{kind}_{study}/{name}.parquet" for name in names]


def all_measurements(wildcards):
    files = ["results/comparison/networks.parquet"]
    for panel in settings.panels:
        files += [*panel_rows(panel), f"results/comparison/{panel}/summary.parquet"]
        files += [f"results/comparison/{panel}/implementations.parquet"] if panel in checked_panels() else []
    for kind, studies in STUDIES.items():
        for study in studies:
            files += study_measurements(kind, study)
    return files


def experiments():
    """Of each experiment of the table: the files to make again, and the jobs that its rows cost."""
    networks = dict(_network_jobs())
    found = panel_experiments(networks)
    for kind, studies in STUDIES.items():
        for study in studies:
            jobs = [networks[network] for network in settings.study_networks(studies[study])]
            made = {"files": study_measurements(kind, study), "jobs": [*jobs, *_study_jobs(kind, study)]}
            for experiment in EXPERIMENTS.get(kind, [kind]):
                # two papers may call an experiment the same: then the one command makes both
                other = found.setdefault(f"{experiment}_{study}", {"files": [], "jobs": []})
                found[f"{experiment}_{study}"] = {
                    key: list(dict.fromkeys([*other[key], *made[key]])) for key in ("files", "jobs")
                }
    return found


def _study_jobs(kind, study):
    """The jobs that measure a study, as the cost files name them."""
    paper = PAPER_OF[kind]
    whole = [f"{paper}/{name}/{study}" for name in STUDY_RULES.get(kind, [])]
    in_portions = PORTION_RULES.get(kind, [""])[0]
    if kind == "alignment":
        whole += [f"{paper}/train_keras/{study}-{chunk}" for chunk in keras_chunks(study)]
    if kind == "toy":
        whole += [f"{paper}/train_toys/{study}-n{n}" for n in STUDIES[kind][study].n]
    return whole + [f"{paper}/{in_portions}/{study}-{chunk}" for chunk in portions(kind, study)]


def _network_jobs():
    for family, part, networks in training_jobs():
        for network in networks:
            yield network, f"networks/train/{family}-{part}"
    for family, networks in imported_networks().items():
        for network in networks:
            yield network, f"networks/import/{family}"


def paper_figures(paper):
    """Every figure of one paper, or of the comparison."""
    names = {"deconfounded_cka": cka_figures, "comparison": comparison_figures}.get(paper, lambda panel: [])
    of_panels = [f"results/figures/{paper}/{panel}/{name}.svg" for panel in settings.panels for name in names(panel)]
    return [*of_panels, *study_figures(paper)]


def all_figures():
    of_papers = [figure for paper in [*PAPERS, "comparison"] for figure in paper_figures(paper)]
    return [*of_papers, "results/figures/comparison/claims_summary.svg"]


def study_figures(paper):
    return [
        f"results/figures/{paper}/{kind}_{study}/{figure}.svg"
        for kind, study, figures in drawn_studies()
        for figure in figures
        if PAPER_OF[kind] == paper
    ]


def figures_of_study(kind, study):
    """The figures of a kind of study, but those that a study does not want, or has nothing for."""
    found = STUDIES[kind][study]
    return [
        figure
        for figure, (kinds, _) in STUDY_FIGURES.items()
        if kind in kinds.split()
        if figure == kind or figure in getattr(found, "figures", [figure])
        if DRAWABLE.get(figure, bool)(found)
    ]


def has_both_trainings(study):
    """Whether a study has standard and robust networks, to be held against each other."""
    return len({settings.eps_of(network) > 0 for network in settings.study_networks(study)}) == 2


def has_architectures(study):
    """Whether a study has networks of several architectures, whose similarity is a matter of their training."""
    return len({settings.settings_of(network).architecture for network in settings.study_networks(study)}) > 1


# figure -> whether a study has what it shows
DRAWABLE = {"inversion_asymmetry": has_both_trainings, "inversion_robustness": has_architectures}


def by_attempt(asked):
    """What a job asks for, more with each attempt: of rules that a loop makes, and that no profile can name."""

    def resource(wildcards, attempt):
        return attempt * (asked(wildcards) if callable(asked) else asked)

    return resource


def figure_files(folder, figures):
    """Beside its vector graphic, a figure is a picture and a card that says what it shows."""
    return {
        f"{figure}_{part}": f"{folder}/{figure}.{suffix}"
        for figure in figures
        for part, suffix in (("picture", "png"), ("card", "json"))
    }


def inversion_mb(wildcards):
    """Images in memory at once, as floats: seeds, targets, inverted and attacked ones, and products of them."""
    study = STUDIES["inversion"][wildcards.study]
    facts = DATASETS.get(settings.study_dataset(study), DatasetFacts(None, 3, None))
    return 3000 + int(10 * study.n_images * 4 * facts.channels * facts.size**2 / 1e6)


def robust_families():
    """The families that are one published robust network each."""
    published = {family: settings.networks[family].weights or "" for family in imported_networks()}
    return [family for family, name in published.items() if is_robust_name(name.removeprefix("published:"))]
