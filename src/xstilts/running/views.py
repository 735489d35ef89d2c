"""Saved views of an experiment in `mlflow ui`: which runs, which columns, in which order.

What enters: the names that a grid has. What leaves: experiment tags `mlflow.sharedViewState.KEY`.
MLflow documents neither tag nor state; both are as its 3.17 web client reads them, tested in a
browser. A client that reads them otherwise shows its own default, and no run is lost by that.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

TAG = "mlflow.sharedViewState."
FIRST, STUDIES = "cells", "studies"  # keys of views; a target's is language-TARGET
_PACKED = "deflate;"
_NAME, _CREATED = "attributes.`Run Name`", "runDateAndNestInfo"  # columns that are always there


@dataclass(frozen=True)
class View:
    """A table of runs. columns: metrics.`xnli` or tags.`xstilts.target`, from left to right."""

    name: str
    search: str
    columns: tuple[str, ...]
    order_by: str  # a column; the largest first
    group_by: str = ""  # a tag
    aggregate: str = "average"  # of a group's runs
    groups: tuple[str, ...] = ()  # values of that tag whose runs are folded away

    def state(self) -> dict[str, Any]:
        """The state of the web client's runs page."""
        every = (_NAME, *self.columns, _CREATED)
        key = {"mode": "tag", "groupByData": self.group_by}
        group = {"aggregateFunction": self.aggregate, "groupByKeys": [key]}
        return {
            "searchFilter": self.search,
            "orderByKey": self.order_by,
            "orderByAsc": False,
            "selectedColumns": list(self.columns),
            "columnOrder": list(every),
            "columnWidths": {name: _width(name) for name in every},
            "groupBy": group if self.group_by else None,
            "groupsExpanded": {f"tag.{self.group_by}.{name}": False for name in self.groups},
            "runsHiddenMode": "SHOW_ALL",  # a group's mean is of the runs that are shown
        }


def _width(column: str) -> int:
    """Pixels: of a number 0.123 and three dots, so that ten stand beside the names on a laptop."""
    return {_NAME: 190, _CREATED: 70}.get(column, 70 if column.startswith("metrics") else 115)


def views_of(
    languages: Mapping[str, Sequence[str]], intermediates: Iterable[str], searched: Sequence[str]
) -> dict[str, View]:
    """The views of a grid by key: the first, one a target, the studies where there are some.

    languages: each target's columns, as test.de. searched: the settings that trials have.
    """
    current = "tags.`xstilts.status` = 'current'"
    mean = metric("mean")
    views = {
        FIRST: View(
            "cells by intermediate",
            f"{current} and tags.`xstilts.phase` = 'intermediate'",
            (mean, *map(metric, languages)),
            mean,
            "xstilts.intermediate",
            groups=tuple(intermediates),
        )
    }
    for target, names in languages.items():
        views[f"language-{target}"] = View(
            f"{target} by language",
            f"{current} and tags.`xstilts.target` = '{target}' and tags.`xstilts.phase` = 'target'",
            (metric(target), *map(metric, names)),
            metric(target),
        )
    if searched:
        score = metric("score")
        views[STUDIES] = View(
            "studies",
            f"{current} and tags.`xstilts.phase` = 'study'",
            (score, *(f"params.`{name}`" for name in searched), "tags.`xstilts.metric`"),
            score,
            "xstilts.study",
            "max",
        )
    return views


def metric(name: str) -> str:
    return f"metrics.`{name}`"


def packed(view: View, now: int) -> str:
    """The tag's value. now: milliseconds, when the view was made."""
    state = base64.b64encode(zlib.compress(json.dumps(view.state()).encode())).decode()
    envelope = {"name": view.name, "createdAt": now, "updatedAt": now, "state": _PACKED + state}
    return json.dumps(envelope)


def unpacked(value: str) -> tuple[str, dict[str, Any]]:
    """(name, state) of a tag's value; ("", {}) of a value that is none of ours."""
    try:
        envelope = json.loads(value)
        text = zlib.decompress(base64.b64decode(envelope["state"].removeprefix(_PACKED)))
        return envelope["name"], json.loads(text)
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return "", {}


def address(base: str, experiment: str, key: str = FIRST) -> str:
    """Where a view opens. workflowType: else MLflow begins with a page about traces."""
    query = urlencode({"workflowType": "machine_learning", "viewStateShareKey": key})
    return f"{base.rstrip('/')}/#/experiments/{experiment}/runs?{query}"
