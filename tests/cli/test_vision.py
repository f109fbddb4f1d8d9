"""`textleak vision attack` from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.vision.attacks import IMAGE_ATTACKS
from textleak.vision.models import ImageModelOptions, load_image_model
from textleak.vision.pixels import to_picture

QUICK = ("--classes", 4, "--set", "iterations=2")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A gray gradient of 12 pixels a side."""
    path = tmp_path / "pictures" / "cat" / "one.png"
    path.parent.mkdir(parents=True)
    to_picture(torch.linspace(0, 1, 12).expand(1, 12, 12)).save(path)
    return path


def test_a_picture_is_attacked_shown_and_written(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    done = textleak("vision", "attack", "--image", picture, "--classes", 4, "--save", "run")
    assert done.code == 0, done.err
    assert "dlg on lenet (image, random weights, sigmoid)" in done.out
    assert "verified     yes" in done.out
    assert "attacker     known: model, task, batch size; not known: labels" in done.out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["images"][0]["psnr"] > 40
    assert (tmp_path / "run" / "figure.png").stat().st_size > 500
    refused = textleak("invert", "run/update.safetensors")
    assert refused.code == 2
    assert "textleak vision invert run/update.safetensors" in refused.err
    again = textleak("vision", "invert", "run/update.safetensors", "--save", "again", "--json", "-")
    assert again.code == 0, again.err
    found = json.loads(again.out)
    assert (found["command"], found["model"], found["verified"]) == ("vision invert", "lenet", True)
    assert found["images"][0]["recovered_label"] == result["images"][0]["reference_label"]
    assert found["images"][0]["reference_label"] is found["psnr"] is found["label_match"] is None
    assert found.keys() == result.keys()
    assert found["threat_model"] == result["threat_model"]
    assert not (tmp_path / "again" / "original-0.png").exists()


def test_a_run_is_configured_by_yaml_under_the_command_line(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(
        f"image: {picture}\nclasses: 4\nlabels: [3]\nattack: idlg\noptions: {{iterations: 2}}\n"
        "max_evaluations: 1\nseed: 5\n"
    )
    done = textleak("vision", "attack", "-c", "run.yaml", "--seed", 6, "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["attack"], found["seed"], found["stopped"]) == ("idlg", 6, "budget")
    assert found["options"]["iterations"] == 2
    assert found["images"][0]["reference_label"] == 3
    (tmp_path / "wrong.yaml").write_text("image: a.png\natack: dlg\n")
    refused = textleak("vision", "attack", "-c", "wrong.yaml")
    assert refused.code == 2
    assert "wrong.yaml" in refused.err
    assert "did you mean 'attack'" in refused.err


def test_capture_writes_what_attack_would_share(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    given = ("--image", picture, "--label", 1, "--classes", 4, "--client-seed", 3)
    done = textleak("vision", "capture", *given, "-o", "u.safetensors")
    assert done.code == 0, done.err
    assert "gradients" in done.err + done.out
    kept = ("--save", "run", "--quiet", "--max-evaluations", 1)
    assert textleak("vision", "attack", *given, *kept).code == 0
    captured = SharedUpdate.load(tmp_path / "u.safetensors")
    attacked = SharedUpdate.load(tmp_path / "run" / "update.safetensors")
    assert captured.metadata == attacked.metadata
    assert captured.gradients.keys() == attacked.gradients.keys()
    for name, gradient in captured.gradients.items():
        assert torch.equal(gradient, attacked.gradients[name])
    told = textleak("inspect", "u.safetensors")
    assert told.code == 0, told.err
    assert "header: task image" in told.out
    assert "textleak vision invert u.safetensors" in told.out
    refused = textleak("vision", "capture", "-o", "none.safetensors")
    assert refused.code == 2
    assert not (tmp_path / "none.safetensors").exists()


def test_pictures_are_updates_of_their_own_and_shown_again(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    to_picture(torch.linspace(1, 0, 12).expand(1, 12, 12)).save(picture.with_name("two.png"))
    to_picture(torch.full((1, 12, 12), 0.5)).save(picture.with_name("three.png"))
    given = ("--data", picture.parents[1], "--count", 3, "--batch-size", 2, *QUICK)
    done = textleak("vision", "attack", *given, "--client-seed", 0, "--save", "run", "--json", "-")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert [update["size"] for update in record["batches"]] == [2, 1]
    assert len(record["images"]) == 3
    assert record["evaluations"] == sum(update["evaluations"] for update in record["batches"])
    assert all(update["history"] for update in record["batches"])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {f"{name}-{i}.png" for name in ("original", "recovered") for i in range(3)} < names
    assert {"figure.png", "figure-2.png", "update.safetensors", "update-2.safetensors"} < names
    for command in (("replay",), ("vision", "replay")):
        shown = textleak(*command, "run", "--speed", 0)
        assert shown.code == 0, shown.err
        assert "update 2 of 2" in shown.out
        assert "PSNR" in shown.out
        assert "dlg on lenet (image, random weights, sigmoid)" in shown.out
    alone = textleak("vision", "invert", "run/update-2.safetensors", *QUICK[2:], "--json", "-")
    assert json.loads(alone.out)["batches"][0]["size"] == 1


def test_one_failed_update_leaves_the_others(
    textleak: Callable[..., Any], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_picture(torch.linspace(1, 0, 12).expand(1, 12, 12)).save(picture.with_name("two.png"))
    kind = IMAGE_ATTACKS.load("analytic")
    run, errors = kind.run, iter([ValueError("cannot convert float NaN"), None])

    def sometimes(self: Any, *given: Any) -> Any:
        error = next(errors)
        if error is not None:
            raise error
        return run(self, *given)

    monkeypatch.setattr(kind, "run", sometimes)
    given = ("--data", picture.parents[1], "--count", 2, "-m", "mlp", "-a", "analytic")
    done = textleak("vision", "attack", *given, "--save", "run", "--json", "r.json", "--quiet")
    assert done.code == 1
    record = json.loads(Path("r.json").read_text())
    failure = "ValueError: cannot convert float NaN"
    assert record["failures"] == [failure]
    assert [batch["failure"] for batch in record["batches"]] == [failure, None]
    assert [image["recovered_label"] is None for image in record["images"]] == [True, False]
    assert record["images"][0]["mse"] is None
    assert record["mse"] == record["images"][1]["mse"] < 1e-9
    assert not record["verified"]
    assert f"failed: {failure}" in done.out
    shown = textleak("vision", "replay", "run", "--speed", 0)
    assert failure in shown.out


def captured(textleak: Callable[..., Any], picture: Path) -> str:
    """An update of one picture of class 1."""
    given = ("--image", picture, "--label", 1, *QUICK, "--save", "run")
    assert textleak("vision", "attack", *given, "--quiet").code == 0
    return "run/update.safetensors"


def test_an_update_is_scored_against_a_reference(
    textleak: Callable[..., Any], picture: Path
) -> None:
    update = captured(textleak, picture)
    quick = ("--set", "iterations=2", "--json", "-")
    for known, own in ((True, ("--label", 1)), (False, ())):
        done = textleak("vision", "invert", update, "--reference", picture, *own, *quick)
        (image,) = json.loads(done.out)["images"]
        assert image["mse"] > 0
        assert image["reference_label"] == (1 if known else None)
        assert (image["label_match"] is None) != known


def test_gradients_of_ones_own_training_are_attacked(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    whole = SharedUpdate.load(tmp_path / captured(textleak, picture))
    replace(whole, metadata=UpdateMetadata()).save(tmp_path / "mine.safetensors")
    base = ("vision", "invert", "mine.safetensors", "--set", "iterations=2", "--json", "-")
    assert "does not say its model: give --model" in textleak(*base).err
    lenet = ("--model", "lenet", "--classes", 4)
    assert "give --shape, as 1,28,28" in textleak(*base, *lenet).err
    assert "--shape expects" in textleak(*base, *lenet, "--shape", "1,12").err
    assert "has shape" in textleak(*base, *lenet, "--shape", "1,16,16").err
    done = textleak(*base, *lenet, "--shape", "1,12,12", "--batch-size", 1)
    assert done.code == 0, done.err
    assert json.loads(done.out)["task"] == "image"


def test_gradients_and_checkpoints_in_any_container_are_attacked(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    whole = SharedUpdate.load(tmp_path / captured(textleak, picture))
    options = ImageModelOptions(name="lenet", shape=(1, 12, 12), classes=4)
    before = {n: p.detach().clone() for n, p in load_image_model(options).parameters.items()}
    after = {name: weight - 0.5 * whole.gradients[name] for name, weight in before.items()}
    torch.save({f"module.{n}": g for n, g in whole.gradients.items()}, "g.pt")
    np.savez("g.npz", **{name: g.numpy() for name, g in whole.gradients.items()})
    torch.save(before, "before.pt")
    torch.save(after, "after.pt")
    stated = ("--model", "lenet", "--classes", 4, "--shape", "1,12,12", "--json", "-")
    deltas = ("--before", "before.pt", "--after", "after.pt", "--protocol", "lr=0.5")
    for given, kind in (
        (("g.pt",), "gradient"),
        (("g.npz",), "gradient"),
        (deltas, "weight delta"),
    ):
        done = textleak("vision", "invert", *given, *stated, "--reference", picture)
        assert done.code == 0, done.err
        record = json.loads(done.out)
        assert record["update"]["kind"] == kind
        assert record["images"][0]["psnr"] > 40
        assert record["verified"]
    assert record["defences"] == ["fedavg:steps=1,rate=0.5"]
    refused = textleak("vision", "invert", "g.pt", *deltas[:4], *stated)
    assert refused.err == "textleak: give an update, or --before and --after, not both\n"


def test_what_does_not_fit_an_update_is_one_line(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path, mlm_folder: str
) -> None:
    update = captured(textleak, picture)
    textleak("capture", "-s", "the cat", "--model", mlm_folder, "-o", "text.safetensors")
    whole = SharedUpdate.load(tmp_path / update)
    recipe = whole.metadata.model
    assert recipe is not None
    elsewhere = whole.metadata.model_copy(
        update={"model": recipe.model_copy(update={"name": str(tmp_path)})}
    )
    replace(whole, metadata=elsewhere).save(tmp_path / "elsewhere.safetensors")
    for arguments, complaint in [
        (("text.safetensors",), "textleak invert text.safetensors"),
        (("none.safetensors",), "no update at"),
        ((update, "--weights-seed", 3), "made with other weights"),
        ((update, "--batch-size", 3), "states 1 pictures"),
        ((update, "--attack", "dgl"), "did you mean 'dlg'"),
        ((update, "--reference", "none.png"), "no picture at 'none.png'"),
        (("elsewhere.safetensors",), "is opened only where you name it: give --model"),
    ]:
        done = textleak("vision", "invert", *arguments)
        assert done.code == 2, arguments
        assert complaint in done.err
        assert done.err.count("\n") == 1


def test_the_lists_know_pictures_and_name_layers_that_can_be_shared(
    textleak: Callable[..., Any], picture: Path
) -> None:
    attacks = textleak("list", "image-attacks").out
    assert [line.split()[0] for line in attacks.splitlines()[1:]] == list(IMAGE_ATTACKS)
    assert "dlg: iterations" in textleak("list", "image-options").out
    models = textleak("list", "image-models").out
    assert "layers, as --share names them: 0, 2, 4, 7" in models
    pages = Path(__file__).parents[2]
    said = "".join(
        (pages / name).read_text("utf-8") for name in ("docs/vision.md", "docs/defences.md")
    )
    (shared,) = set(re.findall(r"--share '(\S+)'", said.split("## Threat model")[0]))
    (withheld,) = re.findall(r"vision attack .*'(withhold:pattern=\S+)'", said)
    for option in (("--share", shared), ("--defence", withheld)):
        assert textleak("vision", "attack", "--image", picture, *QUICK, *option, "-q").code == 0


def test_json_on_standard_output_stands_alone(textleak: Callable[..., Any], picture: Path) -> None:
    done = textleak(
        "vision", "attack", "--data", picture.parents[1], *QUICK,
        "--defence", "pruning:ratio=0.1", "--defence", "fp16", "--json", "-",
    )  # fmt: skip
    record = json.loads(done.out)
    assert record["command"] == "vision attack"
    assert record["task"] == "image"
    assert record["defences"] == ["prune:ratio=0.1,scope=tensor", "fp16"]
    assert record["threat_model"]["labels"] is False
    assert set(record["images"][0]) == {
        "reference_label", "recovered_label", "mse", "psnr", "ssim", "label_match",
        "verified", "verdict",
    }  # fmt: skip
    assert "match" in done.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--image", "none.png"], "no picture at 'none.png'"),
        (["--index", "3"], "give one of --image FILE"),
        (["--dataset", "minst"], "did you mean 'mnist'"),
        (["--attack", "dgl"], "unknown image attack 'dgl'; did you mean 'dlg'"),
        (["--set", "restart=2"], "unknown option of dlg 'restart'; did you mean 'restarts'"),
        (["--set", "restarts=0"], "option of dlg: restarts"),
        (["--model", "lenat"], "did you mean 'lenet'"),
        (["--activation", "relu"], "unknown activation 'relu'"),
        (["--defence", "noise"], "unknown defence 'noise'"),
        (["--label", "9"], "labels must lie between 0 and 3"),
        (["--share", "none*"], "no parameter of the model matches"),
        (["--device", "tpu9"], "unknown device 'tpu9'; did you mean"),
    ],
)
def test_what_is_wrong_is_one_line(
    textleak: Callable[..., Any], picture: Path, arguments: list[str], complaint: str
) -> None:
    given = {"--image", "--dataset", "--index"} & set(arguments)
    own = [] if given else ["--image", picture]
    done = textleak("vision", "attack", *own, *QUICK, *arguments)
    assert done.code == 2
    assert complaint in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_help_lists_the_options(textleak: Callable[..., Any]) -> None:
    done = textleak("vision", "attack", "--help")
    assert done.code == 0
    for option in ("--image", "--data", "--dataset", "--index", "--batch-size", "--save"):
        assert option in done.out
