"""Averages of XTREME and XTREME-R: numbers per task and language in, task, category and total out.

Tasks, languages and categories are those of XTREME's evaluate.py. Its XTREME-R can never form a
total (`lareqa` has no languages there, `xcopa` stands in two groups); here it can: the plain mean
over ten tasks, as in the XTREME-R paper. Percent or fractions: what comes in goes out.
"""

from __future__ import annotations

from collections.abc import Mapping

_PANX = (
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th "
    "sw yo my zh kk tr et fi hu"
)
_UDPOS = (
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi "
    "yo zh"
)
_TATOEBA = (
    "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh "
    "kk tr et fi hu"
)
_XNLI = "ar bg de el en es fr hi ru sw th tr ur vi zh"
_XQUAD = "en es de el ru tr ar vi th zh hi"
_PAWSX = "de en es fr ja ko zh"
_BUCC = "de fr ru zh"
_XCOPA = "et ht id it qu sw ta th tr vi zh"
_LAREQA = "ar de el en es hi ru th tr vi zh"
_MEWSLIX = "ar de en es fa ja pl ro ta tr uk"
_MLQA = "en es de ar hi vi zh"
_TYDIQA = "en ar bn fi id ko ru sw te"

Languages = dict[str, tuple[str, ...]]


def _codes(languages: str) -> tuple[str, ...]:
    return tuple(languages.split())


XTREME_TASKS: Languages = {
    "pawsx": _codes(_PAWSX),
    "xnli": _codes(_XNLI),
    "panx": _codes(_PANX),
    "udpos": _codes(_UDPOS),
    "bucc2018": _codes(_BUCC),
    "tatoeba": _codes(_TATOEBA),
    "xquad": _codes(_XQUAD),
    "mlqa": _codes(_MLQA),
    "tydiqa": _codes(_TYDIQA),
}

XTREME_R_TASKS: Languages = {
    "xnli": _codes(_XNLI),
    "xcopa": _codes(_XCOPA),
    "panx": _codes(_PANX + " qu pl uk az lt pa gu ro"),
    "udpos": _codes(_UDPOS + " lt pl uk wo ro"),
    "tatoeba": _codes(_TATOEBA + " az lt pl uk ro"),
    "lareqa": _codes(_LAREQA),
    "mewslix": _codes(_MEWSLIX),
    "xquad": _codes(_XQUAD + " ro"),
    "mlqa": _codes(_MLQA),
    "tydiqa": _codes(_TYDIQA),
}

TASKS: dict[str, Languages] = {"xtreme": XTREME_TASKS, "xtreme-r": XTREME_R_TASKS}

_TAGGING = ("udpos", "panx")
_QA = ("xquad", "mlqa", "tydiqa")

CATEGORIES: dict[str, dict[str, tuple[str, ...]]] = {
    "xtreme": {
        "classification": ("pawsx", "xnli"),
        "tagging": _TAGGING,
        "qa": _QA,
        "retrieval": ("bucc2018", "tatoeba"),
    },
    "xtreme-r": {
        "classification": ("xnli", "xcopa"),
        "tagging": _TAGGING,
        "qa": _QA,
        "retrieval": ("tatoeba", "mewslix", "lareqa"),
    },
}


def task_score(metrics: Mapping[str, float]) -> float:
    """The one number of a task, `avg_metric` of evaluate.py: (EM + F1) / 2 for QA, F1 for tags and
    BUCC, else accuracy or mAP@20."""
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
