# The figures of the studies of all papers: one per kind of question, each from the rows of its study and nothing else.

for figure, kind, words, suffix in study_plots():

    rule:
        name:
            f"plot_{figure}{suffix}"
        input:
            measurements=lambda wildcards, kind=kind: study_measurements(kind, wildcards.study),
            pictures=lambda wildcards, kind=kind, figure=figure: study_pictures(kind, figure, wildcards.study),
        output:
            **figure_files(f"results/figures/{PAPER_OF[kind]}/{kind}_{{study}}/{figure}"),
            figure=report(
                f"results/figures/{PAPER_OF[kind]}/{kind}_{{study}}/{figure}.svg",
                caption=f"../workflow/report/{figure}.rst",
                category=PAPER_WORDS[PAPER_OF[kind]],
                subcategory=f"{kind} {{study}}",
                labels={"figure": words, "study": "{study}"},
            ),
        log:
            f"logs/{PAPER_OF[kind]}/{kind}_{{study}}/plot_{figure}.log",
        conda:
            "../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            study=study_params(kind),
            figure=figure,
        message:
            f"{words[0].upper()}{words[1:]} ({{wildcards.study}})"
        script:
            "../workflow/scripts/plot_{params.figure}.py"
