"""One function for each format of a file. READERS names them all.

What enters: a `RawFile`. What leaves: a `Reading`: rows with a task's columns, gold None where the
labels were stripped, and counts. What is malformed is a UserError that names file and line (or JSON
path), what is wrong and what was expected. A reader does not know which experiment it serves.
"""

from __future__ import annotations

from xstilts.sources.readers import bio, ccgbank, conllu, jsonl, lines, ranking, squad, table
from xstilts.sources.readers.raw import RawFile, Reader

READERS: dict[str, Reader] = {
    "bio": bio.bio,
    "rahimi": bio.rahimi,
    "ccg": bio.ccg,
    "ccg-auto": ccgbank.ccg_auto,
    "conllu": conllu.conllu,
    "conllu-relations": conllu.conllu_relations,
    "conllu-chunks": conllu.conllu_chunks,
    "squad": squad.squad,
    "tydiqa": squad.tydiqa,
    "xtreme-pairs": table.xtreme_pairs,
    "xnli": table.xnli,
    "multinli-en": table.multinli_en,
    "x-final": table.x_final,
    "glue-mnli": table.glue_mnli,
    "glue-qqp": table.glue_qqp,
    "quora": table.quora,
    "snli-txt": table.snli_txt,
    "three-columns": table.three_columns,
    "cosmosqa": table.cosmosqa,
    "snli": jsonl.snli,
    "anli": jsonl.anli,
    "chaosnli": jsonl.chaosnli,
    "hellaswag": jsonl.hellaswag,
    "commonsenseqa": jsonl.commonsenseqa,
    "cosmosqa-test": jsonl.cosmosqa,
    "siqa": jsonl.siqa,
    "copa": jsonl.copa,
    "hellaswag-text": lines.hellaswag_text,
    "text": lines.text,
    "laser": lines.laser,
    "tatoeba-sorted": lines.tatoeba_sorted,
    "bucc": lines.bucc,
    "xquad-r": ranking.xquad_r,
    "mewslix": ranking.mewslix,
    "mewslix-pairs": ranking.mewslix_pairs,
}

__all__ = ["READERS", "RawFile", "Reader"]
