# Source: Charpiat et al. 2019: the toy problem, training with a similarity term, and map alignment. These studies train
# networks of their own, and take none of the section `networks`.


wildcard_constraints:
    n=r"\d+",
    noise="independent|smooth|bias|clean",
    seed=r"\d+",


# The toy problem: one job trains, in one loop, all networks of a study that have one number of samples.
rule train_toys:
    input:
        [],
    output:
        networks="results/input_similarity/toy_{study}/networks-n{n}.safetensors",
    log:
        "logs/input_similarity/toy_{study}/train_toys-n{n}.log",
    benchmark:
        "results/cost/input_similarity/train_toys/{study}-n{n}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=240,
    params:
        # what only the counts depend on is left out: a new threshold trains nothing again
        study=study_params("toy", "thresholds", "exponents", "bins", "n"),
    message:
        "Training networks on the toy problem with {wildcards.n} samples ({wildcards.study})"
    script:
        "../workflow/scripts/train_toys.py"


rule measure_toys:
    input:
        networks=toy_networks,
    output:
        measurements="results/input_similarity/toy_{study}/measurements.parquet",
    log:
        "logs/input_similarity/toy_{study}/measure_toys.log",
    benchmark:
        "results/cost/input_similarity/measure_toys/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        study=study_params("toy"),
    message:
        "Counting similar samples of the toy problem ({wildcards.study})"
    script:
        "../workflow/scripts/measure_toys.py"


# What holds exactly: steps, bounds, layer products, fast counts, back ends.
rule check_gradients:
    input:
        [],
    output:
        measurements="results/input_similarity/gradient_identities_{study}/measurements.parquet",
    log:
        "logs/input_similarity/gradient_identities_{study}/check.log",
    benchmark:
        "results/cost/input_similarity/check_gradients/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Identities of gradients, kernels and counts ({wildcards.study})"
    script:
        "../workflow/scripts/check_gradients.py"


# MNIST: a job trains the networks of some seeds, each with and without the similarity term.
rule train_with_similarity:
    input:
        data=study_dataset("similarity_term"),
    output:
        measurements="results/input_similarity/similarity_term_{study}/seeds-{chunk}.parquet",
    log:
        "logs/input_similarity/similarity_term_{study}/seeds-{chunk}.log",
    benchmark:
        "results/cost/input_similarity/train_with_similarity/{study}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        study=study_params("similarity_term"),
        seeds=portion_of("similarity_term"),
        # not an output: the runs that were finished before a job was killed are there for the next one
        checkpoints="results/networks/checkpoints/similarity_term_{study}",
    message:
        "Training with a similarity term, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/train_with_similarity.py"


# Map alignment: what a round learns from is what the one before made of the labels, so that a job does all rounds.
rule align_maps:
    input:
        data=study_dataset("map_alignment"),
    output:
        measurements="results/input_similarity/map_alignment_{study}/labels-{noise}-{seed}.parquet",
        pictures="results/input_similarity/map_alignment_{study}/labels-{noise}-{seed}.npz",
    log:
        "logs/input_similarity/map_alignment_{study}/labels-{noise}-{seed}.log",
    benchmark:
        "results/cost/input_similarity/align_maps/{study}-{noise}-{seed}.tsv"
    conda:
        "../envs/tensorflow.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        study=study_params("map_alignment"),
        # not an output, so that Snakemake leaves it when a job is killed: the next run goes on from it
        checkpoints="results/networks/checkpoints/map_alignment_{study}/{noise}-{seed}",
    message:
        "Map alignment on labels with {wildcards.noise} noise, seed {wildcards.seed} ({wildcards.study})"
    script:
        "../workflow/scripts/align_maps.py"
