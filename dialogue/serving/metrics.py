"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from dialogue.serving.jobs import Job
from dialogue.serving.served import Served
from dialogue.serving.store import Answer

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter(
            "perennial_requests",
            "Requests by path and status",
            ["path", "status"],
            registry=registry,
        )
        self.ratings = Counter(
            "perennial_ratings",
            "Replies rated, by their version; a changed mind counts anew",
            ["opinion", "version"],
            registry=registry,
        )
        self.swap_failures = Counter(
            "perennial_swap_failures", "Champions that could not be loaded", registry=registry
        )
        self._replies = Counter(
            "perennial_replies",
            "Replies by how they ended",
            ["finish", "version"],
            registry=registry,
        )
        self._read = Counter("perennial_prompt_tokens", "Tokens read", registry=registry)
        self._written = Counter("perennial_reply_tokens", "Tokens written", registry=registry)
        self._seconds = Histogram(
            "perennial_reply_seconds",
            "From request to last token",
            buckets=_SECONDS,
            registry=registry,
        )
        self._first = Histogram(
            "perennial_first_text_seconds",
            "From request to first text",
            buckets=_SECONDS,
            registry=registry,
        )
        self._model = Info("perennial_model", "The model that is served", registry=registry)
        self._waiting = Gauge("perennial_jobs_waiting", "Replies not yet begun", registry=registry)
        self._running = Gauge("perennial_jobs_running", "Replies being written", registry=registry)

    def answered(self, job: Job, answer: Answer) -> None:
        """Count a reply."""
        self._replies.labels(answer.finish_reason, answer.version).inc()
        self._read.inc(answer.num_prompt_tokens)
        self._written.inc(answer.num_tokens)
        if answer.finish_reason != "cancelled":
            self._seconds.observe(answer.seconds)
        if job.first_seconds is not None:
            self._first.observe(job.first_seconds)

    def failed(self, job: Job) -> None:
        """Count a reply that broke off or could not be kept."""
        self._replies.labels("failed", job.served.version).inc()

    def watch(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        """Ask these for the queue's length whenever the metrics are read."""
        self._waiting.set_function(waiting)
        self._running.set_function(running)

    def exposition(self, served: Served) -> bytes:
        """The text format of Prometheus."""
        self._model.info({"name": served.name, "version": served.version, "digest": served.digest})
        return generate_latest(self._registry)
