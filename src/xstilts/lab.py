"""The selection lab: what English dev costs as the rule that chooses a checkpoint.

What enters: a cell, which is trained again with the weights of each evaluation kept. What leaves:
the scores of each rule's checkpoint, and its sums, for intervals.

Only when the training has ended are other languages' dev and test opened, and nothing of it goes
back: no stage depends on what is written here, and nothing that trains, searches or submits may
import this module (a contract, a test). Rules: English dev, as every cell; the last step; the dev
rows of one other language, each in turn, which is then left out of the mean; the mean of the last
weights, and of all (Schmidt et al. 2023); and what cannot be had, the best of each language's own
dev, to which the others lose. Where dev is what is reported, no rule may choose by it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from xstilts import paths
from xstilts.errors import UserError
from xstilts.formats.cards import Card, Scores, read_card, reported, task_number
from xstilts.formats.tables import ENGLISH, fresh_folder, read_json, write_json, write_text
from xstilts.params import Params, PhaseSettings
from xstilts.phases.provenance import phase_seed, read_history, work_folder
from xstilts.phases.stage import context_of
from xstilts.phases.target import Cell, cell_of, train_target, training_work
from xstilts.results.answers.interval import Interval, block_spread, difference
from xstilts.results.answers.measure import Summed, Sums, measure
from xstilts.results.answers.said import gained
from xstilts.results.answers.sums import as_text, computed, from_text
from xstilts.results.answers.table import Answer
from xstilts.training.context import Context
from xstilts.training.encoder import Model
from xstilts.training.evaluation import Predictor, evaluate_target
from xstilts.training.task import Task

ORACLE = "best dev of each language"
ENGLISH_DEV, LAST, ALL = "English dev", "last step", "mean of all"
CARD = "lab.json"


@dataclass(frozen=True)
class Checkpoint:
    """One evaluation's weights, scored: numbers by split and language, sums of the reported one."""

    numbers: Mapping[str, Mapping[str, float]]
    sums: Mapping[str, Sums]


def lab_stage(intermediate: str, target: str, replicate: int, params: Params) -> str:
    """Train a cell again and write lab/INTERMEDIATE/TARGET/REPLICATE.

    Returns what the replicates that are there say together, as text.
    """
    cell = cell_of(intermediate, target, replicate, params)
    section = cell.section.trained
    if section is None or not cell.record.trained:
        raise UserError(f"{target}: it is frozen when it is scored, so no checkpoint is chosen")
    card = read_card(paths.cell(intermediate, target, replicate))
    found = reported(card)
    languages = [code for code in (found[1] if found else ()) if code != ENGLISH]
    if found is None or not languages:
        raise UserError(f"{target}: no language but English is scored; expected others")
    work = work_folder(f"lab-{cell.name}", cell.key)
    context = context_of(cell.training, cell.base, work, None, params.run)
    lab = _Lab(cell, section, card, replace(context, evaluations=work / "evaluations"))
    lab.train()
    checkpoints = {step: lab.scored(step) for step in lab.steps}
    averages = {
        f"mean of the last {params.lab.last}": lab.averaged(lab.steps[-params.lab.last :]),
        ALL: lab.averaged(lab.steps),
    }
    # Where dev is reported, choosing by it would be choosing by the result.
    dev = {step: one.numbers.get("dev", {}) if found[0] != "dev" else {}
           for step, one in checkpoints.items()}  # fmt: skip
    picked = _picked(dev, lab.english, languages)
    with fresh_folder(paths.lab(intermediate, target, replicate)) as out:
        by_rule = {
            **{rule: {code: checkpoints[steps[code]].sums[code] for code in languages}
               for rule, steps in picked.items()},
            **{rule: {code: one.sums[code] for code in languages}
               for rule, one in averages.items()},
        }  # fmt: skip
        for number, sums in enumerate(by_rule.values()):
            write_text(out / f"sums-{number}.json", as_text(sums))
        about = {
            "rules": list(by_rule),
            "split": found[0],
            "languages": languages,
            "main": list(card.main),
            "picked": {rule: dict(steps) for rule, steps in picked.items()},
            "pivots": _pivots(
                dev, {step: one.numbers[found[0]] for step, one in checkpoints.items()}, picked
            ),
            "numbers": {str(step): one.numbers for step, one in checkpoints.items()},
            "english": {str(step): value for step, value in lab.english.items()},
        }
        write_json(out / CARD, about)
    shutil.rmtree(work, ignore_errors=True)
    rules = rules_of(intermediate, target, params.grid.replicates, params.answers.level)
    return render(rules, intermediate, target)


class _Lab:
    """A cell's training, its evaluations' weights, and models made of them."""

    def __init__(self, cell: Cell, section: PhaseSettings, card: Card, context: Context) -> None:
        self.cell, self.section, self.card, self.context = cell, section, card, context
        self.seed = phase_seed(cell.training.seed, 3, cell.replicate)
        self.english: dict[int, float] = {}  # step: the cell's own English dev
        self.steps: list[int] = []
        self.last = len(paths.trainings(cell.data)) - 1  # of several trainings, the number

    def train(self) -> None:
        """UserError where the training does not go as the cell's did: it says nothing of it."""
        outcome = train_target(
            self.cell.data, self.section, self.cell.base, self.seed, self.context
        )[2]
        where = paths.cell(self.cell.intermediate, self.cell.target, self.cell.replicate)
        wanted = [(one["step"], one["dev"]) for one in read_history(where) if "dev" in one]
        found = [(one["step"], one["dev"]) for one in outcome.history if "dev" in one]
        if wanted != found:
            raise UserError(
                f"{where}: English dev {found} where the cell has {wanted}; expected the same "
                "training; run the cell again on this machine, with this code (on a GPU two equal "
                "trainings are the same with training.layout graphs alone)"
            )
        folder = self.context.evaluations
        assert folder is not None
        self.steps = sorted(int(path.stem) for path in folder.glob("*.pt"))
        before = max((step for step, _ in found), default=0) - self.steps[-1]  # earlier trainings
        dev = dict(found)
        self.english = {step: dev[step + before] for step in self.steps}

    @contextmanager
    def at(self, step: int) -> Iterator[tuple[Model, Task]]:
        """The model as it was at an evaluation: the training's own end, with other best weights."""
        with tempfile.TemporaryDirectory(dir=self.context.work) as folder:
            for number in range(self.last + 1):
                of, to = (training_work(Path(at), number) for at in (self.context.work, folder))
                to.mkdir(parents=True)
                ended = read_json(of / "ended.json")
                best = of / "best.pt"
                if number == self.last:
                    best = self._weights(step)
                    ended |= {"best_step": step, "best_score": self.english[step]}
                os.link(best, to / "best.pt")
                write_json(to / "ended.json", ended)
            inside = replace(self.context, work=Path(folder), evaluations=None)
            model, task, _ = train_target(
                self.cell.data, self.section, self.cell.base, self.seed, inside
            )
            yield model, task

    def _weights(self, step: int) -> Path:
        assert self.context.evaluations is not None
        return self.context.evaluations / f"{step}.pt"

    def scored(self, step: int) -> Checkpoint:
        with self.at(step) as (model, task):
            return self._score(model, task)

    def averaged(self, steps: Sequence[int]) -> Checkpoint:
        """The mean of several evaluations' weights."""
        total: dict[str, Any] = {}
        for step in steps:
            with self.at(step) as (model, task):
                for name, tensor in model.state_dict().items():
                    if tensor.is_floating_point():  # a counter is no weight
                        share = tensor.detach().cpu().double() / len(steps)
                        total[name] = total[name] + share if name in total else share
        with self.at(steps[-1]) as (model, task):
            model.load_state_dict({
                name: total[name].to(tensor.dtype) if name in total else tensor
                for name, tensor in model.state_dict().items()
            })  # fmt: skip
            return self._score(model, task)

    @torch.inference_mode()
    def _score(self, model: Model, task: Task) -> Checkpoint:
        with tempfile.TemporaryDirectory(dir=self.context.work) as folder:
            predictor = Predictor(model, task, self.context)
            evaluated = evaluate_target(predictor, self.cell.data, Path(folder))
            found = reported(self.card)
            assert found is not None
            sums = computed(Path(folder), self.card, *found)
            return Checkpoint(_numbers(evaluated.scores, self.card.main), sums)


def _numbers(scores: Scores, main: Sequence[str]) -> dict[str, dict[str, float]]:
    return {
        split: {code: task_number(of, tuple(main)) for code, of in languages.items()}
        for split, languages in scores.items()
    }


Dev = Mapping[int, Mapping[str, float]]  # by step, by language


def _picked(
    dev: Dev, english: Mapping[int, float], languages: Sequence[str]
) -> dict[str, dict[str, int]]:
    """{rule: {language: step}} of the rules that take one evaluation; of equal ones the first.

    A language without dev rows has no best of its own: there the oracle takes English dev's.
    """
    steps = list(dev)
    best = max(steps, key=lambda step: english[step])
    picked = {
        ENGLISH_DEV: dict.fromkeys(languages, best),
        LAST: dict.fromkeys(languages, steps[-1]),
    }
    own = [code for code in languages if all(code in dev[step] for step in steps)]
    if own:
        picked[ORACLE] = picked[ENGLISH_DEV] | {
            code: max(steps, key=lambda step: dev[step][code]) for code in own
        }
    return picked


def _pivots(
    dev: Dev, numbers: Mapping[int, Mapping[str, float]], picked: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """{pivot: what its dev's choice gives the other languages, over English dev's choice}."""
    found = {}
    english = picked[ENGLISH_DEV]
    for pivot in english:
        if len(english) > 1 and all(pivot in of for of in dev.values()):
            best = max(dev, key=lambda step: dev[step][pivot])
            found[pivot] = fmean(
                numbers[best][code] - numbers[step][code]
                for code, step in english.items()
                if code != pivot
            )
    return found


# What the replicates say together


@dataclass(frozen=True)
class Rules:
    """A cell's rules over its replicates. numbers: means; losses: to `best`, with intervals.

    pivots: what the dev rows of one other language give over English dev, the mean over pivots;
    within: the correlation of English dev with the zero-shot mean over a training's evaluations.
    """

    numbers: Mapping[str, float]
    losses: Mapping[str, Interval]
    best: str
    pivots: float | None
    within: float | None
    replicates: int


def rules_of(intermediate: str, target: str, replicates: Sequence[int], level: float) -> Rules:
    """Of the replicates that the lab has seen. UserError where there is none, or unlike ones."""
    folders = {
        run: folder
        for run in replicates
        if (folder := paths.lab(intermediate, target, run)).is_dir()
    }
    if not folders:
        raise UserError(
            f"{paths.lab(intermediate, target, replicates[0])}: no such folder; expected what the "
            f"lab wrote; run `xstilts lab {intermediate} {target}`"
        )
    cards = {run: read_json(folder / CARD) for run, folder in folders.items()}
    first = next(iter(cards.values()))
    for run, card in cards.items():
        if any(card[name] != first[name] for name in ("rules", "languages", "main", "split")):
            raise UserError(
                f"{folders[run] / CARD}: other rules or languages than "
                f"{next(iter(folders.values())) / CARD}; expected the same; run the lab again"
            )
    sums = {
        (rule, run): from_text((folders[run] / f"sums-{number}.json").read_text(encoding="utf-8"))
        for number, rule in enumerate(first["rules"])
        for run in folders
    }
    numbers, losses = {}, {}
    best = ORACLE if ORACLE in first["rules"] else ENGLISH_DEV
    for rule in first["rules"]:
        # The two rules alone: others may be wilder. One training stands behind both of a replicate.
        pair = {(name, run): sums[name, run] for name in (rule, best) for run in folders}
        whole = measure([Summed(pair, tuple(first["languages"]), tuple(first["main"]))])
        numbers[rule] = float(whole.values[whole.lines[rule]].mean())
        if rule != best:
            losses[rule] = difference(whole, (rule, best), block_spread(whole), level=level)
    pivots = [fmean(card["pivots"].values()) for card in cards.values() if card["pivots"]]
    within = [one for card in cards.values() if (one := _within(card)) is not None]
    return Rules(
        numbers,
        losses,
        best,
        fmean(pivots) if pivots else None,
        fmean(within) if within else None,
        len(folders),
    )


def _within(card: Mapping[str, Any]) -> float | None:
    """The correlation of English dev with the mean of the other languages, over evaluations."""
    from scipy import stats

    steps = list(card["english"])
    first = [card["english"][step] for step in steps]
    second = [
        fmean(card["numbers"][step][card["split"]][code] for code in card["languages"])
        for step in steps
    ]
    if len(steps) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(stats.pearsonr(first, second).statistic)


def render(found: Rules, intermediate: str, target: str) -> str:
    """As text, points."""
    nobody = ", which nobody has" if found.best == ORACLE else ""
    lines = [
        f"{intermediate}/{target}: zero-shot languages, {found.replicates} replicates; each rule "
        f"against '{found.best}'{nobody}",
        "",
    ]
    for rule, number in sorted(found.numbers.items(), key=lambda item: -item[1]):
        loss = found.losses.get(rule)
        said = "" if loss is None else f"  {gained(Answer(loss))}"
        lines.append(f"  {rule:28} {100 * number:5.1f}{said}")
    if found.pivots is not None:
        over = f"{100 * found.pivots:+.1f} over English dev, each in turn, of the rest"
        lines.append(f"  {'dev of one other language':28}        {over}")
    if found.within is not None:
        what = "English dev and the zero-shot mean over a training's evaluations"
        lines += ["", f"{what}: r {found.within:+.2f}"]
    return "\n".join(lines)
