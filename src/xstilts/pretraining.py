"""A tokenizer and an encoder of XLM-R's architecture, trained on data/text: for sources small
enough to have no
public encoder. Masked language modelling on texts, and across translations where rows have a pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast, XLMRobertaConfig

from xstilts import encoder as encoders
from xstilts.batches import balanced_index, concatenate
from xstilts.devices import device_for
from xstilts.encoder import Model
from xstilts.evaluation import Task, encode
from xstilts.families import FAMILIES
from xstilts.families.masked_lm import MaskedLMHead
from xstilts.families.protocol import TaskSettings
from xstilts.params import PretrainSettings, TrainingSettings
from xstilts.progress import Progress, Reporter
from xstilts.tables import Table, read_table, tables_in
from xstilts.training import Member, Plan, Setup, train

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # XLM-R's, in its order


def pretrain(
    settings: PretrainSettings,
    training: TrainingSettings,
    text: Path,
    work: Path,
    reporter: Reporter | None,
) -> tuple[Model, PreTrainedTokenizerFast, Progress]:
    """The trained model (its one head is the MLM head), its tokenizer, and how the training
    went."""
    tables = [read_table(text, split, language) for split, language in tables_in(text)]
    tokenizer = train_tokenizer(tables, settings)
    task = Task(
        "text", "masked_lm", FAMILIES["masked_lm"], TaskSettings(settings.max_length), "masked_lm"
    )
    parts = [encode(table, task, tokenizer, work.parent / "features") for table in tables]
    index = balanced_index([len(part) for part in parts], settings.language_temperature)
    member = Member(task, tuple(tables), concatenate(parts), index)
    torch.manual_seed(training.seed)
    mlm = AutoModelForMaskedLM.from_config(  # type: ignore[no-untyped-call]
        config_for(settings, len(tokenizer))
    )
    head = MaskedLMHead(mlm.config)
    base = encoders.prepare(getattr(mlm, mlm.base_model_prefix))
    head.tie(base)
    model = Model(base, {"masked_lm": head}).to(device_for(training))
    plan = Plan(settings.learning_rate, settings.steps, settings.batch_size, training.seed)
    tokens = encoders.special_tokens(tokenizer, settings.mask_probability)
    progress, _ = train(model, [member], plan, Setup(training, tokens, work, reporter))
    return model, tokenizer, progress


def config_for(settings: PretrainSettings, vocabulary: int) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate,
        max_position_embeddings=settings.max_positions + 2,  # XLM-R counts positions from pad + 1
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )


def train_tokenizer(tables: Sequence[Table], settings: PretrainSettings) -> PreTrainedTokenizerFast:
    """SentencePiece-like Unigram over all languages: NFKC, white space as `▁`, pairs as <s> A
    </s></s> B </s>.

    Trained on one thread: with several, the order of sums and so the pieces would move from run to
    run.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace("\u200b", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=SPECIAL,
        unk_token="<unk>",
        shrinking_factor=0.5,  # not 0.75: half of the rounds
        show_progress=False,
    )
    before = os.environ.get("RAYON_NUM_THREADS"), os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer.train_from_iterator(_texts(tables, settings.tokenizer_characters), trainer)
    for name, value in zip(("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"), before, strict=True):
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
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
        model_max_length=settings.max_positions,
        model_input_names=["input_ids", "attention_mask"],
    )


def _texts(tables: Sequence[Table], characters: int) -> Iterable[str]:
    """Every k-th row of each language, so that about `characters` are read."""
    total = sum(len(row["text"]) for table in tables for row in table.rows)
    every = -(-total // characters)
    for table in tables:
        for row in table.rows[::every]:
            yield row["text"]


def save(model: Model, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """As a ForMaskedLM model: an encoder for what comes after, and a head for a masked_lm member
    of a mixture."""
    head = model.heads["masked_lm"]
    assert isinstance(head, MaskedLMHead)
    mlm = head.model
    setattr(mlm, mlm.base_model_prefix, model.encoder)
    mlm.config = model.encoder.config
    encoders.save(mlm, tokenizer, folder)
