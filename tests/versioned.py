"""A small project of git and DVC whose data has versions, for tests of what reads them."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.cli import main
from dvc.logger import set_loggers_level
from dvc.repo import Repo

from dialogue.manifest import write_manifest
from dialogue.records import Dialogue, Split, Turn, content_digest, write_dialogues, write_rejects

ROOT = Path(__file__).parents[1]
REMOTE = "folder"
STAGES = """
stages:
  ingest:
    foreach: ${curriculum}
    do:
      cmd: "true"
      params: ["ingest.sources.${key}"]
      outs: ["data/records/${key}"]
      metrics: ["reports/ingest/${key}.json": {cache: false}]
  validate:
    foreach: ${curriculum}
    do:
      cmd: "true"
      deps: ["data/records/${key}"]
      outs: ["data/valid/${key}"]
  encode:
    foreach: ${curriculum}
    do:
      cmd: "true"
      deps: ["data/valid/${key}"]
      outs: ["data/encoded/${key}"]
  finetune:
    foreach: ${curriculum}
    do:
      cmd: "true"
      deps: ["data/encoded/${key}"]
      outs: ["models/${key}"]
  gate:
    cmd: "true"
    deps: [models]
    params: [curriculum]
    metrics: ["reports/verdict.json": {cache: false}]
"""


def dialogue(words: str, origin: str, split: Split = "train", label: str | None = None) -> Dialogue:
    """Two turns whose words give the id, as ingest makes them."""
    turns = (Turn("user", f"ask about {words}"), Turn("assistant", f"answer on {words}"))
    return Dialogue(
        id=content_digest(turns)[:16],
        turns=turns,
        domain="support",
        split=split,
        source="faq==1.0",
        origin=origin,
        licence="MIT",
        raw_digest="d" * 64,
        label=label,
    )


@dataclass(frozen=True)
class Versioned:
    """The project; `write` and `lock` make a version of `support`, `commit` gives it to git."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Versioned:
        path.mkdir(parents=True, exist_ok=True)
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["curriculum"] = {"support": {"after": "base"}}
        (path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        (path / "dvc.yaml").write_text(STAGES)
        shutil.copy(ROOT / ".gitignore", path)
        (path / ".dvc").mkdir()
        for name in ("config", ".gitignore"):
            shutil.copy(ROOT / ".dvc" / name, path / ".dvc")
        project = cls(path)
        project.git("init", "-q", "-b", "main")
        project.git("config", "user.name", "Test")
        project.git("config", "user.email", "test@example.org")
        return project

    def copied(self, path: Path) -> Versioned:
        """The same project elsewhere, to be changed."""
        shutil.copytree(self.path, path, symlinks=True)
        return Versioned(path)

    @property
    def valid(self) -> Path:
        return self.path / "data" / "valid" / "support"

    def write(self, dialogues: Iterable[Dialogue], candidate: str = "a" * 64) -> None:
        """Leave in the workspace what the stages would have left."""
        kept = list(dialogues)
        for name in ("records", "valid", "encoded"):
            folder = self.path / "data" / name / "support"
            shutil.rmtree(folder, ignore_errors=True)
            write_dialogues(folder / "dialogues.parquet", kept)
            write_rejects(folder / "rejects.parquet", ())
            write_manifest(folder)
        model = self.path / "models" / "support"
        model.mkdir(parents=True, exist_ok=True)
        (model / "manifest.json").write_text(json.dumps({"digest": candidate}))
        self.report("ingest/support", files=[{"name": "faq.json", "sha256": "d" * 64, "bytes": 9}])
        self.report("verdict", candidate={"domain": "support", "digest": candidate})

    def report(self, name: str, **content: Any) -> None:
        path = self.path / "reports" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def lock(self) -> None:
        """Take what lies in the workspace as what the stages made: dvc.lock and cache."""
        with contextlib.chdir(self.path), set_loggers_level(logging.CRITICAL), Repo() as repo:
            repo.commit(force=True)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def version(
        self, dialogues: Iterable[Dialogue], message: str, candidate: str = "a" * 64
    ) -> str:
        """A version from the stages to git; returns the commit."""
        self.write(dialogues, candidate)
        self.lock()
        return self.commit(message)

    def dvc(self, *words: str) -> int:
        """The `dvc` command, in this process for speed; returns its exit status."""
        with contextlib.chdir(self.path):
            status: int = main([*words, "--quiet"])
        return status

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def digest(self) -> str:
        """DVC's digest of the validated dialogues, as the workspace's dvc.lock names it."""
        lock = yaml.safe_load((self.path / "dvc.lock").read_text())
        digest: str = lock["stages"]["validate@support"]["outs"][0]["md5"]
        return digest

    def cached(self, name: str = "dialogues.parquet") -> Path:
        """A file of the validated dialogues as it lies in the cache."""
        digest = self.digest()
        cache = self.path / ".dvc" / "cache" / "files" / "md5"
        listed = json.loads((cache / digest[:2] / digest[2:]).read_text())
        (file,) = (entry["md5"] for entry in listed if entry["relpath"] == name)
        return cache / file[:2] / file[2:]
