"""Names in a file are the model's after wrappers are taken off; another model's are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from textleak.core.errors import UpdateError
from textleak.core.update import UpdateMetadata
from textleak.models import TextModel
from textleak.updates import Stored, between, fitted
from textleak.updates.names import mapped

STACKS = [
    *("module.", "_orig_mod.", "_module.", "model.", "base_model.model.", "net."),
    *(
        "_orig_mod.module.",
        "module._module.",
        "module._orig_mod._module.",
        "base_model.model.model.",
        "a.b.module.",
    ),
]


def gradients(model: TextModel) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {n: torch.randn(p.shape, generator=draw) for n, p in model.parameters.items()}


def stored(tensors: dict[str, Tensor]) -> Stored:
    return Stored("u", "torch file", tensors)


@pytest.mark.parametrize("prefix", STACKS)
def test_wrappers_are_taken_off(prefix: str, mlm: TextModel) -> None:
    own = gradients(mlm)
    found = fitted(stored({prefix + name: g for name, g in own.items()}), mlm)
    assert found.update.gradients.keys() == own.keys()
    assert all(torch.equal(found.update.gradients[name], g) for name, g in own.items())
    assert found.notes == (
        f"names: {len(own)} of {len(own)} tensors mapped; {prefix} taken off",
    )  # fmt: skip


def test_names_of_the_models_own_need_no_word(mlm: TextModel) -> None:
    assert fitted(stored(gradients(mlm)), mlm).notes == ()


def test_wrappers_around_parts_are_taken_off(mlm: TextModel) -> None:
    own = gradients(mlm)
    odd = {n.replace("layer.", "layer._fsdp_wrapped_module."): g for n, g in own.items()}
    found = fitted(stored(odd), mlm)
    assert found.update.gradients.keys() == own.keys()
    assert "_fsdp_wrapped_module. taken off" in found.notes[0]


def test_an_encoder_alone_is_part_of_the_model(mlm: TextModel) -> None:
    own = {n: g for n, g in gradients(mlm).items() if n.startswith("bert.")}
    bare = {name.removeprefix("bert."): g for name, g in own.items()}
    assert fitted(stored(bare), mlm).update.gradients.keys() == own.keys()


def test_aliases_buffers_and_what_was_not_trained_are_left_out(mlm: TextModel) -> None:
    own = gradients(mlm)
    table = own["bert.embeddings.word_embeddings.weight"]
    more = {
        "cls.predictions.decoder.weight": table.clone(),
        "bert.embeddings.position_ids": torch.arange(24),
        "bert.pooler.dense.bias": torch.zeros(16),
    }
    found = fitted(stored({**own, **more}), mlm)
    assert found.update.gradients.keys() == own.keys()
    assert found.notes == (
        f"names: {len(own)} of {len(own) + 3} tensors mapped; 1 alias of a tied tensor, "
        "1 buffer left out, 1 that the model lacks is zero, left out",
    )


def test_an_alias_with_other_numbers_is_refused(mlm: TextModel) -> None:
    own = gradients(mlm)
    other = -own["bert.embeddings.word_embeddings.weight"]
    with pytest.raises(UpdateError, match="with other numbers, which are one tensor of the model"):
        fitted(stored({**own, "cls.predictions.decoder.weight": other}), mlm)


def test_another_model_is_refused(mlm: TextModel) -> None:
    own = gradients(mlm)
    with pytest.raises(UpdateError, match=r"'other.weight' is no parameter of the model"):
        fitted(stored({**own, "other.weight": torch.ones(2)}), mlm)
    wide = {name: torch.ones(*(2 * size for size in g.shape)) for name, g in own.items()}
    with pytest.raises(UpdateError, match="has shape"):
        fitted(stored(wide), mlm)


def arrays(module: nn.Module, order: str) -> list[Tensor]:
    own = module.state_dict() if order == "state dict" else dict(module.named_parameters())
    draw = torch.Generator().manual_seed(0)
    made = {id(p): torch.randn(p.shape, generator=draw) for p in module.parameters()}
    if order == "parameters":
        return [made[id(p)] for p in module.parameters()]
    tied = {n: id(p) for n, p in module.named_parameters(remove_duplicate=False)}
    return [made[tied[name]] if name in tied else value for name, value in own.items()]


@pytest.mark.parametrize("order", ["state dict", "parameters"])
def test_arrays_without_names_are_taken_in_order(order: str, mlm: TextModel) -> None:
    given = arrays(mlm.module, order)
    found = fitted(Stored("u", "npz", arrays=tuple(given)), mlm)
    expected = dict(zip(mlm.parameters, arrays(mlm.module, "parameters"), strict=True))
    assert found.update.gradients.keys() == expected.keys()
    assert all(torch.equal(found.update.gradients[n], g) for n, g in expected.items())
    assert found.notes == (f"{len(given)} arrays without names taken in the order of the {order}",)


def test_a_missing_array_leaves_its_place(mlm: TextModel) -> None:
    given: list[Tensor | None] = list(arrays(mlm.module, "parameters"))
    given[3] = None
    found = fitted(Stored("u", "npz", arrays=tuple(given)), mlm).update.gradients
    assert list(found) == [n for i, n in enumerate(mlm.parameters) if i != 3]


def test_arrays_that_do_not_fit_are_refused(mlm: TextModel) -> None:
    given = arrays(mlm.module, "parameters")
    with pytest.raises(UpdateError, match="it has 28 entries of the state dict, 26 parameters"):
        fitted(Stored("u", "npz", arrays=tuple(given[:4])), mlm)
    given[1], given[3] = given[3], given[1]
    with pytest.raises(UpdateError, match=r"array 2 has shape"):
        fitted(Stored("u", "npz", arrays=tuple(given)), mlm)


def trained(model: TextModel, names: list[str]) -> dict[str, Tensor]:
    after = {name: p.detach().clone() for name, p in model.parameters.items()}
    for name in names:
        after[name] += 0.01 * torch.arange(after[name].numel()).view_as(after[name]) / 100
    return after


def test_weights_are_taken_off_the_models(mlm: TextModel) -> None:
    moved = ["bert.embeddings.word_embeddings.weight", "cls.predictions.bias"]
    after = trained(mlm, moved)
    found = fitted(stored(after), mlm)
    assert found.kind == "weight delta"
    assert sorted(found.update.gradients) == sorted(moved)
    for name in moved:
        assert torch.equal(found.update.gradients[name], mlm.parameters[name] - after[name])
    assert f"{len(after) - 2} of {len(after)} tensors did not move" in found.notes[-1]


def test_two_checkpoints(mlm: TextModel) -> None:
    before = {name: p.detach().clone() for name, p in mlm.parameters.items()}
    after = trained(mlm, ["cls.predictions.bias"])
    pooler = {"bert.pooler.dense.bias": torch.ones(16)}
    found = between(stored({**before, **pooler}), stored({**after, **pooler}), mlm)
    assert list(found.update.gradients) == ["cls.predictions.bias"]
    assert (
        "before: 1 tensors of another head left out (first: bert.pooler.dense.bias)" in found.notes
    )
    with pytest.raises(UpdateError, match="the weights before and after are the same"):
        between(stored(before), stored(before), mlm)
    with pytest.raises(UpdateError, match="the weights before are not the model's"):
        between(stored(after), stored(before), mlm)
    with pytest.raises(UpdateError, match="does not hold the model's weights"):
        between(stored(before), stored(gradients(mlm)), mlm)


def test_the_models_own_weights_are_no_update(mlm: TextModel) -> None:
    with pytest.raises(UpdateError, match="holds the model's weights, not an update"):
        fitted(stored({name: p.detach() for name, p in mlm.parameters.items()}), mlm)


def test_facts_of_the_file_stay(mlm: TextModel) -> None:
    facts = UpdateMetadata(task="mlm", batch_size=2)
    assert fitted(Stored("u", "s", gradients(mlm), metadata=facts), mlm).update.metadata == facts


def test_one_name_alone_keeps_its_parts() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    assert mapped({"0.weight": torch.ones(2, 2)}, module, "u").tensors.keys() == {"0.weight"}
