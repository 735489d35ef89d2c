"""A sentence in one language to its translation in another, found by their vectors."""

from __future__ import annotations

from xstilts.formats.tables import Split
from xstilts.tasks.catalogue.entry import (
    CONVERTED,
    XTREME_COPY,
    Entry,
    Slot,
    by_language,
    hub,
    sizes_of,
    slot,
    target,
    words,
)


def _bucc(split: Split, official: str) -> list[Slot]:
    return [
        slot(
            f"bucc bucc2018/{{language}}-en/{{language}}-en.{official}.{{language}}",
            f"bucc bucc2018/{{language}}-en.{split}.{{language}}",
        )
    ]


_BUCC = words("de fr ru zh")
_BUCC_SIZES = by_language("de 1038/9580 fr 929/9086 ru 2374/14435 zh 257/1899")  # gold pairs

_TATOEBA = words(
    "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh "
    "kk tr et fi hu"
)
_TATOEBA_SIZES = by_language(  # lines
    """
    af 1000 ar 1000 bg 1000 bn 1000 de 1000 el 1000 es 1000 et 1000 eu 1000 fa 1000 fi 1000 fr 1000
    he 1000 hi 1000 hu 1000 id 1000 it 1000 ja 1000 jv 205 ka 746 kk 575 ko 1000 ml 687 mr 1000
    nl 1000 pt 1000 ru 1000 sw 390 ta 307 te 234 th 548 tl 1000 tr 1000 ur 1000 vi 1000 zh 1000
    """
)

ENTRIES = (
    Entry(
        target(
            "bucc2018",
            "BUCC 2018 (sample set is dev, training set is test)",
            _BUCC,
            group="retrieval",
            family="retrieval",
            splits=("dev", "test"),
            labelled=("dev", "test"),
            metrics=("f1", "precision", "recall"),
            main=("f1",),
            convention="mining",
            trained=False,
            licence="research use (BUCC shared task)",
            sizes=sizes_of(_BUCC_SIZES, "dev", "test"),
        ),
        files={"dev": _bucc("dev", "sample"), "test": _bucc("test", "training")},
        refused="the Hub's copies (google/xtreme bucc18, mteb/bucc-bitext-mining) hold only the "
        "gold pairs, not the corpora: mining in them is far easier and not comparable",
        scored="pairs",
        withheld="the corpora were given to the shared task's participants, for research",
        benchmarks={"xtreme": "retrieval"},
        ordered=_BUCC,
    ),
    Entry(
        target(
            "tatoeba",
            "Tatoeba (LASER v1)",
            _TATOEBA,
            group="retrieval",
            family="retrieval",
            splits=("test",),
            labelled=("test",),
            metrics=("accuracy",),
            main=("accuracy",),
            convention="nearest",
            trained=False,
            licence="CC BY 2.0 FR",
            sizes=sizes_of(_TATOEBA_SIZES, "test"),
        ),
        files={
            "test": [
                slot(
                    "laser tatoeba/tatoeba.{iso3}-eng.{iso3}",
                    "laser data/tatoeba/v1/tatoeba.{iso3}-eng.{iso3}",
                    "tatoeba-sorted tatoeba/{language}-en.{language}",
                )
            ]
        },
        repositories=(
            hub(
                XTREME_COPY,
                "tatoeba.{iso3}",
                "tatoeba",
                "source_sentence target_sentence source_lang target_lang",
                splits={"test": "validation"},
                xtreme_alone=True,
            ),
            hub(
                "mteb/tatoeba-bitext-mining",
                "{iso3}-eng",
                "bitext",
                "sentence1 sentence2 lang?",
                branch=CONVERTED,
            ),
        ),
        scored="line numbers",
        benchmarks={"xtreme": "retrieval", "xtreme-r": "retrieval"},
        ordered=_TATOEBA,
        added=words("az lt pl uk ro"),
    ),
)
