"""Workers as Ray Serve replicas, one study at a time each, as many as are needed; only where it was asked for.

Ray moves no files: replicas and servers see the same data folder (a shared volume). Ray is not durable either: the
table of jobs stays the one place that knows what is to be done, and a replica that dies is like a local worker that
dies.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import InputError
from .runner import TICK, Event, Lost, ProcessRunner, Stopped
from .settings import ServerSettings

APPLICATION, DEPLOYMENT = "neckfrac", "StudyWorker"
LONGEST_SILENCE = 120.0  # seconds without a word of a replica; it says something every TICK


class StudyWorker:
    """A replica: one worker process, and the events of its jobs as a stream."""

    def __init__(self, command: list[str]) -> None:
        self._runner = ProcessRunner(command)
        self._cancelled: set[str] = set()

    def run(self, name: str, request: dict[str, Any]):
        """Do one job; yields [stage, fraction] now and then, at last the final event. name: of the attempt."""
        latest: list[Any] = ["", 0.0]
        ended: dict[str, Any] = {}

        def tick(stage: str, fraction: float) -> bool:
            latest[:] = stage, fraction
            return name not in self._cancelled

        def work() -> None:
            try:
                ended["event"] = self._runner.run(request, tick)
            except Lost:
                ended["event"] = {"event": "lost"}
            except Stopped:
                ended["event"] = {"event": "stopped"}

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(TICK)
                yield list(latest)
            yield ended["event"]
        finally:
            self._cancelled.add(name)  # whoever asked went away: nobody wants the result
            thread.join(10.0)
            self._cancelled.discard(name)

    def __del__(self) -> None:
        self._runner.close()


def application(command: list[str], replicas: int, least: int = 1, resources: dict[str, Any] | None = None) -> Any:
    """The Serve application: at least `least` and at most `replicas` workers, one study each."""
    from ray import serve

    deployment = serve.deployment(
        name=DEPLOYMENT,
        max_ongoing_requests=1,
        autoscaling_config={
            "min_replicas": least,
            "max_replicas": replicas,
            "target_ongoing_requests": 1,
            "upscale_delay_s": 2,
            "downscale_delay_s": 60,
        },
        ray_actor_options=resources or {"num_cpus": 1},
        graceful_shutdown_timeout_s=10,
    )(StudyWorker)
    return deployment.bind(command)


def build(arguments: dict[str, str]) -> Any:
    """For a Serve configuration file: ``import_path: neckfrac.server.ray_runner:build``; args: replicas, gpus."""
    import sys

    resources = {"num_cpus": float(arguments.get("cpus", 1)), "num_gpus": float(arguments.get("gpus", 0))}
    command = [sys.executable, "-m", "neckfrac.worker"]
    return application(command, int(arguments.get("replicas", 2)), int(arguments.get("least", 1)), resources)


class RayRunners:
    """Makes the dispatcher's runners; each sends its jobs to the cluster at ``settings.ray``.

    The application is taken as it is when it runs there already (KubeRay deploys it), and deployed otherwise.
    Raises InputError without Ray, or when the cluster can't be reached.
    """

    def __init__(self, settings: ServerSettings) -> None:
        try:
            import ray
            from ray import serve
        except ImportError as error:
            raise InputError(
                "--ray needs Ray, which is not installed.", advice="pip install 'neckfrac[ray]'"
            ) from error
        try:
            _knock(settings.ray)  # Ray itself would try for half a minute
            ray.init(address=settings.ray, namespace="serve", log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise InputError(
                f"The Ray cluster can't be reached ({type(error).__name__}).",
                where=settings.ray,
                advice="Check its address; NeckFrac starts no cluster by itself.",
            ) from error
        if APPLICATION not in serve.status().applications:
            command = list(settings.worker_command)
            serve.run(application(command, settings.workers), name=APPLICATION, route_prefix=None)
        self._handle = serve.get_app_handle(APPLICATION)

    def __call__(self) -> RayRunner:
        return RayRunner(self._handle)


def _knock(address: str) -> None:
    """Raises OSError when nobody listens at host:port or ray://host:port; other addresses are Ray's to judge."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class RayRunner:
    """One job at a time on some replica."""

    def __init__(self, handle: Any) -> None:
        self._stream = handle.options(stream=True)

    def warm(self, options: dict[str, Any]) -> None:
        """Replicas load the networks with their first study."""

    def run(self, request: dict[str, Any], tick: Callable[[str, float], bool]) -> Event:
        # A job may wait for a replica: the lease is renewed meanwhile, and cancelling works.
        words: list[Any] = []
        news = threading.Condition()
        answer = self._stream.run.remote(request["scratch"], request)

        def listen() -> None:
            try:
                for word in answer:
                    with news:
                        words.append(word)
                        news.notify()
                last = None
            except Exception as error:  # the replica died, or Ray did
                last = error
            with news:
                words.append(last)
                news.notify()

        threading.Thread(target=listen, daemon=True).start()
        stage, fraction, heard = "", 0.0, time.monotonic()
        while True:
            with news:
                if not words:
                    news.wait(TICK)
                arrived, words[:] = list(words), []
            for word in arrived:
                heard = time.monotonic()
                if isinstance(word, list):
                    stage, fraction = word
                elif isinstance(word, dict) and word["event"] == "stopped":
                    raise Stopped
                elif isinstance(word, dict) and word["event"] != "lost":
                    return word
                else:
                    raise Lost
            silent = stage and time.monotonic() - heard > LONGEST_SILENCE
            if not tick(stage, fraction) or silent:
                answer.cancel()
                raise Lost if silent else Stopped

    def close(self) -> None:
        """Replicas are the cluster's."""
