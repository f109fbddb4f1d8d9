"""A grid's YAML: what may be left out, what is refused and where, and the runs that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from textleak.audit.setup import build_attack
from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError
from textleak.core.grid_config import GridConfig
from textleak.core.yaml_source import YamlSource
from textleak.defences import Defences
from textleak.grid.prepare import PreparedGrid, prepare_grid

Prepared = Callable[..., PreparedGrid]
LINE = "texts: [the cat sat .]\nmodels: [{model}]\n"


def test_one_value_stands_for_a_list_and_a_name_for_an_entry() -> None:
    config = GridConfig(texts=["a", "b"], models="m", attacks="dlg", defences="fp16", seeds=3)
    assert config.texts[0].sentences == ("a", "b")
    assert (config.models[0].name, config.attacks[0].name) == ("m", "dlg")
    assert (config.defences, config.seeds) == ((("fp16",),), (3,))


def test_every_combination_is_a_run_and_says_what_it_is(prepared: Prepared) -> None:
    grid = prepared(seeds=[0, 5], batch_sizes=[1, 2])
    assert grid.describe() == (
        "12 runs: 1 model, 1 attack, 2 defences, 2 batch sizes, 2 seeds, 2 updates"
    )
    assert len({run.key for run in grid.runs}) == 12
    second = next(r for r in grid.runs if (r.cell.seed, r.cell.index) == (5, 1))
    assert (second.config.seed, second.config.client_seed) == (6, 6)

    assert second.config.sentences == ("a dog ran !",)


def test_clients_of_a_grid_are_seeded_unless_it_says_otherwise(prepared: Prepared) -> None:
    drawn = [run.config.client_seed for run in prepared(client_seeded=False).runs]
    assert drawn == [None] * 4


def test_a_key_depends_on_what_a_result_depends_on_and_on_nothing_else(prepared: Prepared) -> None:
    def keys(**changes: object) -> set[str]:
        return {run.key for run in prepared(**changes).runs}

    base = keys()
    assert keys(title="other", threads=1, time_limit=9) == base
    assert keys(mask_rate=0.3) & base == set()
    assert keys(defences=["none", "fp16"]) & base == keys(defences=["none"])
    more = ["the cat sat on the mat .", "a dog ran !", "the cat ran ."]
    assert keys(texts=more) > base


def test_labels_go_with_classification_only(prepared: Prepared, classifier_folder: str) -> None:
    texts = {"sentences": ["the cat sat .", "a dog"], "classes": [2, 1]}
    grid = prepared(texts=texts, models=[classifier_folder], tasks=["classification"])
    assert [run.config.classes for run in grid.runs[:2]] == [(2,), (1,)]
    texts["classes"] = [3, 1]
    with pytest.raises(ConfigError, match=r"labels must lie between 0 and 2, got 3"):
        prepared(texts=texts, models=[classifier_folder], tasks=["classification"])


def test_texts_from_a_file_and_from_a_dataset(prepared: Prepared, tmp_path: Path) -> None:
    rows = [{"text": f"the {word} sat .", "label": 1} for word in ("cat", "dog", "mat")]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "validation.jsonl").write_text(lines)
    from_file = prepared(texts={"file": str(tmp_path / "validation.jsonl"), "count": 2})
    assert [run.config.sentences[0] for run in from_file.runs[:2]] == [
        *("the cat sat .", "the dog sat .")
    ]
    assert from_file.runs[0].cell.texts == "validation"
    told = {"dataset": str(tmp_path), "label_column": "label", "start": 1, "count": 2}
    from_dataset = prepared(texts=told)
    assert from_dataset.runs[0].config.sentences == ("the dog sat .",)
    with pytest.raises(ConfigError, match=r"unknown column of .* 'txt'; did you mean 'text'"):
        prepared(texts={**told, "column": "txt"})
    with pytest.raises(ConfigError, match="expected at least 9 texts from number 1, got 3"):
        prepared(texts={**told, "count": 9})


WRONG = {
    "atacks: [dlg]\n": r"grid.yaml:3: unknown key 'atacks'; did you mean 'attacks'",
    "attacks: [dgl]\n": r"grid.yaml:3: unknown attack 'dgl'; did you mean 'dlg'",
    "attacks:\n- dlg\n- nmae: dlg\n": r"grid.yaml:5: unknown key of attacks.1 'nmae'; did you .*'name'",
    "attacks:\n- name: dlg\n  options:\n    restart: 2\n": (
        r"grid.yaml:6: unknown option of dlg 'restart'; did you mean 'restarts'"
    ),
    "attacks:\n- name: dlg\n  options: {restarts: x}\n": r"grid.yaml:5: option of dlg: restarts: inp",
    "attacks:\n- {name: subspace, labels: joint}\n": r"grid.yaml:4: subspace does not choose how",
    "defences:\n- none\n- gausian\n": r"grid.yaml:5: unknown defence 'gausian'; did you .*'gaussian'",
    "defences:\n- [fp16, 'gaussian:sdt=1']\n": r"grid.yaml:4: unknown option of gaussian 'sdt'; did",
    "defences:\n- [fedavg, fedavg]\n": r"grid.yaml:4: fedavg was given twice",
    "shares: [nix*]\n": r"grid.yaml:3: no parameter of the model matches the shared patterns 'nix\*'",
    "tasks: [mml]\n": r"grid.yaml:3: tasks.0: unknown task 'mml'; did you mean 'mlm'\?",
    "seeds: []\n": r"grid.yaml:3: seeds: expected at least one, got none",
    "seeds: [0, 0]\n": r"grid.yaml:1: two runs of the grid are the same",
    "batch_sizes: 0\n": r"grid.yaml:3: batch_sizes.0: input should be greater than or equal to 1",
    "device: abacus\n": r"grid.yaml:3: unknown device 'abacus'",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_line(mlm_folder: str, text: str) -> None:
    source = YamlSource.parse(LINE.format(model=mlm_folder) + text, "grid.yaml")
    with pytest.raises(ConfigError, match=WRONG[text]):
        prepare_grid(source, workers=1)


WRONG_TEXTS = {
    "texts: []\n": r"grid.yaml:1: texts: expected at least one, got none",
    "models: [minilm]\n": r"grid.yaml:1: texts: it is missing",
    "texts: [{count: 1}]\n": r"grid.yaml:1: texts.0: expected one of sentences, file, dataset, got n",
    "texts:\n- {file: none.txt}\n": r"grid.yaml:2: cannot read sentences from 'none.txt'",
    "texts: ['a', ' ']\n": r"grid.yaml:1: sentences: text 2 is empty",
    "texts: [a]\nmodels:\n- minlm\n": r"grid.yaml:3: unknown model 'minlm'; did you mean 'minilm'",
    "texts: [a]\nmodels:\n- {name: minilm, activation: tnah}\n": r"grid.yaml:3: unknown activation",
    "texts:\n- {file: a.txt, colunm: x}\n": r"grid.yaml:2: unknown key of texts.0 'colunm'; did you",
}


@pytest.mark.parametrize("text", WRONG_TEXTS)
def test_wrong_texts_and_models(text: str) -> None:
    with pytest.raises(ConfigError, match=WRONG_TEXTS[text]):
        prepare_grid(YamlSource.parse(text, "grid.yaml"), workers=1)


def test_the_guides_example_is_valid() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "audits.md").read_text(encoding="utf-8")
    example = guide.split("```yaml\n")[1].split("```")[0]
    config = YamlSource.parse(example, "docs/audits.md").validated(GridConfig)
    assert {part.shown for part in config.texts} == {"ours", "lines", "cola"}
    for entry in config.attacks:
        build_attack(RunConfig(attack=entry.name, labels=entry.labels, options=entry.options))
    for specs in config.defences:
        Defences.parse(specs)


def test_too_many_runs_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    """The model and the texts do not exist: nothing looks for them."""
    axes = f"texts: {{file: {tmp_path}/no.txt}}\nmodels: {tmp_path}/no\n"
    seeds = f"seeds: {list(range(1001))}\nbatch_sizes: {list(range(1, 101))}\n"
    with pytest.raises(ConfigError, match="expected a grid of at most 100000 runs, got at least 1"):
        prepare_grid(YamlSource.parse(axes + seeds, "grid.yaml"), workers=1)
