# Source: Csiszarik et al. 2021. A job stitches some ordered pairs of networks: it records both networks once per layer, and
# finds every kind of stitching layer from these recordings.


rule stitch_pairs:
    input:
        networks=pair_weights("layers"),
        data=study_dataset("layers"),
    output:
        measurements="results/stitching/layers_{study}/pairs-{chunk}.parquet",
    log:
        "logs/stitching/layers_{study}/pairs-{chunk}.log",
    benchmark:
        "results/cost/stitching/stitch_pairs/{study}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        study=study_params("layers"),
        pairs=portion_of("layers"),
        controlled=lambda wildcards: settings.controlled_pairs(STUDIES["layers"][wildcards.study]),
    message:
        "Stitching pairs of networks at every layer, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/stitch_pairs.py"


# Restricted stitching layers at some layers: rank, sparsity, CKA regularisation, masks, targets, and the way there.
rule sweep_stitches:
    input:
        networks=pair_weights("sweeps"),
        data=study_dataset("sweeps"),
    output:
        measurements="results/stitching/sweeps_{study}/pairs-{chunk}.parquet",
    log:
        "logs/stitching/sweeps_{study}/pairs-{chunk}.log",
    benchmark:
        "results/cost/stitching/sweep_stitches/{study}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        study=study_params("sweeps"),
        pairs=portion_of("sweeps"),
    message:
        "Restricted stitching layers, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/sweep_stitches.py"
