"""The registered model as MLflow runs it: this file travels in every version, and loads alone.

It imports what the version's requirements name and nothing of the project, so that
`mlflow.pyfunc.load_model("models:/perennial@champion")` answers a chat wherever those are
installed, years from now as well. MLflow's ready-made chat classes change from one release to the
next (`ChatModel` is deprecated in 3.x); `PythonModel` with a signature of its own does not.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)


class ChatModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answers OpenAI's chat completion requests, one at a time."""

    def load_context(self, context: Any) -> None:
        """Load the model folder, once every byte of it is the one that was registered.

        Raises:
            ValueError: a file is missing or damaged.
        """
        folder = Path(context.artifacts["model"])
        self.digest = _verify(folder)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answer one request: `messages`, and optionally temperature, top_p and max_tokens.

        Args:
            context: MLflow's; its model_config holds the settings that a request leaves out.
            model_input: the request, which MLflow has made a table of one row.
            params: unused; everything stands in the request.

        Returns:
            An OpenAI chat completion.

        Raises:
            ValueError: there is no message to answer.
        """
        del params
        request = _request(model_input)
        messages = [{"role": m["role"], "content": m["content"]} for m in request["messages"]]
        if not messages:
            raise ValueError("messages: empty; give at least one turn of the user")
        settings = {**context.model_config, **request}
        prompt = torch.tensor([self._prompt(messages, int(settings["max_tokens"]))])
        penalty = _Penalty(settings["repetition_penalty"], self.tokenizer.all_special_ids)
        with torch.inference_mode():
            written = self.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                logits_processor=LogitsProcessorList([penalty]),
                **_sampling(settings),
            )
        return self._completion(written[0, prompt.shape[1] :], prompt.shape[1])

    def _prompt(self, messages: list[dict[str, str]], max_tokens: int) -> list[int]:
        """Token ids up to where the reply begins, as the server reads them.

        Special tokens that stand in a message are spelled out, so that nobody can forge a turn; of
        what does not fit beside the reply the oldest turns go, then the beginning of what is left.
        """
        turns = [
            self._ids(f"<|im_start|>{message['role']}\n", framing=True)
            + self._ids(message["content"], framing=False)
            + self._ids("<|im_end|>\n", framing=True)
            for message in messages
        ]
        opening = self._ids("<|im_start|>assistant\n", framing=True)
        room = self.model.config.max_position_embeddings - max_tokens - len(opening)
        if room < 1:
            raise ValueError(f"max_tokens: {max_tokens} leave no room for a message")
        while len(turns) > 1 and sum(map(len, turns)) > room:
            del turns[0]
        return [token for turn in turns for token in turn][-room:] + opening

    def _ids(self, text: str, *, framing: bool) -> list[int]:
        found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not framing)
        return list(found["input_ids"])

    def _completion(self, tokens: torch.Tensor, num_prompt: int) -> dict[str, Any]:
        """The reply's tokens, of shape (num_reply,), as OpenAI spells them."""
        num_reply = len(tokens)
        ended = num_reply > 0 and int(tokens[-1]) == self.model.generation_config.eos_token_id
        reply = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.digest,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": reply},
                    "finish_reason": "stop" if ended else "length",
                }
            ],
            "usage": {
                "prompt_tokens": num_prompt,
                "completion_tokens": num_reply,
                "total_tokens": num_prompt + num_reply,
            },
        }


def _request(model_input: pd.DataFrame) -> dict[str, Any]:
    """The request without what it leaves open, which a table spells NaN or None."""
    request = model_input.iloc[0]
    return {str(k): v for k, v in request.items() if k == "messages" or not pd.isna(v)}


class _Penalty(LogitsProcessor):
    """Transformers' repetition penalty, which spares special tokens: a reply must still end."""

    def __init__(self, penalty: float, special: list[int]) -> None:
        self._penalise = RepetitionPenaltyLogitsProcessor(float(penalty))
        self._special = special

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores [1, V] after input_ids [1, T]."""
        penalised: torch.FloatTensor = self._penalise(input_ids, scores.clone())
        penalised[:, self._special] = scores[:, self._special]
        return penalised


def _sampling(settings: dict[str, Any]) -> dict[str, Any]:
    temperature = float(settings["temperature"])
    sampling: dict[str, Any] = {
        "max_new_tokens": int(settings["max_tokens"]),
        "do_sample": temperature > 0,
    }
    if temperature > 0:
        # The models' own `top_k`, 50 where they say nothing, is none of the server's settings.
        sampling |= {"temperature": temperature, "top_p": float(settings["top_p"]), "top_k": 0}
    return sampling


def _verify(folder: Path) -> str:
    """The folder's digest, every file checked against manifest.json."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name, expected in manifest["files"].items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise ValueError(f"{folder / name}: damaged: its SHA-256 is not the manifest's")
    lines = "".join(f"{sha}  {name}\n" for name, sha in sorted(manifest["files"].items()))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    if digest != manifest["digest"]:
        raise ValueError(f"{folder / 'manifest.json'}: damaged: the digest does not fit its files")
    return digest


mlflow.models.set_model(ChatModel())
