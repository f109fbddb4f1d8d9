"""Updates as training really makes them, each attacked: a table of what comes back and what is proven.

python examples/measure_updates.py                            # a BERT preset, one sentence
python examples/measure_updates.py --model minilm --task mlm --sentences 4 --only delta
python examples/measure_updates.py --model minilm --sentences 4 --only adamw --attack subspace --data FILE --skip 40
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from textleak.attacks import ATTACKS
from textleak.audit import PrivateText, audit_update
from textleak.client import Client, ClientOptions
from textleak.core.batch import TokenBatch
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
Kind = Callable[..., torch.optim.Optimizer]


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


def trained(
    model: TextModel, batch: TokenBatch, kind: Kind, steps: int, minibatch: int, **how: float
) -> Tensors:
    """The weights after local steps over a batch, by torch's own optimiser; the model is left as it was."""
    before = {name: p.detach().clone() for name, p in model.parameters.items()}
    optimiser = kind(list(model.parameters.values()), **how)
    for step in range(steps):
        optimiser.zero_grad()
        rows = [(step * minibatch + i) % len(batch.input_ids) for i in range(minibatch)]
        model.loss(batch.take(rows)).backward()
        optimiser.step()
    after = {name: p.detach().clone() for name, p in model.parameters.items()}
    optimiser.zero_grad()
    with torch.no_grad():
        for name, parameter in model.parameters.items():
            parameter.copy_(before[name])
    return after


def averaged(parts: list[Tensors]) -> Tensors:
    """The mean of several clients' weights, as a server has it."""
    return {n: torch.stack([part[n] for part in parts]).mean(0) for n in parts[0]}


def local_grid(model: TextModel, batch: TokenBatch) -> Iterator[tuple[str, Make]]:
    """What local training leaves, without any state of the optimiser."""
    count = len(batch.input_ids)
    adamw, sgd = torch.optim.AdamW, torch.optim.SGD
    for decay in (0.0, 0.01):
        after = trained(model, batch, adamw, 1, count, lr=5e-5, weight_decay=decay)
        yield f"adamw: first step, decay {decay:g}", safetensors(after)
    if count == 1:
        return
    half = count // 2
    for steps, rate in ((2, 1e-3), (2, 1e-4), (8, 1e-4)):
        after = trained(model, batch, sgd, steps, half, lr=rate)
        yield f"fedavg: {steps} steps of {half}, rate {rate:g}", safetensors(after)
    clients = [batch.take(list(rows)) for rows in (range(half), range(half, count))]
    each = [trained(model, one, sgd, 1, len(one.input_ids), lr=1e-3) for one in clients]
    yield f"clients: 2 of {half}, averaged, rate 0.001", safetensors(averaged(each))


def grid(model: TextModel, g: Tensors) -> Iterator[tuple[str, Make]]:
    """Every kind of update of one step, by what it is called."""
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


def sentences(data: Path | None, skip: int, count: int) -> list[str]:
    """Those of a file of lines of JSON with the key `text`; the ones above where there is none."""
    if data is None:
        return SENTENCES[skip : skip + count]
    lines = data.read_text(encoding="utf-8").splitlines()[skip : skip + count]
    return [json.loads(line)["text"] for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--task", default="classification")
    parser.add_argument("--sentences", type=int, default=1)
    parser.add_argument("--data", type=Path, help="lines of JSON with the key text")
    parser.add_argument("--skip", type=int, default=0, help="sentences of it")
    parser.add_argument("--attack", default="auto")
    parser.add_argument("--only", default="", help="kinds that begin so")
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), given.task)
    texts = sentences(given.data, given.skip, given.sentences)
    labels = [i % 2 for i in range(len(texts))] if model.task.labelled else None
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(texts, labels)
    shared = client.share(private)
    g = dict(shared.gradients)
    known = {key: getattr(shared.metadata, key) for key in ("task", "batch_size", "lengths")}
    kind = ATTACKS.load(given.attack)
    print(f"{given.attack} on {given.model} ({given.task}), {len(texts)} sentences")
    for what, make in chain(grid(model, g), local_grid(model, private.batch)):
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
