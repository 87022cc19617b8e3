# Measures of every kind on the same recorded activations, and the checks that all measures must pass.


rule record_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
    output:
        recordings=temp(directory("results/comparison/{panel}/activations")),
    log:
        "logs/comparison/{panel}/record.log",
    benchmark:
        "results/cost/comparison/record_panel/{panel}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        panel=panel_params,
    message:
        "Recording the layers of all networks ({wildcards.panel})"
    script:
        "../workflow/scripts/record_panel.py"


rule measure_panel:
    input:
        recordings=rules.record_panel.output.recordings,
    output:
        measurements="results/comparison/{panel}/measures-{chunk}.parquet",
    log:
        "logs/comparison/{panel}/measures-{chunk}.log",
    benchmark:
        "results/cost/comparison/measure_panel/{panel}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        panel=panel_params,
    message:
        "Measures on recorded activations, part {wildcards.chunk} ({wildcards.panel})"
    script:
        "../workflow/scripts/measure_panel.py"


rule plot_self_similarity:
    input:
        measurements=rules.compare_panel.output.measurements,
    output:
        **figure_files("results/figures/comparison/{panel}/self_similarity"),
        figure=report(
            "results/figures/comparison/{panel}/self_similarity.svg",
            caption="../workflow/report/self_similarity.rst",
            category="Comparison",
            subcategory="{panel}",
            labels={"figure": "a network with itself"},
        ),
    log:
        "logs/comparison/{panel}/plot_self_similarity.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        panel=panel_params,
    message:
        "Check: every network is like itself ({wildcards.panel})"
    script:
        "../workflow/scripts/plot_self_similarity.py"


rule plot_controls:
    input:
        measurements=rules.compare_panel.output.measurements,
    output:
        **figure_files("results/figures/comparison/{panel}/controls"),
        figure=report(
            "results/figures/comparison/{panel}/controls.svg",
            caption="../workflow/report/controls.rst",
            category="Comparison",
            subcategory="{panel}",
            labels={"figure": "controls"},
        ),
    log:
        "logs/comparison/{panel}/plot_controls.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        panel=panel_params,
    message:
        "Controls with known answers ({wildcards.panel})"
    script:
        "../workflow/scripts/plot_controls.py"


rule plot_measures_by_layer:
    input:
        measurements=lambda wildcards: [rules.compare_panel.output.measurements, *panel_measures(wildcards)],
    output:
        **figure_files("results/figures/comparison/{panel}/measures_by_layer"),
        figure=report(
            "results/figures/comparison/{panel}/measures_by_layer.svg",
            caption="../workflow/report/measures_by_layer.rst",
            category="Comparison",
            subcategory="{panel}",
            labels={"figure": "all measures by layer"},
        ),
    log:
        "logs/comparison/{panel}/plot_measures_by_layer.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        panel=panel_params,
    message:
        "All measures by layer ({wildcards.panel})"
    script:
        "../workflow/scripts/plot_measures_by_layer.py"
