"""What the service counts, for Prometheus; nothing of a study but numbers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = {"registry": self.registry}
        self._ended = Counter("neckfrac_jobs_ended", "Attempts that ended, by outcome.", ["outcome"], **made)
        buckets = (1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800)
        self._seconds = Histogram("neckfrac_job_seconds", "Seconds that an attempt took.", buckets=buckets, **made)
        self._states = Gauge("neckfrac_jobs", "Jobs in each state.", ["state"], **made)
        self._free = Gauge("neckfrac_disk_free_bytes", "Free bytes where the data lie.", **made)
        self.uploads = Counter("neckfrac_uploads", "Uploads, by how they were answered.", ["answer"], **made)
        self.upload_bytes = Counter("neckfrac_upload_bytes", "Bytes of uploads that were accepted.", **made)
        self.deliveries = Counter("neckfrac_deliveries", "Deliveries to the PACS, by outcome.", ["outcome"], **made)
        self.requests = Counter("neckfrac_requests", "Requests, by status.", ["status"], **made)

    def job_ended(self, outcome: str, seconds: float) -> None:
        self._ended.labels(outcome).inc()
        self._seconds.observe(seconds)

    def text(self, states: dict[str, int], free: int) -> bytes:
        """The exposition; states: jobs in each state, free: bytes."""
        from .database import CANCELLED, DONE, FAILED, UNFINISHED

        for state in (*UNFINISHED, DONE, FAILED, CANCELLED):
            self._states.labels(state).set(states.get(state, 0))
        self._free.set(free)
        return generate_latest(self.registry)
