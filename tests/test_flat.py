"""Flat tokens: every architecture computes what it computes padded, and what is unknown is said."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    EuroBertConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
    XLMRobertaXLConfig,
)

from tests.models import SHAPE
from xstilts.formats.features import Batch
from xstilts.training import embeddings, flat
from xstilts.training.encoder import prepare

BASE = {
    **SHAPE,
    "vocab_size": 97,
    "max_position_embeddings": 90,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "initializer_range": 0.3,  # states far apart: a wrong mask shows
}
GROUPED = {**BASE, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
LAYERS = ["sliding_attention", "full_attention"]
CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "xlm-r": lambda: XLMRobertaConfig(**BASE),
    "xlm-r-xl": lambda: XLMRobertaXLConfig(**BASE),
    "bert": lambda: BertConfig(**BASE),
    "roberta": lambda: RobertaConfig(**BASE),
    "modernbert": lambda: ModernBertConfig(
        **BASE, local_attention=8, global_attn_every_n_layers=2, cls_token_id=0, sep_token_id=2
    ),
    "eurobert": lambda: EuroBertConfig(**GROUPED, mask_token_id=4),
    "llama": lambda: LlamaConfig(**GROUPED),
    "qwen3": lambda: Qwen3Config(**GROUPED),
    "gemma3": lambda: Gemma3TextConfig(**GROUPED, sliding_window=6, layer_types=LAYERS),
    "mistral": lambda: MistralConfig(**GROUPED, sliding_window=5),
}
LENGTHS = (1, 23, 40, 7, 2)


def encoder_of(config: PretrainedConfig) -> PreTrainedModel:
    torch.manual_seed(1)
    return prepare(AutoModel.from_config(config)).eval()


def batch_of(lengths: tuple[int, ...], types: bool = False) -> Batch:
    rng = np.random.default_rng(3)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ids = np.where(mask, rng.integers(5, 97, mask.shape), 1)
    batch = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask.astype(np.int64))}
    if types:
        batch["token_type_ids"] = torch.tensor(np.where(mask, rng.integers(0, 2, mask.shape), 0))
    return batch


def gradients(encoder: PreTrainedModel, states: torch.Tensor, batch: Batch) -> dict[str, Any]:
    """Of a random weighing of the real states: their squares would be constant after a norm."""
    real = batch["attention_mask"].bool()
    torch.manual_seed(2)
    weights = torch.randn(batch["input_ids"].shape + states.shape[-1:])
    encoder.zero_grad()
    (states * weights)[real].sum().backward()
    named = encoder.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def worst(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """The largest relative error; a key's bias is left out, for its gradient is 0."""
    assert found.keys() == wanted.keys()
    kept = [name for name in wanted if not name.endswith(("key.bias", "k_proj.bias"))]
    return max(float((found[n] - wanted[n]).norm() / (wanted[n].norm() + 1e-12)) for n in kept)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_flat_states_and_gradients_are_the_padded_ones(architecture: str) -> None:
    encoder = encoder_of(CONFIGS[architecture]())
    batch = batch_of(LENGTHS, types=architecture == "bert")
    real = batch["attention_mask"].bool()
    padded = encoder(**batch, use_cache=False).last_hidden_state
    wanted = gradients(encoder, padded, batch)
    assert flat.refusal(encoder) == ""
    states = flat.hidden_states(encoder, flat.lay_out(batch, flat.flat_input_of(encoder)))
    assert (states[~real] == 0).all()
    assert (states[real] - padded[real]).norm() <= 1e-6 * padded[real].norm()
    assert worst(gradients(encoder, states, batch), wanted) <= 1e-5


@pytest.mark.parametrize("architecture", ["xlm-r", "bert", "modernbert", "llama"])
def test_own_gradients_and_buckets_change_nothing(architecture: str) -> None:
    """The tables' gradients by sorted rows; a tail of padding up to the bucket."""
    encoder = encoder_of(CONFIGS[architecture]())
    assert flat.refusal(encoder) == ""
    batch = batch_of(LENGTHS, types=architecture == "bert")
    plain = flat.lay_out(batch, flat.flat_input_of(encoder))
    states = flat.hidden_states(encoder, plain)
    wanted = gradients(encoder, states, batch)
    assert embeddings.own_gradients(encoder) == ""
    laid = flat.lay_out(batch, flat.flat_input_of(encoder, own=True), bucket=True)
    assert len(laid["flat_ids"]) == 128 and len(plain["flat_ids"]) == sum(LENGTHS)
    embeddings.hand_parts(encoder, laid)
    found = flat.hidden_states(encoder, laid)
    assert (found - states).norm() <= 1e-6 * states.norm()
    assert worst(gradients(encoder, found, batch), wanted) <= 1e-5
    tables = [m for m in encoder.modules() if isinstance(m, embeddings.Rows)]
    assert tables and all(table.parts is not None for table in tables)


def test_gradients_do_not_depend_on_the_cut() -> None:
    encoder = encoder_of(CONFIGS["xlm-r"]())
    assert flat.refusal(encoder) == ""
    reading = flat.flat_input_of(encoder)
    sums: list[dict[str, Any]] = []
    for cut in ((0, 5), (0, 2, 5), (0, 1, 2, 3, 4, 5)):
        encoder.zero_grad()
        for start, end in itertools.pairwise(cut):
            batch = batch_of(LENGTHS)
            width = max(LENGTHS[start:end])
            part = {name: column[start:end, :width] for name, column in batch.items()}
            states = flat.hidden_states(encoder, flat.lay_out(part, reading))
            real = part["attention_mask"].bool()
            states[real].pow(3).sum().backward()
        sums.append({name: p.grad.clone() for name, p in encoder.named_parameters()
                     if p.grad is not None})  # fmt: skip
    assert worst(sums[1], sums[0]) <= 1e-5 and worst(sums[2], sums[0]) <= 1e-5


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (DebertaV2Config(**BASE), "no exchangeable attention"),
        (Gemma2Config(**GROUPED, sliding_window=6), "softcap"),
        (GptOssConfig(**GROUPED, num_local_experts=2, num_experts_per_tok=1), "s_aux"),
    ],
)
def test_attention_that_is_not_known_is_refused(config: PretrainedConfig, said: str) -> None:
    encoder = encoder_of(config)
    before = encoder.config._attn_implementation
    assert said in flat.refusal(encoder)
    assert encoder.config._attn_implementation == before


def test_states_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of(CONFIGS["xlm-r"]())
    monkeypatch.setattr(flat, "flat_input_of", lambda encoder: flat.FlatInput(0, 1))
    assert "states, read flat" in flat.refusal(encoder)


def test_trial_draws_no_random_number_and_leaves_the_mode() -> None:
    encoder = encoder_of(CONFIGS["xlm-r"]()).train()
    before = torch.get_rng_state()
    assert flat.refusal(encoder) == "" and encoder.training
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_reaches_attention() -> None:
    config = CONFIGS["xlm-r"]()
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = 0.0, 0.5
    encoder = encoder_of(config).train()
    assert flat.refusal(encoder) == ""
    laid = flat.lay_out(batch_of(LENGTHS), flat.flat_input_of(encoder))
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(flat.hidden_states(encoder, laid))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("lengths", "size"), [((60, 50), 128), ((60, 68), 128), ((60, 69), 256), ((70,) * 60, 4352)]
)
def test_bucket_is_filled_by_texts_no_longer_than_the_longest(
    lengths: tuple[int, ...], size: int
) -> None:
    laid = flat.lay_out(batch_of(lengths), flat.FlatInput(2, 1, own=True), bucket=True)
    cu = laid["flat_cu"]
    every = (cu[1:] - cu[:-1]).tolist()
    assert len(laid["flat_ids"]) == cu[-1] == size
    assert every[: len(lengths)] == list(lengths) and max(every) == max(lengths)
    assert laid["flat_positions"].max() == max(lengths) + 1  # from 2 on


def test_row_sums_are_those_of_a_table() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 30, 64)
    table = nn.Embedding(30, 5, padding_idx=3).double()
    gradient = torch.randn(64, 5, dtype=torch.float64)
    table(torch.tensor(keys[:50])).backward(gradient[:50])
    parts = tuple(torch.from_numpy(part) for part in embeddings.by_row(keys, 50, 3))
    found = embeddings.row_sums(gradient, parts, 30)
    assert table.weight.grad is not None
    assert torch.allclose(found.double(), table.weight.grad, atol=1e-5)
    assert (found[3] == 0).all()
