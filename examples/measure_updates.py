"""Updates as training really makes them, each attacked: a table of what comes back and what is proven.

python examples/measure_updates.py                            # a BERT preset, one sentence
python examples/measure_updates.py --model minilm --task mlm --sentences 4 --only delta
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from textleak.attacks import ATTACKS
from textleak.audit import PrivateText, audit_update
from textleak.client import Client, ClientOptions
from textleak.core.errors import TextleakError
from textleak.core.update import UpdateMetadata
from textleak.models import ModelOptions, TextModel, load_model
from textleak.updates import fitted, read

SENTENCES = [
    "The committee approved the new budget after a long debate.",
    "My sister moved to Boston last summer with her two cats.",
    "The film is a charming and funny story about growing old.",
    "Call me at the office before noon if the test results arrive.",
]
Tensors = dict[str, Tensor]
Make = Callable[[Path], Path]


def safetensors(tensors: Tensors) -> Make:
    def make(folder: Path) -> Path:
        save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "u.safetensors")
        return folder / "u.safetensors"

    return make


def numpy(tensors: Tensors, named: bool) -> Make:
    def make(folder: Path) -> Path:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        np.savez(folder / "u.npz", **arrays) if named else np.savez(
            folder / "u.npz", *arrays.values()
        )
        return folder / "u.npz"

    return make


def torch_file(content: object) -> Make:
    def make(folder: Path) -> Path:
        torch.save(content, folder / "u.pt")
        return folder / "u.pt"

    return make


def stepped(model: TextModel, g: Tensors, rate: float) -> Tensors:
    """The weights after one step of SGD."""
    return {name: p.detach() - rate * g[name] for name, p in model.parameters.items()}


def optimiser_state(model: TextModel, g: Tensors) -> object:
    """AdamW's state after one step."""
    copies = [torch.nn.Parameter(p.detach().clone()) for p in model.parameters.values()]
    for copy, name in zip(copies, model.parameters, strict=True):
        copy.grad = g[name].clone()
    optimiser = torch.optim.AdamW(copies, lr=5e-5)
    optimiser.step()
    return optimiser.state_dict()


def grid(model: TextModel, g: Tensors) -> Iterator[tuple[str, Make]]:
    """Every kind of update, by what it is called."""
    norm = sum(float(t.double().square().sum()) for t in g.values()) ** 0.5
    factors = {"plain": 1.0, "sign": -1.0, "sum of 4": 4.0, "loss scale 65536": 65536.0}
    factors |= {"clipped to 0.1": 0.1 / norm, "rate 2e-5": 2e-5}
    for what, factor in factors.items():
        yield f"scale: {what}", safetensors({n: factor * t for n, t in g.items()})
    for prefix in ("module.", "_orig_mod.", "_module.", "base_model.model.", "module._orig_mod."):
        yield f"prefix: {prefix}", safetensors({prefix + n: t for n, t in g.items()})
    yield "container: .npz", numpy(g, named=True)
    yield "container: .npz without names", numpy(g, named=False)
    yield "container: .pt", torch_file({"gradients": g})
    yield "container: list in .pt", torch_file(list(g.values()))
    every = model.module.named_parameters(remove_duplicate=False)
    first = {id(p): n for n, p in model.parameters.items()}
    yield "alias: tied names twice", torch_file({n: g[first[id(p)]] for n, p in every})
    yield "optimiser: AdamW's state", torch_file(optimiser_state(model, g))
    for rate in (1e-1, 1e-2, 1e-3, 1e-4, 2e-5):
        yield f"delta: rate {rate:g}", safetensors(stepped(model, g, rate))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--task", default="classification")
    parser.add_argument("--sentences", type=int, default=1, choices=range(1, len(SENTENCES) + 1))
    parser.add_argument("--attack", default="auto")
    parser.add_argument("--only", default="", help="kinds that begin so")
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), given.task)
    texts = SENTENCES[: given.sentences]
    labels = [i % 2 for i in range(len(texts))] if model.task.labelled else None
    client = Client(model, ClientOptions(seed=0))
    shared = client.share(client.prepare(texts, labels))
    g = dict(shared.gradients)
    known = {key: getattr(shared.metadata, key) for key in ("task", "batch_size", "lengths")}
    kind = ATTACKS.load(given.attack)
    print(f"{given.attack} on {given.model} ({given.task}), {len(texts)} sentences")
    for what, make in grid(model, g):
        if not what.startswith(given.only):
            continue
        with TemporaryDirectory() as folder:
            try:
                update = fitted(read(make(Path(folder))), model).update
                facts = update.metadata.model_dump() | known
                stated = type(update)(update.gradients, UpdateMetadata.model_validate(facts))
                attack = kind(kind.options_class())
                found = audit_update(model, attack, stated, truth=PrivateText(texts, labels))
                match = found.mean("token_match") or 0.0
                print(f"{what:32} {match:6.1%}  {found.verdict}", flush=True)
            except TextleakError as error:
                print(f"{what:32} refused  {error}", flush=True)


if __name__ == "__main__":
    main()
