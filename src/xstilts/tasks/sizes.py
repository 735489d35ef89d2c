"""The published rows of each language, and the languages of each task: data for the catalogue.

Which languages a task has stands in `metrics.benchmark`, once. XTREME-R adds some to four tasks.
Where no source at hand says how many rows those have, no number stands here, and none is checked.
"""

from __future__ import annotations

from xstilts.tasks.metrics.benchmark import XTREME_R_TASKS, XTREME_TASKS


def by_language(text: str) -> dict[str, tuple[int, ...]]:
    """de 10/20 fr 30/40 -> {"de": (10, 20), "fr": (30, 40)}."""
    parts = iter(text.split())
    return {
        code: tuple(map(int, sizes.split("/"))) for code, sizes in zip(parts, parts, strict=True)
    }


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Sentences (train/dev/test) as the Hub's `xtreme` counts them; 0: there is no such split.
UDPOS = by_language(
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
PANX = {
    10_000: words("ar bg de el en es et eu fa fi fr he hu id it ja ka ko nl pt ru th tr vi zh"),
    1_000: words("af bn hi kk ml mr ms sw ta te tl ur"),
    100: words("jv my yo"),
}
MLQA = by_language(
    "ar 517/5335 de 512/4517 en 1148/11590 es 500/5253 hi 507/4918 vi 511/5495 zh 504/5137"
)
TYDIQA = by_language("ar 921 bn 113 en 440 fi 782 id 565 ko 276 ru 812 sw 499 te 669")
BUCC = by_language("de 1038/9580 fr 929/9086 ru 2374/14435 zh 257/1899")
TATOEBA = by_language(  # lines
    """
    af 1000 ar 1000 bg 1000 bn 1000 de 1000 el 1000 es 1000 et 1000 eu 1000 fa 1000 fi 1000 fr 1000
    he 1000 hi 1000 hu 1000 id 1000 it 1000 ja 1000 jv 205 ka 746 kk 575 ko 1000 ml 687 mr 1000
    nl 1000 pt 1000 ru 1000 sw 390 ta 307 te 234 th 548 tl 1000 tr 1000 ur 1000 vi 1000 zh 1000
    """
)
MEWSLIX = by_language(  # mentions, dev/test
    """
    ar 318/1501 de 326/1551 en 316/1490 es 311/1552 fa 72/458 ja 310/1519 pl 304/1562 ro 145/672
    ta 312/1567 tr 262/1215 uk 315/1537
    """
)
# What XTREME-R's evaluate.py has beyond XTREME's: udpos of UD 2.7; xquad's Romanian is 1,190 too.
ADDED = {
    task: added
    for task, languages in XTREME_R_TASKS.items()
    if (added := tuple(c for c in languages if c not in XTREME_TASKS.get(task, languages)))
}


def languages_of(task: str) -> tuple[str, ...]:
    """XTREME's of the task, or XTREME-R's of one that only it has, by code."""
    return tuple(sorted(XTREME_TASKS.get(task) or XTREME_R_TASKS[task]))
