# Source: Jones et al. 2022, and STIR (Nanda et al. 2022). Images are inverted through each network, and all networks are
# compared on them. Robust networks are families of the section `networks` with adversarial training.


# A job inverts the same pairs of images through some networks, and attacks these networks.
rule invert_networks:
    input:
        networks=lambda wildcards: [weights(network) for network in portion_of("inversion")(wildcards)],
        data=study_dataset("inversion"),
    output:
        measurements="results/inversion/inversion_{study}/networks-{chunk}.parquet",
        images="results/inversion/inversion_{study}/networks-{chunk}.safetensors",
    log:
        "logs/inversion/inversion_{study}/networks-{chunk}.log",
    benchmark:
        "results/cost/inversion/invert_networks/{study}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=by_attempt(inversion_mb),
        runtime=240,
    params:
        study=study_params("inversion"),
        eps=eps_of_networks("inversion"),
        # not an output: what was inverted before a job was killed is there for the next run
        checkpoints="results/networks/checkpoints/inversion_{study}",
    message:
        "Inverting images through networks, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/invert_networks.py"


rule compare_inverted:
    input:
        networks=study_weights("inversion"),
        images=lambda wildcards: [
            f"results/inversion/inversion_{wildcards.study}/networks-{chunk}.safetensors"
            for chunk in portions("inversion", wildcards.study)
        ],
        data=study_dataset("inversion"),
    output:
        measurements="results/inversion/inversion_{study}/measurements.parquet",
        pictures="results/inversion/inversion_{study}/pictures.npz",
    log:
        "logs/inversion/inversion_{study}/compare.log",
    benchmark:
        "results/cost/inversion/compare_inverted/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=by_attempt(inversion_mb),
        runtime=240,
    params:
        study=study_params("inversion"),
        eps=eps_of_networks("inversion"),
    message:
        "Comparing networks on inverted images ({wildcards.study})"
    script:
        "../workflow/scripts/compare_inverted.py"
