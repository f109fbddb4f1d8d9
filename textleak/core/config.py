"""One validated object that says everything about a run on texts: command line over YAML over defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textleak.core.bounds import MOST_STEPS, Classes, Seed
from textleak.core.feed import Feed, RowLength
from textleak.core.loss import Function, LossOptions, Reduction, Smoothing, Weights
from textleak.core.option import ATTACK, CLIENT, MODEL, SHOW, TEXT, Option
from textleak.core.run_options import RunOptions
from textleak.core.task_names import TextTaskName
from textleak.core.threat_model import ThreatModel
from textleak.core.validation import validated

Labels = Literal["joint", "analytic", "known"]
Initial = Literal["pretrained", "random"]


class RunConfig(RunOptions):
    """What is attacked, how, and what the attacker is granted. Each field's `Option` says what it is.

    The sentences are one batch unless `batch_size` says otherwise. `protocol` goes before `defences`,
    which go in their order. `determined` is looked at where the truth is known.
    """

    SOURCES: ClassVar[tuple[str, ...]] = ("sentences", "file")
    WITH_SOURCE: ClassVar[tuple[str, ...]] = ("classes",)

    sentences: Annotated[
        tuple[str, ...],
        Option("A private sentence; repeat for a batch.", TEXT, ("--sentence", "-s")),
    ] = ()
    file: Annotated[
        str | None, Option("Sentences: .txt, one a line, or .jsonl with text and label.", TEXT)
    ] = None
    batch_size: Annotated[
        int | None, Field(ge=1), Option("Consecutive sentences an update; default all.", TEXT)
    ] = None
    classes: Annotated[
        tuple[int, ...] | None,
        Option("A sentence's class; repeat. Drawn if absent.", TEXT, ("--class",)),
    ] = None
    pair: Annotated[bool, Option("Texts are two segments: a tab between, or text_pair.", TEXT)] = (
        False
    )
    packed: Annotated[bool, Option("Texts run on in rows of --max-length tokens.", TEXT)] = False
    special_tokens: Annotated[
        bool,
        Option(
            "Whether the tokenizer's frame stands around a text.",
            TEXT,
            ("--special-tokens/--no-special-tokens",),
        ),
    ] = True
    max_length: Annotated[RowLength | None, Option("Tokens to cut a text to.", TEXT)] = None
    model: Annotated[
        str, Option("minilm, a preset (bert-mini …), a folder, a Hub id.", MODEL, ("-m",))
    ] = "minilm"
    weights: Annotated[Initial, Option("random: BERT's own initialisation.", MODEL)] = "pretrained"
    num_labels: Annotated[Classes | None, Option("Classes of the classification head.", MODEL)] = (
        None
    )
    adapter: Annotated[
        str | None, Option("Train this alone: lora:rank=8, or an adapter's folder.", MODEL)
    ] = None
    adapter_steps: Annotated[
        int,
        Field(ge=0, le=MOST_STEPS),
        Option("Train it on public text first; default 0.", MODEL),
    ] = 0
    adapter_seed: Annotated[Seed, Option("Seeds the adapter's weights.", MODEL)] = 0
    task: Annotated[
        TextTaskName, Option("What the client trains; see textleak list tasks.", MODEL)
    ] = "mlm"
    loss_reduction: Annotated[Reduction, Option("Over what bears loss; default mean.", CLIENT)] = (
        "mean"
    )
    label_smoothing: Annotated[
        Smoothing, Option("Spread so much of each target over all.", CLIENT)
    ] = 0.0
    class_weights: Annotated[
        Weights | None, Option("Of each class in the loss, as 1,2.5,1.", CLIENT)
    ] = None
    loss_function: Annotated[
        Function | None,
        Option("Your own loss of an item, as module:function.", CLIENT, ("--loss",)),
    ] = None
    dropout: Annotated[
        bool, Option("The client trains with dropout on.", CLIENT, ("--dropout/--no-dropout",))
    ] = False
    mask_rate: Annotated[
        float, Field(gt=0, le=1), Option("Fraction of tokens to predict; default 0.15.", CLIENT)
    ] = 0.15
    labels: Annotated[
        Labels | None, Option("How labels are found; known grants them and masks.", ATTACK)
    ] = None
    determined: Annotated[
        bool,
        Option(
            "Whether to say what each update determines, found or not; default yes.",
            SHOW,
            ("--determined/--no-determined",),
        ),
    ] = True

    @property
    def loss(self) -> LossOptions:
        """How the client's loss is taken."""
        return LossOptions(
            reduction=self.loss_reduction,
            smoothing=self.label_smoothing,
            weights=self.class_weights,
            function=self.loss_function,
        )

    @property
    def feed(self) -> Feed:
        """How texts become what the model is fed."""
        return validated(
            Feed,
            {
                "pairs": self.pair,
                "packed": self.packed,
                "special_tokens": self.special_tokens,
                "max_length": self.max_length,
            },
        )

    @property
    def threat_model(self) -> ThreatModel:
        """What the attacker is granted by this configuration, before its defences."""
        known = self.labels == "known"
        return ThreatModel(
            labels=known, masked_positions=known, dropout=self.dropout, shared=self.share
        )
