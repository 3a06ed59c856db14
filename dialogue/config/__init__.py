"""Every type of params.yaml: one frozen model per section, validated once at a step's entry."""

from __future__ import annotations

from dialogue.config.data import DataRule, Gather, RuleName, Validate
from dialogue.config.judging import Evaluate, Gate, Rule
from dialogue.config.learning import Adapters, Finetune, Freeze, Pretrain, StrategyName, Training
from dialogue.config.loading import load_params
from dialogue.config.params import Lesson, Params
from dialogue.config.release import Promote, Serve
from dialogue.config.sources import (
    FileSource,
    FolderModel,
    HubModel,
    HubSource,
    ModelSource,
    ScratchModel,
    Source,
    WheelModel,
    WheelSource,
)

__all__ = [
    "Adapters",
    "DataRule",
    "Evaluate",
    "FileSource",
    "Finetune",
    "FolderModel",
    "Freeze",
    "Gate",
    "Gather",
    "HubModel",
    "HubSource",
    "Lesson",
    "ModelSource",
    "Params",
    "Pretrain",
    "Promote",
    "Rule",
    "RuleName",
    "ScratchModel",
    "Serve",
    "Source",
    "StrategyName",
    "Training",
    "Validate",
    "WheelModel",
    "WheelSource",
    "load_params",
]
