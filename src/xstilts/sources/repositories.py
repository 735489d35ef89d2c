"""Which repository of the Hub holds each task's rows, and what its columns are.

REPOSITORIES[task] lists the known copies; the first is read unless `source.tasks.TASK.repository`
names another. A task of several parts has one repository for each. {language}, {iso3} and {name}
are filled in ({former}: a name that was corrected); * and [] match as in file names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from xstilts.formats.tables import Split

MAIN, CONVERTED = "main", "refs/convert/parquet"  # the second: the Hub's own Parquet of any copy
_SPLITS: dict[Split, str] = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class Repository:
    """`columns`: all that its tables have; a name that ends in ? is not in every revision, and *
    alone stands for more that nobody reads. `configs`: the present name, then former ones."""

    id: str
    configs: tuple[str, ...]
    reader: str  # a name in readers/columns.py
    columns: str
    splits: dict[Split, str] = field(default_factory=lambda: _SPLITS)
    branch: str = MAIN
    part: str = ""  # of a task with parts
    sizes: dict[str, int] = field(default_factory=dict)  # where this copy lost rows: what it has
    xtreme_alone: bool = False  # it lacks the languages that XTREME-R adds
    note: str = ""  # how this copy differs from the official files; shown on the card


_NLI = "premise hypothesis label"
_SQUAD = "id title? context question answers"
_XTREME = "google/xtreme"
_TREEBANKS = "universal-dependencies/universal_dependencies"
_DEV_IS_TEST: dict[Split, str] = {"train": "train", "test": "validation"}

_SNLI = Repository("stanfordnlp/snli", ("plain_text",), "snli", _NLI)
_MNLI = Repository(
    "nyu-mll/glue",
    ("mnli",),
    "nli",
    f"{_NLI} idx",
    {"train": "train", "dev": "validation_matched"},
)
_ANLI = tuple(
    Repository(
        "facebook/anli",
        ("plain_text",),
        "nli",
        f"uid {_NLI} reason",
        {"train": f"train_r{number}", "dev": f"dev_r{number}"},
        part=f"anli_r{number}",
    )
    for number in (1, 2, 3)
)
_COSMOS = "id context question answer0 answer1 answer2 answer3 label"
_SIQA = "context question answerA answerB answerC label"
_COPA = "premise choice1 choice2 question label idx"
_HELLASWAG = "ind activity_label ctx_a ctx_b ctx endings source_id split split_type label"

_Copies = tuple[Repository | tuple[Repository, ...], ...]
_COPIES: dict[str, _Copies] = {
    "anli_plus": ((replace(_SNLI, part="snli"), replace(_MNLI, part="mnli"), *_ANLI),),
    "mnli": (_MNLI,),
    "qqp": (Repository("nyu-mll/glue", ("qqp",), "qqp", "question1 question2 label idx"),),
    "squad1": (
        Repository("rajpurkar/squad", ("plain_text",), "squad", _SQUAD),
        Repository(_XTREME, ("SQuAD",), "squad", _SQUAD),
    ),
    "squad2": (Repository("rajpurkar/squad_v2", ("squad_v2",), "squad", _SQUAD),),
    "hellaswag": (Repository("Rowan/hellaswag", ("default",), "hellaswag", _HELLASWAG),),
    "cosmosqa": (
        Repository("allenai/cosmos_qa", ("default",), "cosmosqa", _COSMOS, branch=CONVERTED),
    ),
    "commonsenseqa": (
        Repository(
            "tau/commonsense_qa",
            ("default",),
            "commonsenseqa",
            "id question question_concept choices answerKey",
        ),
    ),
    "siqa": (
        Repository("lighteval/siqa", ("default",), "siqa", _SIQA),
        Repository("allenai/social_i_qa", ("default",), "siqa", _SIQA, branch=CONVERTED),
    ),
    "copa": (Repository("aps/super_glue", ("copa",), "copa", _COPA),),
    "xnli": (
        Repository("facebook/xnli", ("{language}",), "nli", _NLI),
        Repository(_XTREME, ("XNLI",), "nli-languages", "language sentence1 sentence2 gold_label"),
    ),
    "pawsx": (
        Repository(
            "google-research-datasets/paws-x",
            ("{language}",),
            "paraphrases",
            "id sentence1 sentence2 label",
        ),
        Repository(
            _XTREME,
            ("PAWS-X.{language}",),
            "paraphrases",
            "sentence1 sentence2 label",
            sizes={"train-en": 49_175, "dev-es": 1_961, "dev-fr": 1_988, "test-ko": 1_999},
            note="PAWS-X: google/xtreme lost rows of the official files",
        ),
    ),
    "udpos": (
        Repository(
            _XTREME,
            ("udpos.{name}", "udpos.{former}"),
            "pos",
            "tokens pos_tags",
            xtreme_alone=True,
        ),
        Repository(
            _TREEBANKS,
            ("{language}_*",),
            "upos",
            "tokens upos *",
            {"train": "train", "dev": "[dv]*", "test": "test"},  # dev, or validation
            note="UD: a later release than XTREME's 2.5, words not fused: scores differ",
        ),
    ),
    "panx": (
        Repository(
            "unimelb-nlp/wikiann", ("{language}",), "entities", "tokens ner_tags langs spans"
        ),
        Repository(
            _XTREME,
            ("PAN-X.{language}",),
            "entities",
            "tokens ner_tags langs",
            xtreme_alone=True,
        ),
    ),
    "xquad": (
        Repository("google/xquad", ("xquad.{language}",), "squad", _SQUAD, _DEV_IS_TEST),
        Repository(
            _XTREME, ("XQuAD.{language}",), "squad", _SQUAD, _DEV_IS_TEST, xtreme_alone=True
        ),
    ),
    "mlqa": (
        Repository(
            "facebook/mlqa",
            ("mlqa.{language}.{language}",),
            "squad",
            _SQUAD,
            branch=CONVERTED,
        ),
        Repository(_XTREME, ("MLQA.{language}.{language}",), "squad", _SQUAD),
    ),
    "tydiqa": (
        Repository(
            "google-research-datasets/tydiqa",
            ("secondary_task",),
            "tydiqa",
            _SQUAD,
            _DEV_IS_TEST,
        ),
        Repository(_XTREME, ("tydiqa",), "tydiqa", _SQUAD, _DEV_IS_TEST),
    ),
    "tatoeba": (
        Repository(
            _XTREME,
            ("tatoeba.{iso3}",),
            "tatoeba",
            "source_sentence target_sentence source_lang target_lang",
            {"test": "validation"},
            xtreme_alone=True,
        ),
        Repository(
            "mteb/tatoeba-bitext-mining",
            ("{iso3}-eng",),
            "bitext",
            "sentence1 sentence2 lang?",
            branch=CONVERTED,
        ),
    ),
    "xcopa": (Repository("cambridgeltl/xcopa", ("{language}",), "copa", f"{_COPA} changed"),),
}
REPOSITORIES: dict[str, tuple[tuple[Repository, ...], ...]] = {
    task: tuple(copy if isinstance(copy, tuple) else (copy,) for copy in copies)
    for task, copies in _COPIES.items()
}

# Tasks that no repository can serve, and why.
REFUSED = {
    "bucc2018": "the Hub's copies (google/xtreme bucc18, mteb/bucc-bitext-mining) hold only the "
    "gold pairs, not the corpora: mining in them is far easier and not comparable",
    "ccg": "CCGbank is licensed by the LDC (LDC2005T13) and on no public repository",
    "lareqa": "no repository of the Hub is known to hold XQuAD-R's sentences; source files reads "
    "them as they are released",
    "mewslix": "no repository of the Hub is known to hold its release; source files reads it",
}
_NAMES = """
af Afrikaans ar Arabic bg Bulgarian de German el Greek en English es Spanish et Estonian eu Basque
fa Persian fi Finnish fr French he Hebrew hi Hindi hu Hungarian id Indonesian it Italian ja Japanese
kk Kazakh ko Korean mr Marathi nl Dutch pt Portuguese ru Russian ta Tamil te Telugu th Thai
tl Tagalog tr Turkish ur Urdu vi Vietnamese yo Yoruba zh Chinese
"""
LANGUAGE_NAMES = dict(zip(_NAMES.split()[::2], _NAMES.split()[1::2], strict=True))  # of udpos
FORMER_NAMES = {"Afrikaans": "Afrikans"}
