"""The report: exactly the grid's cards, as Markdown, CSV, a heat map, and figures for DVC.

What enters: cells/INTERMEDIATE/TASK/R, and the studies' files. What leaves: the folder reports/, of
equal bytes for equal cells. This room predicts nothing and knows neither models nor MLflow.
"""

from __future__ import annotations

from pathlib import Path

from xstilts.formats.tables import fresh_folder, write_json, write_text
from xstilts.params import AnswerSettings, GridSettings
from xstilts.paths import CELLS, REPORTS, STUDIES, reported_studies, study
from xstilts.studies.plots import draw


def report_stage(
    experiment: str,
    grid: GridSettings,
    section: AnswerSettings,
    cells: Path = CELLS,
    out: Path = REPORTS,
    studies: Path = STUDIES,
) -> None:
    """Write the report as text, tables (CSV), numbers for DVC (JSON) and a heat map.

    And below its folder `studies` what each study with trials tried.
    """
    from xstilts.results.report import figures, texts
    from xstilts.results.report.beyond import beyond
    from xstilts.results.report.cells import read_results
    from xstilts.results.report.decided import answers_of, own_encoders, readable

    results = read_results(experiment, grid, cells)
    columns = readable(results, cells)
    found = answers_of(results, columns, section)
    more = beyond(columns, section, own_encoders(results.columns))
    with fresh_folder(out) as new:
        write_text(new / "report.md", texts.report_text(results, found, section, more))
        write_text(new / "scores.csv", texts.scores_csv(results))
        write_text(new / "grid.csv", texts.grid_csv(results, found))
        write_text(new / "targets.csv", texts.targets_csv(results, found))
        write_text(new / "languages.csv", texts.languages_csv(results, found))
        write_json(new / "metrics.json", texts.metrics(results))
        write_json(new / "mean.json", texts.headline(results))
        figures.heatmap(results, found, new / "heatmap.png")
        if found.cells:
            figures.forest(found, new / "forest.png")
            figures.languages(found, new / "languages.png")
        for path in studies_of(grid, studies):
            draw(path, reported_studies(new) / path.relative_to(studies).with_suffix(""))


def studies_of(grid: GridSettings, studies: Path) -> list[Path]:
    """The files of the grid's studies that are there."""
    files = [study("pretrain", studies=studies)]
    files += [study("intermediate", name, studies) for name in grid.intermediates]
    files += [study("target", name, studies) for name in grid.targets]
    return [path for path in files if path.is_file()]
