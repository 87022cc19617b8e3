# Source: Cui et al. 2022 (and Kornblith et al. 2019). One job compares all layers of all networks of a panel: each network
# runs once, each Gram matrix is computed once, and one product serves all pairs and estimators.


rule compare_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
    output:
        measurements="results/deconfounded_cka/{panel}/cka.parquet",
    log:
        "logs/deconfounded_cka/{panel}.log",
    benchmark:
        "results/cost/deconfounded_cka/compare_panel_{panel}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_compare
    resources:
        mem_mb=int(1000 * settings.resources.memory_gb) + 1000,
        runtime=60,
    params:
        panel=panel_params,
    message:
        "CKA of all pairs of layers and networks ({wildcards.panel})"
    script:
        "../workflow/scripts/compare_panel.py"


rule plot_layers:
    input:
        measurements=rules.compare_panel.output.measurements,
    output:
        **figure_files("results/figures/deconfounded_cka/{panel}/layers_{estimator}"),
        figure=report(
            "results/figures/deconfounded_cka/{panel}/layers_{estimator}.svg",
            caption="../workflow/report/layers.rst",
            category="Deconfounded CKA",
            subcategory="{panel}",
            labels={"figure": "layer by layer, mean over seeds", "estimator": "{estimator}"},
        ),
    log:
        "logs/deconfounded_cka/{panel}/plot_layers_{estimator}.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        panel=panel_params,
    message:
        "Layer by layer: {wildcards.estimator} ({wildcards.panel})"
    script:
        "../workflow/scripts/plot_layers.py"


rule plot_pair:
    input:
        measurements=rules.compare_panel.output.measurements,
    output:
        **figure_files("results/figures/deconfounded_cka/{panel}/pair"),
        figure=report(
            "results/figures/deconfounded_cka/{panel}/pair.svg",
            caption="../workflow/report/pair.rst",
            category="Deconfounded CKA",
            subcategory="{panel}",
            labels={"figure": "layer by layer, one pair", "estimator": "all"},
        ),
    log:
        "logs/deconfounded_cka/{panel}/plot_pair.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        panel=panel_params,
    message:
        "Layer by layer: one pair of networks ({wildcards.panel})"
    script:
        "../workflow/scripts/plot_pair.py"


rule plot_explained_by_inputs:
    input:
        measurements=rules.compare_panel.output.measurements,
    output:
        **figure_files("results/figures/deconfounded_cka/{panel}/explained_by_inputs"),
        figure=report(
            "results/figures/deconfounded_cka/{panel}/explained_by_inputs.svg",
            caption="../workflow/report/explained_by_inputs.rst",
            category="Deconfounded CKA",
            subcategory="{panel}",
            labels={"figure": "share explained by the inputs, by depth", "estimator": "published"},
        ),
    log:
        "logs/deconfounded_cka/{panel}/plot_explained_by_inputs.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        panel=panel_params,
    message:
        "Share of the similarity structure that the inputs explain ({wildcards.panel})"
    script:
        "../workflow/scripts/plot_explained_by_inputs.py"
