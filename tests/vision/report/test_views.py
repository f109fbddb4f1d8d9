"""What the terminal shows, by exact text at a fixed width; and the files that a run leaves."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console, RenderableType
from torch import Tensor

from textleak.core.errors import ConfigError
from textleak.core.events import ImageFinished, ImageIteration, Started
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.core.verdict import alike
from textleak.report.replaying import show_again
from textleak.results.folder import RunFolder, SavedRun
from textleak.results.header import RunHeader
from textleak.results.history import ImageHistory
from textleak.results.pieces import Legend
from textleak.results.record import ImageRunRecord, OutcomeRecord
from textleak.vision.audit import UNKNOWN, ImageAudit, score
from textleak.vision.batch import ImageBatch
from textleak.vision.client import PrivateImages
from textleak.vision.pixels import encode_images
from textleak.vision.reconstruction import ImageCandidate, ImageReconstruction
from textleak.vision.record import image_record
from textleak.vision.report.figure import Frames, draw_figure
from textleak.vision.report.folder import keep_pictures
from textleak.vision.report.live import live_view, plain_line
from textleak.vision.report.preview import Gallery, HalfBlocks
from textleak.vision.report.progress import ImageProgress
from textleak.vision.report.screen import ImageScreen
from textleak.vision.report.views import history_table, scores_table, summary_view

HEADER = RunHeader(
    command="vision attack",
    attack="dlg",
    model="lenet",
    weights="random",
    activation="sigmoid",
    task="image",
    threat_model=ThreatModel(lengths=False),
    model_notes=("random weights, seed 0",),
)
STEPS = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])[None]  # (1, 3, 2)
TRUTH = torch.stack([torch.zeros(1, 12, 12), torch.ones(1, 12, 12)])


END = ImageFinished(
    evaluations=60,
    seconds=3,
    images=encode_images(TRUTH),
    labels=[1, 0],
    gradient_error=0,
    verified=True,
)


def shown(view: RenderableType, width: int = 60, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
    )
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().split("\n")
    return "\n".join(line.rstrip() for line in lines)


def iteration(number: int, images: Tensor, objective: float = 0.5) -> ImageIteration:
    return ImageIteration(
        stage="match",
        iteration=number,
        total=100,
        evaluations=20 * number,
        seconds=float(number),
        objective=objective,
        images=encode_images(images),
        labels=[1, 0],
    )


def progress(truth: Tensor | None = TRUTH) -> ImageProgress:
    state = ImageProgress(HEADER, truth, clock=lambda: 0.0)
    state.event(iteration(1, TRUTH.flip(0), 8.0))
    state.event(iteration(2, 0.9 * TRUTH.flip(0) + 0.1, 0.5))
    return state


def result(pixels: Tensor) -> ImageReconstruction:
    return ImageReconstruction(
        attack="dlg",
        candidate=ImageCandidate(ImageBatch(pixels, torch.tensor([1, 0])), 0.25, ("began anew",)),
        evaluations=40,
        seconds=2.0,
        gradient_error=2e-5,
        verdict=alike("proven", 2, 2e-5, ""),
        warnings=("a kink",),
    )


def record(pixels: Tensor, truth: list[int] | None) -> ImageRunRecord:
    """The record of a recovery of TRUTH, whose classes are `truth`, where it is known."""
    private = None if truth is None else PrivateImages(ImageBatch(TRUTH, torch.tensor(truth)))
    outcome = result(pixels)
    history = ImageHistory(every=2)
    for number in range(1, 6):
        history.event(iteration(number, TRUTH), [math.inf, 19.8], [1, 0])
    return image_record(HEADER, ImageAudit([score(outcome, private)]), [history.rows])


def test_half_blocks_shade_without_colours() -> None:
    assert shown(HalfBlocks(STEPS)) == "==\n++\n"
    assert shown(HalfBlocks(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]))) == " @\n"


def test_half_blocks_colour_two_pixels_a_character() -> None:
    first, second, _ = shown(HalfBlocks(STEPS), colour=True).split("\n")
    assert (
        first
        == "\x1b[38;2;0;0;0;48;2;255;255;255m▀\x1b[0m\x1b[38;2;255;255;255;48;2;0;0;0m▀\x1b[0m"
    )
    assert second == "\x1b[38;2;128;128;128m▀\x1b[0m\x1b[38;2;128;128;128m▀\x1b[0m"


@pytest.mark.parametrize("width", [20, 40, 200])
def test_a_gallery_stays_inside_its_width(width: int) -> None:
    images = torch.rand(8, 3, 32, 32)
    lines = shown(Gallery(images, images, ["x"] * 8), width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.count("x") for line in lines) == 8


def test_the_live_view_says_where_the_run_stands() -> None:
    assert shown(live_view(progress())).splitlines()[:10] == [
        "attack       dlg on lenet (image, random weights, sigmoid)",
        "attacker     known: model, task, batch size; not known:",
        "             labels; shared: all parameters",
        "weights      random weights, seed 0",
        "────────────────────────────────────────────────────────────",
        "stage        match                  2/100 0:02, at most 1:38",
        "                                          left",
        "objective    0.5  █▁  40 evaluations, 20.0 a second",
        "PSNR         19.8 dB, equal",
        "labels       0, 1",
    ]
    assert "starting" in shown(live_view(ImageProgress(HEADER)))


def test_without_the_truth_there_is_no_score() -> None:
    text = shown(live_view(progress(None)))
    assert "PSNR" not in text
    assert "truth" not in text


def test_a_plain_line_says_the_same_in_one_line() -> None:
    assert plain_line(progress()) == (
        "2.0 s  match 2/100  objective 0.5  40 evaluations  PSNR 19.8 dB, equal  labels 0, 1"
    )
    assert plain_line(ImageProgress(HEADER)) == "starting …"


def test_the_end_report_scores_every_image() -> None:
    whole = record(0.9 * TRUTH.flip(0) + 0.1, [0, 0])
    assert shown(scores_table(whole.images)).splitlines() == [
        "image     PSNR   SSIM       MSE  label  truth",
        "    0  20.0 dB  0.010  1.00e-02      0      0",
        "    1    equal  1.000  0.00e+00      1      0",
    ]
    assert shown(summary_view(whole)).splitlines() == [
        "────────────────────────────────────────────────────────────",
        "PSNR         20.0 dB to equal, median 20.0 dB",
        "labels       50% right",
        "verified     yes, relative gradient error 2.0e-05",
        "cost         40 evaluations in 2.0 s (0.050 s each)",
        "attack       dlg on lenet (image, random weights, sigmoid),",
        "             seed 0",
        "attacker     known: model, task, batch size; not known:",
        "             labels; shared: all parameters",
        "note         random weights, seed 0",
        "note         began anew",
        "warning      a kink",
    ]


def test_the_history_is_the_nearness_by_iteration() -> None:
    (update,) = record(TRUTH.flip(0), [0, 1]).batches
    assert shown(history_table(update.history)).splitlines() == [
        "iteration  objective  PSNR",
        "match 2          0.5  equal, 19.8 dB",
        "match 4          0.5  equal, 19.8 dB",
        "match 5          0.5  equal, 19.8 dB",
    ]
    blind = [row.model_copy(update={"psnr": []}) for row in update.history]
    assert shown(history_table(blind)).splitlines()[:2] == [
        "iteration  objective  labels",
        "match 2          0.5  1, 0",
    ]


def test_the_end_report_without_the_truth_has_labels_alone() -> None:
    assert shown(scores_table(record(TRUTH, None).images)).splitlines() == [
        "image  label",
        "    0      1",
        "    1      0",
    ]


def test_the_screen_prints_lines_where_it_cannot_redraw() -> None:
    console = Console(file=io.StringIO(), width=60, color_system=None)
    with ImageScreen(console, ImageProgress(HEADER), "plain", every=2) as screen:
        screen.begin(0, 1, TRUTH)
        for number in range(1, 4):
            screen.event(iteration(number, TRUTH))
        screen.event(END)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split("  ")[1] for line in lines if " s  match" in line] == [
        "match 2/100",
        "match 3/100",
    ]


def test_the_json_holds_no_infinity() -> None:
    whole = record(TRUTH.flip(0), [0, 1])
    again = json.loads(whole.to_json())
    assert ImageRunRecord.model_validate(again) == whole
    assert again["images"][1] == {
        "reference_label": 1,
        "recovered_label": 1,
        "mse": 0.0,
        "psnr": None,
        "ssim": 1.0,
        "label_match": True,
        "verified": True,
        "verdict": "proven",
    }
    assert (again["psnr"], again["mse"], again["label_match"], again["seed"]) == (None, 0.0, 1.0, 0)
    assert math.isclose(again["seconds_per_evaluation"], 0.05)


def test_the_json_says_as_much_as_the_text_halfs() -> None:
    data = json.loads(record(TRUTH.flip(0), [0, 1]).to_json())
    assert set(data) - {"images", "mse", "psnr", "ssim", "label_match"} == set(
        OutcomeRecord.model_fields
    ) - {"schema_version"} | {"schema", "batches"}
    assert data["notes"] == ["began anew"]
    (update,) = data["batches"]
    assert update["size"] == 2
    assert [row["iteration"] for row in update["history"]] == [2, 4, 5]
    assert update["history"][0]["psnr"] == [None, 19.8]


def test_a_class_that_is_not_known_is_not_scored() -> None:
    data = record(TRUTH.flip(0), [UNKNOWN, 1])
    assert [image.reference_label for image in data.images] == [None, 1]
    assert [image.label_match for image in data.images] == [None, True]
    assert data.label_match == 1.0
    blind = record(TRUTH, None)
    assert (blind.mse, blind.psnr, blind.label_match) == (None, None, None)


@pytest.mark.parametrize("length", [1, 5, 64, 65, 1000])
def test_frames_are_few_however_long_the_run(length: int) -> None:
    frames = Frames(most=64)
    for number in range(1, length + 1):
        frames.event(iteration(number, TRUTH))
    chosen = [number for number, _ in frames.chosen()]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(length, 8)
    assert chosen[-1] > 0.95 * length - 1


def test_the_figure_puts_the_recovery_beside_the_original() -> None:
    frames = [(1, TRUTH.flip(0)), (9, TRUTH)]
    figure = draw_figure(frames, TRUTH, TRUTH)
    assert figure.size == (4 + 4 * 100, 20 + 2 * 100)
    row = [figure.getpixel((50 + 100 * column, 168)) for column in range(4)]
    assert row == [(255, 255, 255)] * 4  # the second image is white, also in the flipped frame


def saved(folder: RunFolder) -> None:
    """A run on TRUTH in `folder`."""
    private = PrivateImages(ImageBatch(TRUTH, torch.tensor([0, 1])))
    frames = Frames()
    folder.start(HEADER, {"every": 2}, Legend())
    folder.begin(0, SharedUpdate({"w": torch.zeros(1)}, UpdateMetadata(task="image")))
    told = (Started(attack="dlg"), iteration(1, 0.6 * TRUTH.flip(0)), iteration(2, TRUTH), END)
    for event in told:
        folder.event(event)
        frames.event(event)
    keep_pictures(folder, score(result(TRUTH.flip(0)), private), frames, index=0, before=0)
    folder.finish(record(TRUTH.flip(0), [0, 1]))


def test_a_folder_holds_pictures_events_and_result(tmp_path: Path) -> None:
    saved(RunFolder(tmp_path / "run"))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "config.json",
        "events.jsonl",
        "figure.png",
        "original-0.png",
        "original-1.png",
        "recovered-0.png",
        "recovered-1.png",
        "result.json",
        "update.safetensors",
    }
    assert Image.open(tmp_path / "run" / "recovered-1.png").getpixel((0, 0)) == 255
    with pytest.raises(ConfigError, match="not empty"):
        RunFolder(tmp_path / "run")


def test_a_saved_run_is_shown_again_at_its_pace(tmp_path: Path) -> None:
    saved(RunFolder(tmp_path / "run"))
    run = SavedRun(tmp_path / "run")
    assert run.record == record(TRUTH.flip(0), [0, 1])
    console = Console(file=io.StringIO(), width=60, color_system=None)
    waits: list[float] = []
    show_again(run, console, "plain", 1, 2.0, waits.append)
    assert waits == [0.0, 0.5, 0.5, 0.5]
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines[0] == "attack       dlg on lenet (image, random weights, sigmoid)"
    steps = [line for line in lines if line.startswith(("1.0 s", "2.0 s"))]
    assert [line.split("PSNR ")[1] for line in steps] == [
        "equal, 8.0 dB  labels 0, 1",
        "equal, equal  labels 1, 0",
    ]
    assert "    1  equal  1.000  0.00e+00      1      1" in lines
    assert "verified     yes, relative gradient error 2.0e-05" in lines
