from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _lifelong_stream, _population
from benchmarks._kept import ROOT, code_of, state
from benchmarks._lifelong_stream import Sizes
from dialogue.config import Params, load_params

SIZES = Sizes(num_train=1, num_test=1, num_selected=1, max_tokens=64, pretrain_tokens=None)


def test_a_state_is_of_settings_and_code(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("1")
    first = state(["a"], [code])
    assert state(["a"], [code]) == first
    assert state(["b"], [code]) != first
    code.write_text("2")
    assert state(["a"], [code]) != first


def test_code_is_what_is_imported_directly_or_not() -> None:
    found = code_of("dialogue.encoding", but=["dialogue.records"])
    assert ROOT / "dialogue" / "encoding.py" in found
    assert ROOT / "dialogue" / "tokenization.py" in found
    assert ROOT / "dialogue" / "records.py" not in found
    assert all(file.exists() for file in found)
    settings = ROOT / "dialogue" / "config"
    assert settings / "data.py" in code_of("dialogue.model")
    assert not [
        f for f in code_of("dialogue.model", but=["dialogue.config"]) if settings == f.parent
    ]


def test_the_population_follows_from_what_learns_and_answers() -> None:
    code = {str(file.relative_to(ROOT)) for file in code_of("benchmarks._population")}
    learns = {"training.py", "objective.py", "packing.py", "encoding.py", "model.py", "llama.py"}
    assert {f"dialogue/{name}" for name in learns} <= code
    assert {"dialogue/metrics/likelihood.py", "benchmarks/_lifelong_stream.py"} <= code
    assert not {"dialogue/gates.py", "benchmarks/statistics.py"} & code, "what judges it"


def changed(params: Params, section: str, **changes: Any) -> Params:
    own = getattr(params, section).model_copy(update=changes)
    return params.model_copy(update={section: own})


def test_a_population_of_other_settings_or_code_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = load_params(Path("params.yaml"))
    made: list[Path] = []

    def examined(_: Sizes, folder: Path) -> dict[str, dict[str, np.ndarray]]:
        folder.mkdir(parents=True)
        made.append(folder)
        return {"chitchat": {"bits_per_byte": np.full((1, 4), float(len(made)))}}

    def value() -> float:
        found = _population.population(SIZES, tmp_path)
        return float(found["chitchat"]["bits_per_byte"][0, 0])

    monkeypatch.setattr(_population, "_examined", examined)
    old = tmp_path / SIZES.name / "population.npz"
    old.parent.mkdir()
    np.savez(old, **{"chitchat bits_per_byte": np.zeros((1, 4))})
    assert [value(), value()] == [1.0, 1.0]
    training = params.finetune.training.model_copy(update={"learning_rate": 1e-6})
    init = params.pretrain.init.model_copy(update={"member": "another.gguf"})
    for number, other in enumerate(
        (
            changed(params, "finetune", training=training),
            changed(params, "pretrain", init=init),
            changed(params, "evaluate", seed=params.evaluate.seed + 1),
        ),
        start=2,
    ):
        monkeypatch.setattr(_population, "load_params", lambda _, other=other: other)
        assert [value(), value()] == [number, number]
    monkeypatch.setattr(_population, "load_params", lambda _: params)
    assert value() == 1.0, "an earlier state is found again"
    code = tmp_path / "code.py"
    code.write_text("")
    monkeypatch.setattr(_lifelong_stream, "code_of", lambda *_, but: [code])
    assert [value(), value()] == [5.0, 5.0]
    code.write_text("pass")
    assert value() == 6.0
    assert len(set(made)) == 6
