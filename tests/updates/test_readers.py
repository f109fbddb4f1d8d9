"""Every reader gives back the tensors that a library's own writer wrote; a wrong file is one line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from textleak.core.errors import UpdateError
from textleak.updates import READERS, read

Tensors = dict[str, Tensor]
TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.0, -2.0])}


def _sharded(tensors: Tensors, folder: Path) -> Path:
    places = {}
    for number, (name, tensor) in enumerate(tensors.items()):
        places[name] = f"part-{number}.safetensors"
        save_file({name: tensor}, folder / places[name])
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def _saved(name: str, save: Callable[[Path], Any]) -> Callable[[Tensors, Path], Path]:
    def make(_: Tensors, folder: Path) -> Path:
        save(folder / name)
        return folder / name

    return make


def _folder(name: str, save: Callable[[Path], Any]) -> Callable[[Tensors, Path], Path]:
    def make(_: Tensors, folder: Path) -> Path:
        save(folder / name)
        return folder

    return make


def _torch(content: Any, **how: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path, **how)


NUMPY = {name: tensor.numpy() for name, tensor in TENSORS.items()}
NAMED: dict[str, Callable[[Tensors, Path], Path]] = {
    "safetensors": _saved("u.safetensors", lambda path: save_file(TENSORS, path)),
    "index": _sharded,
    "npz": _saved("u.npz", lambda path: np.savez(path, **NUMPY)),
    "compressed npz": _saved("u.npz", lambda path: np.savez_compressed(path, **NUMPY)),
    "state dict": _saved("u.pt", _torch(TENSORS)),
    "older torch": _saved("u.bin", _torch(TENSORS, _use_new_zipfile_serialization=False)),
    "checkpoint": _saved("u.ckpt", _torch({"epoch": 1, "state_dict": TENSORS, "lr": [0.1]})),
    "among numbers": _saved("u.pt", _torch({**TENSORS, "rate": 0.1})),
    "no suffix": _saved("update", _torch(TENSORS)),
    "folder": _folder("model.safetensors", lambda path: save_file(TENSORS, path)),
    "adapter": _folder("adapter_model.safetensors", lambda path: save_file(TENSORS, path)),
    "older folder": _folder("pytorch_model.bin", _torch(TENSORS)),
    "folder of one": _folder("global.pt", _torch(TENSORS)),
}
ORDERED: dict[str, Callable[[Tensors, Path], Path]] = {
    "flower": _saved("u.npz", lambda path: np.savez(path, *NUMPY.values())),
    "list": _saved("u.pt", _torch(list(TENSORS.values()))),
    "tuple": _saved("u.pt", _torch(tuple(TENSORS.values()))),
    "inside": _saved("u.pt", _torch({"round": 3, "gradients": list(TENSORS.values())})),
}


@pytest.mark.parametrize("what", NAMED)
def test_named_tensors_come_back(what: str, tmp_path: Path) -> None:
    stored = read(NAMED[what](TENSORS, tmp_path))
    assert stored.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(stored.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert stored.count == 2


@pytest.mark.parametrize("what", ORDERED)
def test_a_list_keeps_its_order(what: str, tmp_path: Path) -> None:
    stored = read(ORDERED[what](TENSORS, tmp_path))
    assert not stored.tensors
    assert len(stored.arrays) == 2
    for array, tensor in zip(stored.arrays, TENSORS.values(), strict=True):
        assert torch.equal(array, tensor)


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "u.npz", *[np.array([float(i)]) for i in range(12)])
    assert [float(a) for a in read(tmp_path / "u.npz").arrays] == [float(i) for i in range(12)]


class _Code:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was run",))


def _wrong(folder: Path) -> dict[str, Path]:
    """Files that are refused, by what is wrong."""
    (folder / "empty").mkdir()
    for name, content in {"code.pt": {"a": _Code()}, "code.bin": [_Code()]}.items():
        torch.save(content, folder / name)
    (folder / "bare.pt").write_bytes(pickle.dumps(_Code()))
    np.savez(folder / "objects.npz", a=np.array([_Code()], dtype=object))
    np.savez(folder / "text.npz", a=np.array(["a"]))
    torch.save({"a": 1, "b": "x"}, folder / "numbers.pt")
    torch.save("text", folder / "text.pt")
    whole = NAMED["state dict"](TENSORS, folder).read_bytes()
    (folder / "half.pt").write_bytes(whole[: len(whole) // 2])
    whole = NAMED["npz"](TENSORS, folder).read_bytes()
    (folder / "half.npz").write_bytes(whole[: len(whole) // 2])
    for name, weights in {
        "out": {"a": "../u.safetensors"},
        "lost": {"a": "no.safetensors"},
    }.items():
        (folder / f"{name}.index.json").write_text(json.dumps({"weight_map": weights}))
    (folder / "odd.index.json").write_text("[1]")
    for name in ("u.pt", "u.npz"):
        (folder / name).unlink()
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("code.pt", "not a whole file of tensors"),
        ("code.bin", "not a whole file of tensors"),
        ("bare.pt", "not a whole file of tensors"),
        ("objects.npz", "pickled arrays are not read"),
        ("text.npz", "expected numbers"),
        ("numbers.pt", "holds no tensors by name: got a, b"),
        ("text.pt", "holds str"),
        ("half.pt", "not a whole"),
        ("half.npz", "not a whole"),
        ("out.index.json", "which is not beside it"),
        ("lost.index.json", "no update at"),
        ("odd.index.json", "no index of a checkpoint"),
        ("empty", "no one file of weights"),
    ],
)
def test_a_wrong_file_is_one_line(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match=said) as caught:
        read(_wrong(tmp_path)[name])
    assert "\n" not in str(caught.value)


def test_nothing_at_a_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match="no update at"):
        read(tmp_path / "nothing.npz")


@pytest.mark.parametrize("name", READERS.names())
def test_a_reader_says_what_it_reads(name: str) -> None:
    assert READERS.load(name).says
