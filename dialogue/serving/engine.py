"""One thread that writes replies: a bounded queue in front, several replies side by side."""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Callable, Iterable

from dialogue.config import Serve
from dialogue.decoding import Batch
from dialogue.generation import Reply, prompt_room, special_ids
from dialogue.serving.jobs import Event, Failed, Job, Question, QueueFullError
from dialogue.serving.loading import Loaded
from dialogue.serving.served import Served
from dialogue.serving.store import Answer

logger = logging.getLogger(__name__)


class Engine:
    """Answers questions with the current model, oldest first.

    At most `settings.max_queue` jobs wait or run, at most `settings.max_batch` run together.
    `record` is called in the engine's thread with every answer before it is delivered; what it
    raises as OSError fails that answer only. `failed` is called with every job whose reply broke
    off or could not be kept.
    """

    def __init__(
        self,
        loaded: Loaded,
        settings: Serve,
        record: Callable[[Job, Answer], None],
        failed: Callable[[Job], None],
    ) -> None:
        self._settings = settings
        self._record = record
        self._failed = failed
        self._loaded = loaded
        self._batch = _batch(loaded)
        self._writer = loaded
        """Whose replies are in the batch; differs from `_loaded` until they have ended."""
        self._waiting: collections.deque[Job] = collections.deque()
        self._joining: list[Job] = []
        self._running: dict[int, Job] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._mean_seconds = 1.0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def served(self) -> Served:
        """The model that answers the next question."""
        return self._loaded.served

    @property
    def alive(self) -> bool:
        """Whether questions are being answered."""
        return self._thread.is_alive() and not self._closed

    @property
    def num_waiting(self) -> int:
        """Jobs that nobody works on yet."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Jobs whose replies are being written."""
        return len(self._joining) + len(self._running)

    def submit(self, question: Question, deliver: Callable[[Event], None]) -> Job:
        """Queue a question; `deliver` is called in the engine's thread.

        Raises:
            QueueFullError: `max_queue` jobs wait or run already.
        """
        with self._changed:
            if self.num_waiting + self.num_running >= self._settings.max_queue:
                rounds = self.num_waiting / self._settings.max_batch + 1
                raise QueueFullError(max(1, round(self._mean_seconds * rounds)))
            job = Job(question, self.served, deliver)
            self._waiting.append(job)
            self._changed.notify()
        return job

    def swap(self, loaded: Loaded) -> None:
        """Answer the next questions with another model; replies that have begun end with theirs."""
        with self._changed:
            self._loaded = loaded
            self._changed.notify()

    def close(self) -> None:
        """End every reply where it stands, and the thread."""
        with self._changed:
            self._closed = True
            for job in self._jobs():
                job.cancel()
            self._changed.notify()
        self._thread.join()

    def _jobs(self) -> list[Job]:
        return [*self._waiting, *self._joining, *list(self._running.values())]

    def _work(self) -> None:
        while self._await_work():
            try:
                self._forget()
                if self._writer is not self._loaded and not self._running:
                    self._writer = self._loaded
                    self._batch = _batch(self._writer)
                if self._writer is self._loaded:
                    self._admit()
                self._step()
            except Exception:
                # One broken reply must not end the thread that writes all the others.
                logger.exception("writing replies failed; those that had begun are given up")
                self._give_up("the model failed while it wrote this reply; try again")
                self._batch = _batch(self._writer)

    def _await_work(self) -> bool:
        """Sleep until there is something to do; False once the engine is closed and all done."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._jobs() or self._closed or self._writer is not self._loaded
            )
            return bool(self._jobs()) or not self._closed

    def _forget(self) -> None:
        """Finish waiting jobs that were cancelled: they would keep others out of the queue."""
        with self._changed:
            cancelled = [job for job in self._waiting if job.cancelled]
            for job in cancelled:
                self._waiting.remove(job)
        for job in cancelled:
            self._finish(job)

    def _admit(self) -> None:
        """Let waiting jobs join, as far as the batch has room."""
        with self._changed:
            room = self._settings.max_batch - len(self._batch)
            while self._waiting and len(self._joining) < room:
                self._joining.append(self._waiting.popleft())
        prompts = []
        for job in list(self._joining):
            # The model may have changed while the job waited.
            if refusal := self._writer.served.refusal(job.question.model):
                self._joining.remove(job)
                job.hand(Failed(refusal, is_gone=True))
                continue
            job.served = self._writer.served
            prompts.append(_begin(job, self._writer, self._settings.max_prompt_tokens))
        if self._joining:
            keys = self._batch.add(prompts, [job.question.sampling for job in self._joining])
            self._running.update(zip(keys, self._joining, strict=True))
            self._joining.clear()

    def _step(self) -> None:
        """One token for every running job."""
        self._leave(key for key, job in self._running.items() if job.cancelled)
        for key, token in self._batch.step().items():
            job = self._running[key]
            assert job.reply is not None
            job.say(job.reply.push(token))
            if job.reply.finish_reason == "stop":
                job.was_cut = token not in special_ids(self._writer.tokenizer)
        self._leave(key for key, job in self._running.items() if _ended(job))

    def _leave(self, keys: Iterable[int]) -> None:
        leaving = {key: self._running[key] for key in list(keys)}
        self._batch.drop(leaving.keys())
        for key, job in leaving.items():
            del self._running[key]
            self._finish(job)

    def _finish(self, job: Job) -> None:
        """Keep the answer, then deliver it."""
        answer = job.answer()
        try:
            self._record(job, answer)
        except OSError:
            logger.exception("the reply %s could not be kept", job.id)
            self._fail(job, "the reply could not be kept; try again later")
            return
        if answer.finish_reason != "cancelled":
            self._mean_seconds += (answer.seconds - self._mean_seconds) / 8
        job.hand(answer)

    def _give_up(self, message: str) -> None:
        with self._changed:
            given_up = [*self._joining, *self._running.values()]
            self._joining.clear()
            self._running.clear()
        for job in given_up:
            self._fail(job, message)

    def _fail(self, job: Job, message: str) -> None:
        self._failed(job)
        job.hand(Failed(message))


def _batch(loaded: Loaded) -> Batch:
    return Batch(loaded.model, special_ids(loaded.tokenizer))


def _begin(job: Job, loaded: Loaded, max_prompt_tokens: int) -> list[int]:
    """Give the job an empty reply; returns its prompt, without the oldest turns if need be."""
    positions: int = loaded.model.config.max_position_embeddings
    max_new_tokens = min(job.question.sampling.max_new_tokens, positions // 2)
    room = min(prompt_room(loaded.model, max_new_tokens), max_prompt_tokens)
    prompt = loaded.encoder.prompt(job.question.history, room)
    job.num_prompt_tokens = len(prompt)
    job.reply = Reply(loaded.tokenizer, max_new_tokens, job.question.stop)
    return prompt


def _ended(job: Job) -> bool:
    return job.reply is not None and job.reply.finish_reason is not None
