"""Small models of every kind, each with a dummy batch, for the engine's property tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from textleak.gradients import Matcher, Recorder, parameter_gradients

VOCABULARY, WIDTH = 61, 16


@dataclass
class Case:
    """A model and how a dummy batch runs through it.

    Attributes:
        module: the model.
        dummy: makes a dummy for that many sequences, a leaf.
        losses: recorder, dummy and R to losses (R,).
    """

    module: nn.Module
    dummy: Callable[[int], Tensor]
    losses: Callable[[Recorder, Tensor, int], Tensor]
    batch: int

    def forward(self, dummy: Tensor, candidates: int) -> Callable[[Recorder], Tensor]:
        """The closure that a matcher evaluates."""
        return lambda recorder: self.losses(recorder, dummy, candidates)

    def shared(self) -> dict[str, Tensor]:
        """The gradient of a batch of the same kind."""
        truth = self.dummy(self.batch)
        return parameter_gradients(
            self.module, lambda: self.losses(Tables(self.module), truth, 1).sum()
        )


class Tables:
    """A recorder for the client's own loss."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = dict(module.named_parameters())

    def lookup(self, name: str, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        table = self.parameters[name]
        return weights @ (table if rows is None else table[rows])


def evaluate(matcher: Matcher, case: Case, dummy: Tensor, candidates: int) -> tuple[Tensor, Tensor]:
    """Distances (R,) and their slope at the dummy."""
    forward = case.forward(dummy, candidates)
    distances = matcher(forward, candidates=candidates, batch=case.batch)
    (slope,) = torch.autograd.grad(distances.sum(), dummy)
    return distances.detach(), slope


def per_candidate(losses: Tensor, candidates: int) -> Tensor:
    return losses.reshape(candidates, -1).mean(1)


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape).requires_grad_()


def padding(batch: int, length: int) -> Tensor:
    """A mask in which the last sequence is two tokens shorter."""
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[-1, length - 2 :] = 0
    return mask


def bert_masked(batch: int, length: int) -> Case:
    """Continuous embeddings, masked positions only, a decoder tied to the word table."""
    model = BertForMaskedLM(_bert())
    places = torch.stack([torch.randperm(length - 2)[:2] for _ in range(batch)])
    labels = torch.randint(VOCABULARY, (batch, 2))
    mask = padding(batch, length)

    def losses(_: Recorder, dummy: Tensor, candidates: int) -> Tensor:
        wide = mask.repeat(candidates, 1)
        hidden = model.bert(inputs_embeds=dummy, attention_mask=wide).last_hidden_state
        rows = places.repeat(candidates, 1).unsqueeze(2).expand(-1, -1, WIDTH)
        logits = model.cls(hidden.gather(1, rows)).flatten(0, 1)
        targets = labels.repeat(candidates, 1).flatten()
        return per_candidate(F.cross_entropy(logits, targets, reduction="none"), candidates)

    return Case(model, lambda n: leaf(n, length, WIDTH), losses, batch)


def bert_soft_words(batch: int, length: int) -> Case:
    """Words mixed from a few rows of the tied table, and every position predicted."""
    model = BertForMaskedLM(_bert())
    rows = torch.randperm(VOCABULARY)[:7]
    labels = torch.randint(VOCABULARY, (batch, length))

    def losses(recorder: Recorder, dummy: Tensor, candidates: int) -> Tensor:
        name = "bert.embeddings.word_embeddings.weight"
        words = recorder.lookup(name, dummy.softmax(2), rows)
        logits = model(inputs_embeds=words).logits.flatten(0, 1)
        targets = labels.repeat(candidates, 1).flatten()
        return per_candidate(F.cross_entropy(logits, targets, reduction="none"), candidates)

    return Case(model, lambda n: leaf(n, length, 7), losses, batch)


def bert_classifier(batch: int, length: int) -> Case:
    """Soft labels, words mixed from the whole table, one of them fixed by its id."""
    model = BertForSequenceClassification(_bert())
    fixed = torch.randint(VOCABULARY, (1, 1))

    def losses(recorder: Recorder, dummy: Tensor, candidates: int) -> Tensor:
        name = "bert.embeddings.word_embeddings.weight"
        words = recorder.lookup(name, dummy[..., :VOCABULARY].softmax(2))
        first = model.get_input_embeddings()(fixed).expand(len(dummy), -1, -1)
        logits = model(inputs_embeds=torch.cat([first, words], 1)).logits
        soft = dummy[:, 0, VOCABULARY:].softmax(1)
        return per_candidate(F.cross_entropy(logits, soft, reduction="none"), candidates)

    return Case(model, lambda n: leaf(n, length, VOCABULARY + 2), losses, batch)


def gpt2(batch: int, length: int) -> Case:
    """Transposed linear layers and GPT-2's own activation."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=WIDTH,
        n_layer=1,
        n_head=2,
        n_positions=16,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
        **NO_DROPOUT_GPT2,
    )
    return _causal(GPT2LMHeadModel(config), batch, length)


def llama(batch: int, length: int) -> Case:
    """A model's own RMSNorm, gated activations, grouped heads and an untied decoder."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=16,
        initializer_range=0.3,
    )
    return _causal(LlamaForCausalLM(config), batch, length)


def convolutions(batch: int, length: int) -> Case:
    """Strides, padding, groups, activations in place, and both kinds of channel norm."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.GroupNorm(2, 4),
        nn.SiLU(inplace=True),
        nn.Conv2d(4, 4, 2, dilation=2, bias=False),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, (3, 1), padding=1, groups=2),
        nn.Sigmoid(),
        nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(4, 16, 2),  # one place: its factors are smaller than its gradient
        nn.Flatten(),
        nn.LazyLinear(5),
    )
    side = length + 6
    with torch.no_grad():
        model(torch.randn(4, 2, side, side))
    labels = torch.randint(5, (batch,))

    def losses(_: Recorder, dummy: Tensor, candidates: int) -> Tensor:
        output = F.cross_entropy(model(dummy), labels.repeat(candidates), reduction="none")
        return per_candidate(output, candidates)

    return Case(model, lambda n: leaf(n, 2, side, side), losses, batch)


class Odd(nn.Module):
    """Uses that no single rule covers: parameters of its own, a layer called twice, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH, padding_idx=3)
        self.twice = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.RMSNorm(WIDTH, eps=1e-5)
        self.scale = nn.Parameter(torch.randn(WIDTH))
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.planes = nn.LayerNorm((2, WIDTH // 2))
        self.unused = nn.Linear(2, 2)

    def forward(self, dummy: Tensor, ids: Tensor) -> Tensor:
        hidden = self.words(ids) + dummy
        hidden = self.twice(F.gelu(self.twice(hidden)) * self.scale)
        hidden = self.norm(hidden + self.attention(hidden, hidden, hidden)[0])
        planes = self.planes(hidden.unflatten(-1, (2, -1))).flatten(-2)
        return F.linear(planes, self.words.weight)


def odd(batch: int, length: int) -> Case:
    """See `Odd`."""
    model = Odd()
    ids = torch.randint(6, (batch, length))
    labels = torch.randint(VOCABULARY, (batch, length))

    def losses(_: Recorder, dummy: Tensor, candidates: int) -> Tensor:
        logits = model(dummy, ids.repeat(candidates, 1)).flatten(0, 1)
        targets = labels.repeat(candidates, 1).flatten()
        return per_candidate(F.cross_entropy(logits, targets, reduction="none"), candidates)

    return Case(model, lambda n: leaf(n, length, WIDTH), losses, batch)


NO_DROPOUT_GPT2 = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}

CASES: dict[str, Callable[[int, int], Case]] = {
    maker.__name__: maker
    for maker in (
        bert_masked,
        bert_soft_words,
        bert_classifier,
        gpt2,
        llama,
        convolutions,
        odd,
    )
}


def build(name: str, batch: int, length: int, seed: int, dtype: torch.dtype) -> Case:
    """The case `name`, its weights, labels and places drawn from `seed`."""
    torch.manual_seed(seed)
    case = CASES[name](batch, length)
    case.module.to(dtype).eval()
    plain = case.dummy
    case.dummy = lambda n: plain(n).detach().to(dtype).requires_grad_()
    return case


def _bert() -> BertConfig:
    return BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=16,
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def _causal(model: GPT2LMHeadModel | LlamaForCausalLM, batch: int, length: int) -> Case:
    labels = torch.randint(VOCABULARY, (batch, length))

    def losses(_: Recorder, dummy: Tensor, candidates: int) -> Tensor:
        logits = model(inputs_embeds=dummy, use_cache=False).logits.flatten(0, 1)
        targets = labels.repeat(candidates, 1).flatten()
        return per_candidate(F.cross_entropy(logits, targets, reduction="none"), candidates)

    return Case(model, lambda n: leaf(n, length, WIDTH), losses, batch)
