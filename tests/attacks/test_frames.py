"""`dlg` keeps the marks that a tokenizer puts around a text where they are, and knows where there are none."""

from pathlib import Path

import pytest
from families.folders import make_folder
from tokenizers import processors

from textleak.attacks.dlg.options import DlgOptions
from textleak.attacks.matching.facts import gather_facts
from textleak.client import Client, ClientOptions
from textleak.models import ModelOptions, load_model


@pytest.mark.parametrize("single", ["$A", "<s> $A", "<s> $A </s>"])
def test_what_is_free_is_the_text_alone(single: str, tmp_path: Path) -> None:
    model = load_model(ModelOptions(name=make_folder(tmp_path, "llama", "causal")), "causal")
    marks = [("<s>", 0), ("</s>", 2)]
    model.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[mark for mark in marks if mark[0] in single]
    )
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(["rain fell on"])
    facts = gather_facts(model, client.share(private), DlgOptions())
    ids = private.batch.input_ids[0]
    assert facts.free[0].tolist() == [int(i) not in (0, 2) for i in ids]
