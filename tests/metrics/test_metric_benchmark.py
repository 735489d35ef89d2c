from __future__ import annotations

import pytest

from xstilts.tasks.metrics.benchmark import (
    CATEGORIES,
    TASKS,
    average,
    summary,
    task_score,
)


def test_language_counts_as_published() -> None:
    counts = {task: len(set(languages)) for task, languages in TASKS["xtreme"].items()}
    assert counts == {
        **{"pawsx": 7, "xnli": 15, "panx": 40, "udpos": 33, "bucc2018": 4, "tatoeba": 36},
        **{"xquad": 11, "mlqa": 7, "tydiqa": 9},
    }
    counts = {task: len(set(languages)) for task, languages in TASKS["xtreme-r"].items()}
    assert counts == {
        **{"xnli": 15, "xcopa": 11, "panx": 48, "udpos": 38, "tatoeba": 41, "lareqa": 11},
        **{"mewslix": 11, "xquad": 12, "mlqa": 7, "tydiqa": 9},
    }


@pytest.mark.parametrize("benchmark", list(TASKS))
def test_every_task_is_in_one_category(benchmark) -> None:
    grouped = [task for tasks in CATEGORIES[benchmark].values() for task in tasks]
    assert sorted(grouped) == sorted(TASKS[benchmark])


def test_task_score_by_kind() -> None:
    assert task_score({"exact_match": 40, "f1": 60}) == 50
    assert task_score({"precision": 1, "recall": 0, "f1": 0.5}) == 0.5
    assert task_score({"accuracy": 7}) == 7
    assert task_score({"map@20": 3}) == 3
    with pytest.raises(ValueError, match="bleu"):
        task_score({"bleu": 1})


def test_average_is_over_tasks_not_categories() -> None:
    scores = {task: float(number) for number, task in enumerate(TASKS["xtreme"])}
    means = average(scores)
    assert means["all"] == 4
    assert means["qa"] == 7
    assert means["without_retrieval"] == pytest.approx((0 + 1 + 2 + 3 + 6 + 7 + 8) / 7)


def test_average_leaves_out_what_is_not_whole() -> None:
    assert average({"xnli": 1.0, "pawsx": 0.0, "udpos": 1.0}) == {"classification": 0.5}
    assert "without_retrieval" in average({t: 1.0 for t in TASKS["xtreme"] if t != "tatoeba"})
    with pytest.raises(ValueError, match="no benchmark 'glue'"):
        average({}, "glue")


def test_xtreme_r_has_a_total_over_ten() -> None:
    means = average(dict.fromkeys(TASKS["xtreme-r"], 2.0), "xtreme-r")
    assert means == dict.fromkeys(
        ("classification", "tagging", "qa", "retrieval", "without_retrieval", "all"), 2.0
    )


def test_summary_is_evaluate_py_layout() -> None:
    result = summary(
        {"mlqa": {"exact_match": {"en": 1.0, "de": 3.0}, "f1": {"en": 5.0, "de": 5.0}}}
    )
    assert result == {
        "mlqa": {
            "exact_match": {"en": 1.0, "de": 3.0},
            "f1": {"en": 5.0, "de": 5.0},
            "avg_exact_match": 2.0,
            "avg_f1": 5.0,
            "avg_metric": 3.5,
        }
    }
