# Source: Lu et al. 2018: the simulation, Keras networks aligned over their training, and trained families of PyTorch
# networks, aligned in the same way. BrainIAK is the reference, and checked against; all else is our own implementation.


# The simulation: a job trains the networks of some repeats together, copies them, and aligns the copies.
rule simulate_alignment:
    input:
        [],
    output:
        measurements="results/shared_response/simulation_{study}/repeats-{chunk}.parquet",
        pictures="results/shared_response/simulation_{study}/repeats-{chunk}.npz",
    log:
        "logs/shared_response/simulation_{study}/repeats-{chunk}.log",
    benchmark:
        "results/cost/shared_response/simulate_alignment/{study}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        study=study_params("simulation", "repeats"),
        repeats=portion_of("simulation"),
    message:
        "Aligning rotated and permuted copies of networks, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/simulate_alignment.py"


# What holds exactly: known rotations come back, and BrainIAK gives the same.
rule check_alignment:
    input:
        [],
    output:
        measurements="results/shared_response/exact_alignment_{study}/measurements.parquet",
    log:
        "logs/shared_response/exact_alignment_{study}/check.log",
    benchmark:
        "results/cost/shared_response/check_alignment/{study}.tsv"
    conda:
        "../envs/brainiak.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    message:
        "Recovered rotations, and agreement with BrainIAK ({wildcards.study})"
    script:
        "../workflow/scripts/check_alignment.py"


# Networks from several seeds, with the activations of test images at the logged epochs.
rule train_keras:
    input:
        data=study_dataset("alignment"),
    output:
        networks=directory("results/shared_response/alignment_{study}/networks-{chunk}"),
    log:
        "logs/shared_response/alignment_{study}/networks-{chunk}.log",
    benchmark:
        "results/cost/shared_response/train_keras/{study}-{chunk}.tsv"
    conda:
        "../envs/tensorflow.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        # what only the alignment depends on is left out: another control trains nothing again
        study=study_params("alignment", "seeds", *ALIGNMENT_KEYS),
        seeds=lambda wildcards: list(keras_chunks(wildcards.study)[wildcards.chunk]),
        # not an output, so that Snakemake leaves it when a job is killed: the next run goes on from it
        checkpoints="results/networks/checkpoints/alignment_{study}-{chunk}",
    message:
        "Training Keras networks, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/train_keras.py"


rule align_networks:
    input:
        networks=keras_networks,
    output:
        measurements="results/shared_response/alignment_{study}/measurements.parquet",
        pictures="results/shared_response/alignment_{study}/pictures.npz",
    log:
        "logs/shared_response/alignment_{study}/align.log",
    benchmark:
        "results/cost/shared_response/align_networks/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        study=study_params("alignment"),
    message:
        "Aligning networks over their training ({wildcards.study})"
    script:
        "../workflow/scripts/align_networks.py"


rule align_families:
    input:
        networks=study_weights("aligned_families"),
        data=study_dataset("aligned_families"),
    output:
        measurements="results/shared_response/aligned_families_{study}/measurements.parquet",
        pictures="results/shared_response/aligned_families_{study}/pictures.npz",
    log:
        "logs/shared_response/aligned_families_{study}/align.log",
    benchmark:
        "results/cost/shared_response/align_families/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        study=study_params("aligned_families"),
    message:
        "Aligning the networks of a family ({wildcards.study})"
    script:
        "../workflow/scripts/align_families.py"


# The trajectories of the static figure, turning and moving.
rule animate_trajectories:
    input:
        pictures="results/shared_response/{kind}_{study}/pictures.npz",
    output:
        animation="results/figures/shared_response/{kind}_{study}/shared_trajectories.gif",
    log:
        "logs/shared_response/{kind}_{study}/animate_trajectories.log",
    benchmark:
        "results/cost/shared_response/animate_trajectories/{kind}-{study}.tsv"
    wildcard_constraints:
        kind="alignment|aligned_families",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    message:
        "Animating trajectories before and after alignment ({wildcards.study})"
    script:
        "../workflow/scripts/animate_trajectories.py"
