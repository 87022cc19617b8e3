# The figures of the studies of all papers, each from the rows of its study and nothing else. One job draws all figures of a
# study: to start Python and the libraries costs as much as to draw one.

for kind, study, figures in drawn_studies():

    rule:
        name:
            f"plot_{kind}_{study}"
        input:
            measurements=lambda wildcards, kind=kind: study_measurements(kind, wildcards.study),
            pictures=lambda wildcards, kind=kind: study_pictures(kind, wildcards.study),
        output:
            **figure_files(f"results/figures/{PAPER_OF[kind]}/{kind}_{{study}}", figures),
            **{
                figure: report(
                    f"results/figures/{PAPER_OF[kind]}/{kind}_{{study}}/{figure}.svg",
                    caption=f"../workflow/report/{figure}.rst",
                    category=PAPER_WORDS[PAPER_OF[kind]],
                    subcategory=f"{kind} {{study}}",
                    labels={"figure": STUDY_FIGURES[figure][1], "study": "{study}"},
                )
                for figure in figures
            },
        log:
            f"logs/{PAPER_OF[kind]}/{kind}_{{study}}/plot_figures.log",
        wildcard_constraints:
            study=re.escape(study),
        conda:
            "../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=by_attempt(1500),
            runtime=by_attempt(20),
        params:
            study=study_params(kind),
            figures={figure: {"script": figure} for figure in figures},
        message:
            f"{count_of(figures, 'figure')}: {PAPER_WORDS[PAPER_OF[kind]]}, {kind} ({{wildcards.study}})"
        script:
            "../workflow/scripts/plot_figures.py"
