"""A causal language model as a judge of how likely a text is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from textleak.core.errors import ModelError
from textleak.core.paths import is_folder
from textleak.models.fetching import fetched
from textleak.models.loading import first_line, local_only, quiet


class LanguagePrior:
    """The mean negative log-likelihood of texts under any causal language model.

    Args:
        module: the model.
        tokenizer: its tokenizer.
    """

    def __init__(self, module: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
        self.module, self.tokenizer = module.eval(), tokenizer

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Nats a token of each text, (n,); 0 for a text without tokens."""
        begin = self.tokenizer.bos_token_id
        lead = [] if begin is None else [int(begin)]
        rows = [[*lead, *self.tokenizer(t, add_special_tokens=False)["input_ids"]] for t in texts]
        width = max([2, *map(len, rows)])
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])  # (n, T)
        mask = (torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]).long()
        logits = self.module(input_ids=ids, attention_mask=mask).logits
        losses = F.cross_entropy(logits[:, :-1].mT.float(), ids[:, 1:], reduction="none")
        counted = mask[:, 1:]
        total: Tensor = (losses * counted).sum(1) / counted.sum(1).clamp_min(1)
        return total


def load_prior(name: str) -> LanguagePrior:
    """The causal language model called `name`: a local folder or a Hub id.

    Raises:
        ModelError: it cannot be loaded.
    """
    if name.startswith((".", "~", "/")) and not is_folder(name):
        raise ModelError(f"no language model folder at {name!r}")
    local = local_only(name)
    try:
        with quiet():
            tokenizer = fetched(AutoTokenizer, name, local=local)
            module = fetched(AutoModelForCausalLM, name, local=local)
    except (OSError, ValueError, KeyError) as error:
        where = "it is not here and the Hub does not answer" if local else first_line(error)
        if is_folder(name):
            where = first_line(error)
        raise ModelError(f"cannot load the language model {name!r}: {where}") from error
    return LanguagePrior(module, tokenizer)
