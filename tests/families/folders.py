"""Small models of every family in folders, random weights, each with a tokenizer of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, PreTrainedTokenizerFast

CORPUS = [
    "the old miller sold his last sack of flour",
    "rain fell on the roof and on the garden",
    "nobody knew why the clock had stopped",
    "a small boat left the harbour at night",
    "she never liked the colour of that door",
    "two dogs ran after one cat in the park",
    "the train was late again this morning",
    "he broke the cup and said nothing",
]
WIDTH, LONGEST = 64, 20
_BARE: dict[str, Any] = dict(
    hidden_size=WIDTH,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=96,
    initializer_range=0.2,
)
_PLACES = {"max_position_embeddings": LONGEST}
_OFFSET = {"max_position_embeddings": LONGEST + 2, "pad_token_id": 1}
SIZES: dict[str, dict[str, Any]] = {
    "bert": {**_BARE, **_PLACES},
    "roberta": {**_BARE, **_OFFSET},
    "xlm-roberta": {**_BARE, **_OFFSET},
    "camembert": {**_BARE, **_OFFSET},
    "distilbert": dict(
        dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=96, initializer_range=0.2, **_PLACES
    ),
    "electra": {**_BARE, **_PLACES, "embedding_size": 48},
    "albert": {**_BARE, **_PLACES, "embedding_size": 48},
    "mpnet": {**_BARE, **_OFFSET},
    "deberta-v2": dict(
        _BARE,
        **_PLACES,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_buckets=8,
        type_vocab_size=0,
    ),
    "modernbert": {**_BARE, "max_position_embeddings": 64},
    "ernie": {**_BARE, **_PLACES},
    "nystromformer": {**_BARE, **_PLACES, "num_landmarks": 4, "segment_means_seq_len": 4},
    "convbert": {**_BARE, **_PLACES, "embedding_size": WIDTH},
}
_BLOCKS = {**_BARE, "num_key_value_heads": 2, "max_position_embeddings": 64}
_GROUPED = ("llama", "mistral", "qwen2", "starcoder2", "stablelm", "granite")
_WIDE = ("qwen3", "gemma", "gemma2", "gemma3_text", "cohere", "olmo2")
DECODER_SIZES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(_GROUPED, _BLOCKS),
    **{family: {**_BLOCKS, "head_dim": 16} for family in _WIDE},
    "granite": {**_BLOCKS, "attention_multiplier": 0.25},
    **{family: {**_BARE, "max_position_embeddings": 64} for family in ("gpt_neox", "phi")},
    "gpt2": dict(n_embd=WIDTH, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2),
    "opt": dict(
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=96,
        max_position_embeddings=64,
        init_std=0.2,
    ),
}
DECODERS = [
    *(
        "cohere",
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "gpt_neox",
        "granite",
        "llama",
        "mistral",
    ),
    *("olmo2", "opt", "phi", "qwen2", "qwen3", "stablelm", "starcoder2"),
]
KINDS = {
    "gpt2": "bytes",
    "llama": "bytes",
    "qwen2": "bytes",
    "roberta": "bytes",
    "modernbert": "bytes",
    "albert": "unigram",
    "xlm-roberta": "unigram",
    "camembert": "unigram",
    "deberta-v2": "unigram",
}
HEADS = {
    "causal": "AutoModelForCausalLM",
    "mlm": "AutoModelForMaskedLM",
    "classification": "AutoModelForSequenceClassification",
    "multi-label": "AutoModelForSequenceClassification",
    "regression": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
}
PROBLEMS = {"multi-label": "multi_label_classification", "regression": "regression"}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def wordpieces(corpus: Sequence[str] = CORPUS) -> list[str]:
    """The corpus's words in pieces of three letters, and its letters."""
    words = {word for line in corpus for word in line.lower().split()}
    heads = {word[:3] for word in words}
    tails = {word[i : i + 3] for word in words for i in range(3, len(word), 3)}
    letters = set("".join(words))
    return sorted({*heads, *letters, *("##" + tail for tail in tails | letters)})


def tokenizer(
    kind: str = "words", corpus: Sequence[str] = CORPUS, size: int = 400
) -> PreTrainedTokenizerFast:
    """WordPiece, byte-level BPE of `size` pieces or unigram, of the corpus's words; alike in every process."""
    made: Tokenizer
    if kind == "bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer: Any = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    elif kind == "unigram":
        whole = sorted({"\u2581" + word for line in corpus for word in line.split()})
        letters = sorted({letter for word in whole for letter in word})
        made = Tokenizer(
            models.Unigram(
                [(word, 0.0) for word in SPECIAL]
                + [(word, -3.0) for word in whole]
                + [(letter, -9.0) for letter in letters],
                unk_id=SPECIAL.index("<unk>"),
            )
        )
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = None
    else:
        pieces = [*SPECIAL, *wordpieces(corpus)]
        made = Tokenizer(
            models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>")
        )
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = None  # its order of ties differs from process to process
    if trainer is not None:
        made.train_from_iterator(corpus, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def make_folder(
    path: Path,
    family: str,
    task: str,
    corpus: Sequence[str] = CORPUS,
    pieces: int = 400,
    **changes: Any,
) -> str:
    """A model of `family` with the head of `task`, saved with a tokenizer of the corpus's words."""
    words = tokenizer(KINDS.get(family, "words"), corpus, pieces)
    config = AutoConfig.for_model(
        family,
        **{
            **(SIZES | DECODER_SIZES)[family],
            "vocab_size": len(words),
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "cls_token_id": 0,
            "sep_token_id": 2,
            "num_labels": 3,
            "problem_type": PROBLEMS.get(task),
            **changes,
        },
    )
    torch.manual_seed(0)
    head = getattr(transformers, HEADS[task])
    head.from_config(config, attn_implementation="eager").save_pretrained(path)
    words.save_pretrained(path)
    return str(path)
