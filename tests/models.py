"""Tiny random models of the architectures that people use, with a tokenizer that fits them all."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import processors
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    Gemma3TextConfig,
    LlamaConfig,
    ModernBertConfig,
    PretrainedConfig,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

from xstilts.formats.tables import Table
from xstilts.params import PretrainSettings
from xstilts.phases import pretraining
from xstilts.training.encoder import EncoderRef, Tokenizer

TEXTS = [
    "The old dog saw a small cat near the river .",
    "Who saw the cat ? The dog did , yesterday , in Paris .",
    "Der alte Hund sah eine kleine Katze am Fluss .",
    "Старая собака видела маленькую кошку у реки .",
    "老狗在河边看见了一只小猫。",
]
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
ARCHITECTURES = {
    "xlm-r": XLMRobertaConfig,
    "bert": BertConfig,
    "roberta": RobertaConfig,
    "modernbert": ModernBertConfig,
    "deberta-v2": DebertaV2Config,
}


def tiny_tokenizer() -> Tokenizer:
    text = Table("text", "train", "en", [{"text": text, "pair": None} for text in TEXTS])
    return pretraining.train_tokenizer([text], PretrainSettings(vocabulary=120))


# Decoders: three of their families, with fewer keys than queries, and a window.
DECODERS: dict[str, tuple[type[PretrainedConfig], dict[str, object]]] = {
    "llama": (LlamaConfig, {}),
    "qwen3": (Qwen3Config, {}),
    "gemma3": (
        Gemma3TextConfig,
        {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}


def tiny_decoder(architecture: str, folder: Path, tied: bool | None = None) -> EncoderRef:
    """A saved decoder of random weights, whose tokenizer ends no text, as theirs do not.

    tied: with an output layer, which is its word table or not; None: without one.
    """
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B:1", special_tokens=[]
    )
    kind, more = DECODERS[architecture]
    config = kind(
        vocab_size=len(tokenizer), max_position_embeddings=130, **SHAPE, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, num_key_value_heads=1, head_dim=16, **more,
    )  # fmt: skip
    torch.manual_seed(1)
    if tied is None:
        config.tie_word_embeddings = False
        AutoModel.from_config(config).save_pretrained(folder)
    else:
        config.tie_word_embeddings = tied
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return EncoderRef(architecture, str(folder), None, architecture)


def tiny_encoder(architecture: str, folder: Path, dropout: float = 0.1) -> EncoderRef:
    """A saved ForMaskedLM model of random weights, as a user's own folder would hold."""
    tokenizer = tiny_tokenizer()
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    config: PretrainedConfig = ARCHITECTURES[architecture](
        vocab_size=len(tokenizer), max_position_embeddings=130, **SHAPE, **ids
    )
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "mlp_dropout",
    "embedding_dropout",
                 "attention_dropout"):  # fmt: skip
        if hasattr(config, name):
            setattr(config, name, dropout)
    if architecture == "modernbert":
        config.cls_token_id, config.sep_token_id = 0, 2
    if architecture == "bert":
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    torch.manual_seed(1)
    model = AutoModelForMaskedLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return EncoderRef(architecture, str(folder), None, architecture)
