"""What `/metrics` tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Measures:
    """Counters of one service, in a registry of its own so that a process may hold several."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter("ieast_requests", "Answered requests.", ("route", "status"), registry=self.registry)
        self.seconds = Histogram(
            "ieast_request_seconds", "From first byte to answer.", ("route",), registry=self.registry, buckets=_SECONDS
        )
        self.stages = Histogram(
            "ieast_stage_seconds",
            "Of a stylization: waiting, decoding, styles, stylizing, encoding.",
            ("stage",),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.admitted = Gauge("ieast_admitted", "Stylizations read, waiting or computed now.", registry=self.registry)
        self.cached_bytes = Gauge("ieast_style_cache_bytes", "What encoded styles take.", registry=self.registry)
        self.lookups = Counter("ieast_style_cache_lookups", "Looks into the cache.", ("result",), registry=self.registry)
        self.model = Gauge("ieast_model_info", "The model that answers.", ("name", "version", "digest"), registry=self.registry)
        self.changes = Counter("ieast_model_changes", "Newly promoted models.", ("result",), registry=self.registry)

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self.registry)
