"""Averages of XTREME and XTREME-R: numbers per task and language in, task, category and total out.

Tasks, languages and categories are those of XTREME's evaluate.py; `catalogue` declares them. Its
XTREME-R can never form a total (`lareqa` has no languages there, `xcopa` stands in two groups);
here it can: the plain mean over ten tasks, as in the XTREME-R paper. Percent or fractions: what
comes in goes out.
"""

from __future__ import annotations

from collections.abc import Mapping

from xstilts.tasks.catalogue import ENTRIES
from xstilts.tasks.catalogue.entry import Benchmark

_BENCHMARKS: tuple[Benchmark, ...] = ("xtreme", "xtreme-r")

# {benchmark: {task: languages}}, both in the order of evaluate.py: sums of floats depend on it.
TASKS: dict[str, dict[str, tuple[str, ...]]] = {
    benchmark: {
        name: (*entry.ordered, *(entry.added if benchmark == "xtreme-r" else ()))
        for name, entry in ENTRIES.items()
        if benchmark in entry.benchmarks
    }
    for benchmark in _BENCHMARKS
}


def _categories(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    of = {name: ENTRIES[name].benchmarks[benchmark] for name in TASKS[benchmark]}
    return {
        category: tuple(name for name in of if of[name] == category)
        for category in ("classification", "tagging", "qa", "retrieval")
    }


CATEGORIES: dict[str, dict[str, tuple[str, ...]]] = {
    benchmark: _categories(benchmark) for benchmark in _BENCHMARKS
}


def task_score(metrics: Mapping[str, float]) -> float:
    """The one number of a task, `avg_metric` of evaluate.py.

    (EM + F1) / 2 for QA, F1 for tags and BUCC, else accuracy or mAP@20.
    """
    if "exact_match" in metrics:
        return (metrics["exact_match"] + metrics["f1"]) / 2
    for name in ("f1", "accuracy", "map@20"):
        if name in metrics:
            return metrics[name]
    raise ValueError(f"no metric of XTREME among: {', '.join(metrics) or 'nothing'}")


def average(task_scores: Mapping[str, float], benchmark: str = "xtreme") -> dict[str, float]:
    """Means of one number per task: every category that is whole, `without_retrieval`, `all`.

    `all` is the mean over the tasks, not over the categories. A mean with a task missing is left
    out, never formed over the rest.
    """
    categories = _known(benchmark, CATEGORIES)
    tasks = tuple(TASKS[benchmark])
    groups = {
        **categories,
        "without_retrieval": tuple(t for t in tasks if t not in categories["retrieval"]),
        "all": tasks,
    }
    return {
        name: _mean([task_scores[task] for task in group])
        for name, group in groups.items()
        if all(task in task_scores for task in group)
    }


PerTask = Mapping[str, Mapping[str, Mapping[str, float]]]


def summary(per_task: PerTask, benchmark: str = "xtreme") -> dict[str, object]:
    """{task: {metric: {language: number}}} -> the layout that evaluate.py writes.

    `all_task` and the categories that are whole, then each task with its numbers, `avg_<metric>`
    (plain mean over its languages, English included) and `avg_metric`.
    """
    details: dict[str, dict[str, object]] = {}
    scores: dict[str, float] = {}
    for task, metrics in per_task.items():
        means = {name: _mean(list(values.values())) for name, values in metrics.items()}
        scores[task] = task_score(means)
        details[task] = {
            **{name: dict(values) for name, values in metrics.items()},
            **{f"avg_{name}": value for name, value in means.items()},
            "avg_metric": scores[task],
        }
    means = average(scores, benchmark)
    totals = {"all_task": means["all"]} if "all" in means else {}
    totals |= {name: means[name] for name in CATEGORIES[benchmark] if name in means}
    return {**totals, **details}


def _known(
    benchmark: str, table: Mapping[str, dict[str, tuple[str, ...]]]
) -> dict[str, tuple[str, ...]]:
    if benchmark not in table:
        raise ValueError(f"no benchmark '{benchmark}'; expected {' or '.join(table)}")
    return table[benchmark]


def _mean(values: list[float]) -> float:
    if not values:
        raise ValueError("no numbers to average")
    return sum(values) / len(values)
