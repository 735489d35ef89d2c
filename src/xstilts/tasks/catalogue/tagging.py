"""A tag for every word: supertags, names, parts of speech."""

from __future__ import annotations

from xstilts.formats.tables import Split
from xstilts.tasks.catalogue.entry import (
    XTREME_COPY,
    Entry,
    Slot,
    by_language,
    hub,
    intermediate,
    sizes_of,
    slot,
    target,
    words,
)
from xstilts.tasks.labels import CHUNKS, UD_RELATIONS, UPOS_TAGS


def _ccg(split: Split, *sections: str) -> list[Slot]:
    """The converted files, or CCGbank's own: sections 00-18 and 19-21, jiant's split."""
    folders = ("ccg/data/AUTO", "ccg/ccgbank_1_1/data/AUTO", "ccgbank_1_1/data/AUTO")
    auto = [" + ".join(f"{folder}/{name}/*.auto" for name in sections) for folder in folders]
    converted = (f"ccg ccg/ccg.{split}", f"ccg ccg.{split}")
    return [slot(*converted, *(f"ccg-auto {paths}" for paths in auto))]


def _panx(split: Split) -> list[Slot]:
    return [slot(f"rahimi panx/{{language}}/{split}", f"bio panx/{split}-{{language}}.tsv")]


_PANX = words(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th "
    "sw yo my zh kk tr et fi hu"
)
_PANX_SIZES = {  # of dev and of test
    10_000: words("ar bg de el en es et eu fa fi fr he hu id it ja ka ko nl pt ru th tr vi zh"),
    1_000: words("af bn hi kk ml mr ms sw ta te tl ur"),
    100: words("jv my yo"),
}


_UD_FOLDER = "ud-treebanks-v{ud}"
_UD_HUB = "universal-dependencies/universal_dependencies"


def _udpos(split: Split) -> list[Slot]:
    name = f"{_UD_FOLDER}/*/{{language}}_*-ud-{split}.conllu"
    return [slot(f"conllu udpos/{name}", f"conllu {name}", f"bio udpos/{split}-{{language}}.tsv")]


_UDPOS = words(
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi "
    "yo zh"
)
# Sentences (train/dev/test) as the Hub's `xtreme` counts them; 0: there is no such split.
_UDPOS_SIZES = by_language(
    """
    af 1315/194/425 ar 6075/909/1680 bg 8907/1115/1116 de 166849/19233/22458 el 28152/2559/2809
    en 21253/3974/5440 es 28492/3054/3147 et 25749/3125/3760 eu 5396/1798/1799 fa 4798/599/600
    fi 27198/3239/4422 fr 47308/5979/9465 he 5241/484/491 hi 13304/1659/2684 hu 910/441/449
    id 4477/559/1557 it 29685/2278/3518 ja 7125/511/2372 kk 31/0/1047 ko 27410/3016/4276
    mr 373/46/47 nl 18051/1394/1471 pt 17992/1770/2681 ru 67435/9960/11336 ta 400/80/120
    te 1051/131/146 th 0/0/1000 tl 0/0/55 tr 3664/988/4785 ur 4043/552/535 vi 1400/800/800
    yo 0/0/100 zh 18998/3038/5528
    """
)


def _ud_english(
    name: str, title: str, reader: str, labels: tuple[str, ...], *metrics: str
) -> Entry:
    """Another layer of udpos' English sentences: syntax that needs no licence."""
    return Entry(
        intermediate(
            name,
            title,
            *_UDPOS_SIZES["en"][:2],
            family="tagging",
            group="syntactic",
            labels=labels,
            metrics=metrics,
            main=metrics[:1],
            convention="seqeval-0.0.12" if "f1" in metrics else "",
            licence="one for each treebank (English: CC BY-SA, CC BY-NC-SA)",
        ),
        files={
            split: [slot(*(f"conllu-{reader} {folder}{_UD_FOLDER}/*/en_*-ud-{split}.conllu"
                           for folder in ("udpos/", "")))]
            for split in ("train", "dev")
        },
        repositories=(
            hub(
                _UD_HUB,
                "en_*",
                reader,
                "tokens upos head deprel *",
                splits={"train": "train", "dev": "[dv]*"},
                note="UD: a later release than 2.5, words not fused",
            ),
        ),
    )  # fmt: skip


ENTRIES = (
    Entry(
        intermediate(
            "ccg",
            "CCGbank supertags (sections 00-18 / 19-21)",
            38_015,
            5_484,
            family="tagging",  # labels: the 1,363 supertags are taken from the tables
            group="syntactic",
            metrics=("accuracy",),
            main=("accuracy",),
            licence="LDC2005T13 (paid)",
        ),
        files={"train": _ccg("train", "0[0-9]", "1[0-8]"), "dev": _ccg("dev", "19", "2[01]")},
        refused="CCGbank is licensed by the LDC (LDC2005T13) and on no public repository",
        withheld="the LDC's licence is for its holder alone",
    ),
    _ud_english("ud_relations", "UD 2.5 English relations", "relations", UD_RELATIONS, "accuracy"),
    _ud_english(
        "ud_chunks", "UD 2.5 English chunks", "chunks", CHUNKS, "f1", "precision", "recall"
    ),
    Entry(
        target(
            "panx",
            "PAN-X (WikiAnn named entities)",
            _PANX,
            group="syntactic",
            family="tagging",
            labels=("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"),
            metrics=("f1", "precision", "recall"),
            main=("f1",),
            convention="seqeval-0.0.12",
            licence="none stated (Wikipedia text: CC BY-SA)",
            sizes={"train-en": 20_000}
            | {
                f"{split}-{language}": size
                for split in ("dev", "test")
                for size, languages in _PANX_SIZES.items()
                for language in languages
            },
        ),
        files={"train": _panx("train"), "dev": _panx("dev"), "test": _panx("test")},
        repositories=(
            hub("unimelb-nlp/wikiann", "{language}", "entities", "tokens ner_tags langs spans"),
            hub(
                XTREME_COPY,
                "PAN-X.{language}",
                "entities",
                "tokens ner_tags langs",
                xtreme_alone=True,
            ),
        ),
        scored="tags",
        benchmarks={"xtreme": "tagging", "xtreme-r": "tagging"},
        ordered=_PANX,
        added=words("qu pl uk az lt pa gu ro"),
    ),
    Entry(
        target(
            "udpos",
            "UD 2.5 part-of-speech tags",
            _UDPOS,
            group="syntactic",
            family="tagging",
            labels=UPOS_TAGS,
            metrics=("f1", "accuracy"),
            main=("f1",),
            convention="seqeval-0.0.12",
            licence="one for each treebank (CC BY-SA, CC BY-NC-SA and others)",
            sizes=sizes_of(_UDPOS_SIZES, "train", "dev", "test"),
        ),
        files={"train": _udpos("train"), "dev": _udpos("dev"), "test": _udpos("test")},
        repositories=(
            hub(
                XTREME_COPY,
                "udpos.{name} udpos.{former}",
                "pos",
                "tokens pos_tags",
                xtreme_alone=True,
            ),
            hub(
                _UD_HUB,
                "{language}_*",
                "upos",
                "tokens upos *",
                splits={"train": "train", "dev": "[dv]*", "test": "test"},  # dev, or validation
                note="UD: a later release than XTREME's 2.5, words not fused: scores differ",
            ),
        ),
        scored="tags",
        benchmarks={"xtreme": "tagging", "xtreme-r": "tagging"},
        ordered=_UDPOS,
        added=words("lt pl uk wo ro"),  # of UD 2.7
    ),
)
