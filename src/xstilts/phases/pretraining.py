"""Phase 1 from nothing: a tokenizer, and an encoder of XLM-R's or ModernBERT's architecture.

What enters: the tables of data/text. What leaves: both, trained. For sources that no public encoder
fits, as the world. The encoder learns masked language modelling on texts, and across translations
where rows have a pair.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModelForMaskedLM,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
)

from xstilts.console import note
from xstilts.errors import UserError
from xstilts.formats.tables import ENGLISH, Table, digest, read_table, tables_in
from xstilts.params import PretrainSettings
from xstilts.phases.members import text_member
from xstilts.tasks.families import FAMILIES
from xstilts.tasks.families.masked_lm import MaskedLMHead
from xstilts.tasks.families.protocol import TaskSettings
from xstilts.training import encoder as encoders
from xstilts.training.batches import sorted_batches
from xstilts.training.context import Context
from xstilts.training.devices import device_for
from xstilts.training.encoder import Model
from xstilts.training.evaluation import encode
from xstilts.training.layout import choose
from xstilts.training.loop import Plan, train
from xstilts.training.progress import Progress
from xstilts.training.steps import sent
from xstilts.training.task import Task

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # XLM-R's, in its order
START, PAD, END, UNKNOWN = 0, 1, 2, 3
HELD_OUT, HELD_OUT_AT_MOST = 20, 1000  # of English texts, where a study judges by them
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}\p{Myanmar}]"


def read_texts(folder: Path) -> list[Table]:
    """The tables of data/text. UserError where they hold nothing."""
    tables = [read_table(folder, split, language) for split, language in tables_in(folder)]
    if not any(table.rows for table in tables):
        raise UserError(
            f"{folder}: no text to train an encoder on; expected train rows in some language; "
            "give the source text, or name a public encoder in params.yaml: pretrain.encoder"
        )
    return tables


def pretrain(
    section: PretrainSettings, tables: Sequence[Table], context: Context
) -> tuple[Model, Progress]:
    """The trained model (its one head is the MLM head), and how the training went."""
    model, _, progress = _trained(section, tables, context)
    if section.keep_layers is not None:
        encoders.drop_top(model.encoder, section.keep_layers)
    return model, progress


def hold_out(tables: Sequence[Table], seed: int) -> tuple[list[Table], Table]:
    """(what a study's trials train on, the English texts that judge them).

    One English text in HELD_OUT, at most HELD_OUT_AT_MOST; no row that trains has such a text, in
    whatever language it counts as, or beside it as its pair. UserError where there are too few.
    """
    texts = sorted(
        {row["text"] for table in tables if table.language == ENGLISH for row in table.rows}
    )
    count = min(len(texts) // HELD_OUT, HELD_OUT_AT_MOST)
    if not count:
        raise UserError(
            f"study.pretrain: {len(texts)} English texts in data/text; expected {HELD_OUT} or "
            "more, of which some judge the trials; give the source text, or set trials to 0"
        )
    order = np.random.default_rng(seed).permutation(len(texts))
    held = {texts[number] for number in order[:count]}
    rest = [
        replace(
            table,
            rows=[row for row in table.rows if row["text"] not in held and row["pair"] not in held],
            digest=digest(table.digest, "trains beside a study's texts", seed),
        )
        for table in tables
    ]
    rows = [{"text": text, "pair": None} for text in sorted(held)]
    return rest, Table("text", "select", ENGLISH, rows, digest(sorted(held)))


def held_out_loss(
    section: PretrainSettings, tables: Sequence[Table], held: Table, context: Context
) -> float:
    """The mean loss of a masked piece of `held` after a training on `tables`, of all layers."""
    model, task, _ = _trained(section, tables, context)
    features = encode(held, task, context.tokenizer, context.cache)
    device = next(model.parameters()).device
    model.eval()
    total, pieces = 0.0, 0
    with torch.inference_mode():
        for examples in sorted_batches(features, context.training.token_budget):
            batch = task.family.collate(features, examples, context.tokens, (0,))  # always the same
            pieces += task.family.units(batch)
            there = sent(model.laid_out(batch), device)
            with torch.autocast(device.type, torch.bfloat16, enabled=context.bf16):
                total += float(task.family.loss(model(task.head, there), there))
    if not math.isfinite(total):
        raise UserError("the loss of held-out text is not a number; lower the learning rate")
    return total / max(1, pieces)


def _trained(
    section: PretrainSettings, tables: Sequence[Table], context: Context
) -> tuple[Model, Task, Progress]:
    """The model with all its layers, its task, and how the training went."""
    family, length = FAMILIES["masked_lm"], TaskSettings(section.max_length)
    task = Task("text", "masked_lm", family, length, "masked_lm")
    member = text_member(task, tables, section.language_temperature, context)
    torch.manual_seed(context.training.seed)
    config = CONFIGS[section.architecture](section, len(context.tokenizer))
    mlm = AutoModelForMaskedLM.from_config(config)  # type: ignore[no-untyped-call]
    head = MaskedLMHead(mlm.config)
    base = encoders.prepare(getattr(mlm, mlm.base_model_prefix))
    for name, weights in base.named_parameters():
        if "position_embeddings" in name:  # words before places: at the words' own size, attention
            weights.data *= 0.2  # to what a word means starts late
    head.tie(base)
    model = Model(base, {"masked_lm": head}).to(device_for(context.training))
    model = choose(model, context.training)
    plan = Plan(
        section.learning_rate,
        section.steps,
        section.batch_size,
        context.training.seed,
        section.optimizer,
    )
    progress, _ = train(model, [member], plan, context)
    return model, task, progress


def _xlm_roberta(section: PretrainSettings, vocabulary: int) -> PretrainedConfig:
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=section.hidden,
        num_hidden_layers=section.layers,
        num_attention_heads=section.heads,
        intermediate_size=section.intermediate,
        max_position_embeddings=section.max_positions + 2,  # XLM-R counts positions from pad + 1
        hidden_dropout_prob=section.dropout,
        attention_probs_dropout_prob=section.dropout,
        type_vocab_size=1,
        initializer_range=_deviation(section.hidden),
        bos_token_id=START,
        pad_token_id=PAD,
        eos_token_id=END,
    )
    setattr(config, encoders.RESTARTS, True)
    return config


def _modernbert(section: PretrainSettings, vocabulary: int) -> PretrainedConfig:
    return ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=section.hidden,
        num_hidden_layers=section.layers,
        num_attention_heads=section.heads,
        intermediate_size=section.intermediate,
        max_position_embeddings=section.max_positions,
        embedding_dropout=section.dropout,
        attention_dropout=section.dropout,
        mlp_dropout=section.dropout,
        layer_types=["full_attention"] * section.layers,  # these texts are short
        initializer_range=_deviation(section.hidden),
        bos_token_id=START,
        cls_token_id=START,
        pad_token_id=PAD,
        eos_token_id=END,
        sep_token_id=END,
    )


CONFIGS: dict[str, Callable[[PretrainSettings, int], PretrainedConfig]] = {
    "xlm-roberta": _xlm_roberta,
    "modernbert": _modernbert,
}


def _deviation(hidden: int) -> float:
    """The first weights' standard deviation, so that outputs are as large as a base model's."""
    return 0.02 * float((768 / hidden) ** 0.5)


def train_tokenizer(tables: Sequence[Table], section: PretrainSettings) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer of all languages, as SentencePiece's: NFKC, white space as `▁`.

    In scripts without spaces `▁` says nothing: it goes, so that a word is the same pieces inside a
    sentence and alone, as taggers read it.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace("\u200b", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation("merged_with_next"),
            pre_tokenizers.Split(Regex(f"▁(?={UNSPACED})"), "removed"),
            pre_tokenizers.Split(Regex(f"{UNSPACED}+"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    size = f"{section.vocabulary:,} pieces from {section.tokenizer_characters:,} characters at most"
    note(f"tokenizer: {size}")
    words = _words(tokenizer, _texts(tables, section.tokenizer_characters))
    alphabet = {character for word in words for character in word}
    if section.vocabulary <= len(alphabet) + len(SPECIAL):
        raise UserError(
            f"params.yaml: pretrain.vocabulary: {section.vocabulary}; expected more than the "
            f"text's {len(alphabet)} characters and {len(SPECIAL)} special pieces; raise it"
        )
    trainer = trainers.UnigramTrainer(
        vocab_size=max(section.vocabulary // 2, len(alphabet) + len(SPECIAL) + 1),
        special_tokens=SPECIAL,
        unk_token="<unk>",
        shrinking_factor=0.5,  # not 0.75: half of the rounds
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(tables, section.tokenizer_characters), trainer)
    pieces = _in_order(json.loads(tokenizer.to_str()))
    tokenizer.model = models.Unigram(_with_words(pieces, words, section.vocabulary), unk_id=UNKNOWN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=section.max_positions,
        model_input_names=["input_ids", "attention_mask"],
    )


def _in_order(tokenizer: dict[str, Any]) -> list[tuple[str, float]]:
    """The pieces with their log probabilities, the same in every run.

    The trainer walks hash maps in an order of its own: sums move in their last digits, equal scores
    change places, and characters that it must keep get the lowest score plus 0.0001, 0.0002, ... as
    they come. Here scores are rounded, those characters share the lowest, and ties go by the piece.
    """
    vocabulary = [(piece, round(score, 6)) for piece, score in tokenizer["model"]["vocab"]]
    special, pieces = vocabulary[: len(SPECIAL)], vocabulary[len(SPECIAL) :]
    lowest = min(score for _, score in pieces)
    kept_anyway = lowest + 0.0001 * (1 + sum(len(piece) == 1 for piece, _ in pieces))
    settled = [
        (piece, lowest if len(piece) == 1 and score <= kept_anyway else score)
        for piece, score in pieces
    ]
    return special + sorted(settled, key=lambda item: (-item[1], item[0]))


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, as the model will see it."""
    counts: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    return counts


def _with_words(
    pieces: list[tuple[str, float]], words: Counter[str], size: int
) -> list[tuple[str, float]]:
    """The pieces, and the most frequent whole words that they lack, up to `size`.

    The trainer proposes only what at least two different words contain: `▁the` would never be a
    piece where no other word begins so. Without spaces, what seems a word is several: none is
    added.
    """
    known = {piece for piece, _ in pieces}
    total = sum(words.values())
    ranked = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    missing = [(word, count) for word, count in ranked if word not in known and count > 1]
    missing = [(word, count) for word, count in missing if not unspaced(word)]
    extra = [(word, round(math.log(count / total), 6)) for word, count in missing]
    return pieces + extra[: size - len(pieces)]


def unspaced(word: str) -> bool:
    """Whether the word is all of a script that writes no spaces."""
    others = pre_tokenizers.Split(Regex(UNSPACED), "removed")
    return not others.pre_tokenize_str(word)


def _texts(tables: Sequence[Table], characters: int) -> Iterable[str]:
    """The texts of every k-th row, with the k that gives about `characters` in all."""
    total = sum(len(row["text"] + (row["pair"] or "")) for table in tables for row in table.rows)
    every = -(-total // characters)
    for table in tables:
        for row in table.rows[::every]:
            yield row["text"]
            if row["pair"]:
                yield row["pair"]


def save(model: Model, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save encoder, MLM head and tokenizer as one ForMaskedLM model.

    The later phases load the encoder of it; a masked_lm member of a mixture, the head too.
    """
    head = model.heads["masked_lm"]
    assert isinstance(head, MaskedLMHead)
    mlm = head.model
    setattr(mlm, mlm.base_model_prefix, model.encoder)
    mlm.config = model.encoder.config
    encoders.save(mlm, tokenizer, folder)
