"""Where each task's files lie below source.path: as they are distributed, or as XTREME leaves them.

LAYOUTS[task][split] is a list of slots that are all read, one after the other. A slot's places are
tried in order and the first that exists is read: originals with labels before XTREME's copies,
whose test labels are stripped. {language}, {iso3}, {name} and {ud} (the treebanks' release) are
filled in; * matches any name.
"""

from __future__ import annotations

from xstilts.params import FileSpec

_CODES = """
af afr ar ara bg bul bn ben de deu el ell es spa et est eu eus fa pes fi fin fr fra he heb hi hin
hu hun id ind it ita ja jpn jv jav ka kat kk kaz ko kor ml mal mr mar nl nld pt por ru rus sw swh
ta tam te tel th tha tl tgl tr tur ur urd vi vie zh cmn
az aze lt lit pl pol ro ron uk ukr
"""
ISO3 = dict(zip(_CODES.split()[::2], _CODES.split()[1::2], strict=True))  # Tatoeba's codes
Slot = tuple[FileSpec, ...]


def _slot(*places: str, part: str = "") -> Slot:
    """Of "reader path" each."""
    pairs = [place.split(" ", 1) for place in places]
    return tuple(FileSpec(reader=reader, path=path, part=part) for reader, path in pairs)


_NLI = (("snli", "jsonl"), ("snli-txt", "txt"))  # both are in the archives


def _snli(split: str, part: str = "") -> Slot:
    name = f"snli_1.0/snli_1.0_{split}"
    places = [f"{reader} {folder}{name}.{end}" for reader, end in _NLI for folder in ("snli/", "")]
    return _slot(*places, part=part)


def _mnli(split: str, part: str = "") -> Slot:
    file = "train" if split == "train" else "dev_matched"
    name = f"multinli_1.0/multinli_1.0_{file}"
    places = [f"{reader} {folder}{name}.{end}" for reader, end in _NLI for folder in ("mnli/", "")]
    places += [f"glue-mnli mnli/glue/MNLI/{file}.tsv", f"glue-mnli MNLI/{file}.tsv"]
    if split == "train":  # XNLI's training data is MNLI's
        places += ["multinli-en XNLI-MT-1.0/multinli/multinli.train.en.tsv"]
        places += ["xtreme-pairs xnli/train-en.tsv"]
    return _slot(*places, part=part)


def _anli_plus(split: str) -> list[Slot]:
    rounds = [
        _slot(
            f"anli anli/anli_v1.0/R{number}/{split}.jsonl",
            f"anli anli_v1.0/R{number}/{split}.jsonl",
            part=f"anli_r{number}",
        )
        for number in (1, 2, 3)
    ]
    return [_snli(split, "snli"), _mnli(split, "mnli"), *rounds]


def _one(name: str, train: str, dev: str, test: str = "") -> dict[str, list[Slot]]:
    """An intermediate task: the same reader for its files, in a folder of its name or beside it."""
    files = {"train": train, "dev": dev, "test": test}
    return {
        split: [_slot(f"{name} {file}", f"{name} {file.split('/', 1)[1]}")]
        for split, file in files.items()
        if file
    }


def _qqp(split: str) -> Slot:
    """GLUE's files; else Quora's one file without splits, of which 10 % (by question) are dev."""
    own = [
        FileSpec(reader="quora", path=path, share="train" if split == "train" else "select")
        for path in ("qqp/quora_duplicate_questions.tsv", "quora_duplicate_questions.tsv")
    ]
    return (*_slot(f"glue-qqp qqp/{split}.tsv", f"glue-qqp QQP/{split}.tsv"), *own)


def _ccg(split: str) -> Slot:
    """The converted files, or CCGbank's own: sections 00-18 and 19-21, jiant's split."""
    sections = {"train": ("0[0-9]", "1[0-8]"), "dev": ("19", "2[01]")}[split]
    folders = ("ccg/data/AUTO", "ccg/ccgbank_1_1/data/AUTO", "ccgbank_1_1/data/AUTO")
    auto = [" + ".join(f"{folder}/{name}/*.auto" for name in sections) for folder in folders]
    converted = (f"ccg ccg/ccg.{split}", f"ccg ccg.{split}")
    return _slot(*converted, *(f"ccg-auto {paths}" for paths in auto))


def _udpos(split: str) -> list[Slot]:
    name = f"ud-treebanks-v{{ud}}/*/{{language}}_*-ud-{split}.conllu"
    return [_slot(f"conllu udpos/{name}", f"conllu {name}", f"bio udpos/{split}-{{language}}.tsv")]


def _panx(split: str) -> list[Slot]:
    return [_slot(f"rahimi panx/{{language}}/{split}", f"bio panx/{split}-{{language}}.tsv")]


def _pawsx(split: str) -> list[Slot]:
    name = "{language}/" + ("train.tsv" if split == "train" else f"{split}_2k.tsv")
    return [
        _slot(
            f"x-final pawsx/x-final/{name}",
            f"x-final x-final/{name}",
            f"xtreme-pairs pawsx/{split}-{{language}}.tsv",
        )
    ]


def _xnli(split: str) -> list[Slot]:
    name = f"XNLI-1.0/xnli.{split}.tsv"
    places = (f"xnli xnli/{name}", f"xnli {name}", f"xtreme-pairs xnli/{split}-{{language}}.tsv")
    return [_slot(*places)]


def _mlqa(split: str) -> list[Slot]:
    name = f"MLQA_V1/{split}/{split}-context-{{language}}-question-{{language}}.json"
    return [_slot(f"squad mlqa/{name}", f"squad {name}")]


def _tydiqa(split: str) -> list[Slot]:
    """The official dev set is XTREME's test set; the official file with answers comes first."""
    file = "train" if split == "train" else "dev"
    own = f"tydiqa/tydiqa-goldp-v1.1-{file}/tydiqa.goldp.{{language}}.{file}.json"
    whole = f"tydiqa-goldp-v1.1-{file}.json"  # XTREME's script moves it beside what it makes of it
    named = f"tydiqa/tydiqa-goldp-v1.1-{file}/tydiqa-goldp-{file}-{{name}}.json"
    moved = f"tydiqa/tydiqa-goldp-v1.1-{file}/{whole}"
    return [_slot(*(f"tydiqa {path}" for path in (named, f"tydiqa/{whole}", moved, own)))]


def _bucc(split: str) -> list[Slot]:
    official = {"dev": "sample", "test": "training"}[split]
    return [
        _slot(
            f"bucc bucc2018/{{language}}-en/{{language}}-en.{official}.{{language}}",
            f"bucc bucc2018/{{language}}-en.{split}.{{language}}",
        )
    ]


def _xcopa(split: str) -> list[Slot]:
    file = "val" if split == "dev" else split
    name = f"{{language}}/{file}.{{language}}.jsonl"
    return [_slot(f"copa xcopa/data/{name}", f"copa xcopa/{file}-{{language}}.jsonl")]


def _mewslix(split: str) -> Slot:
    shard = f"mewslix/wikinews_mentions/{split}-{{language}}.jsonl"
    return _slot(f"mewslix mewslix/wikinews_mentions-{split}.jsonl", f"mewslix {shard}")


def _copa(split: str) -> list[Slot]:
    file = "val" if split == "dev" else split
    places = (f"copa copa/{file}.jsonl", f"copa COPA/{file}.jsonl", f"copa copa/{file}-en.jsonl")
    return [_slot(*places, f"copa xcopa/{file}-en.jsonl")]


LAYOUTS: dict[str, dict[str, list[Slot]]] = {
    "anli_plus": {split: _anli_plus(split) for split in ("train", "dev")},
    "mnli": {split: [_mnli(split)] for split in ("train", "dev")},
    "qqp": {split: [_qqp(split)] for split in ("train", "dev")},
    "squad2": _one("squad", "squad/train-v2.0.json", "squad/dev-v2.0.json"),
    "squad1": _one("squad", "squad/train-v1.1.json", "squad/dev-v1.1.json"),
    "hellaswag": _one(
        "hellaswag", "hellaswag/hellaswag_train.jsonl", "hellaswag/hellaswag_val.jsonl"
    ),
    "ccg": {split: [_ccg(split)] for split in ("train", "dev")},
    "cosmosqa": _one("cosmosqa", "cosmosqa/data/train.csv", "cosmosqa/data/valid.csv"),
    "commonsenseqa": _one(
        "commonsenseqa",
        "commonsenseqa/train_rand_split.jsonl",
        "commonsenseqa/dev_rand_split.jsonl",
    ),
    "siqa": _one("siqa", "siqa/socialIQa_v1.4_trn.jsonl", "siqa/socialIQa_v1.4_dev.jsonl"),
    "copa": {split: _copa(split) for split in ("train", "dev", "test")},
    "xnli": {split: _xnli(split) for split in ("dev", "test")},
    "pawsx": {split: _pawsx(split) for split in ("train", "dev", "test")},
    "udpos": {split: _udpos(split) for split in ("train", "dev", "test")},
    "panx": {split: _panx(split) for split in ("train", "dev", "test")},
    "xquad": {"test": [_slot("squad xquad/xquad.{language}.json", "squad xquad.{language}.json")]},
    "mlqa": {split: _mlqa(split) for split in ("dev", "test")},
    "tydiqa": {split: _tydiqa(split) for split in ("train", "test")},
    "bucc2018": {split: _bucc(split) for split in ("dev", "test")},
    "tatoeba": {
        "test": [
            _slot(
                "laser tatoeba/tatoeba.{iso3}-eng.{iso3}",
                "laser data/tatoeba/v1/tatoeba.{iso3}-eng.{iso3}",
                "tatoeba-sorted tatoeba/{language}-en.{language}",
            )
        ]
    },
    "xcopa": {split: _xcopa(split) for split in ("dev", "test")},
    "lareqa": {"test": [_slot("xquad-r lareqa/xquad-r/{language}.json")]},
    "mewslix": {
        "train": [_slot("mewslix-pairs mewslix/wikipedia_pairs-train.jsonl")],
        "select": [_slot("mewslix-pairs mewslix/wikipedia_pairs-dev.jsonl")],
        **{split: [_mewslix(split)] for split in ("dev", "test")},
    },
    "text": {"train": [_slot("text text/{language}.txt")]},
}
