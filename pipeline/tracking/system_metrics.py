"""Logs load and memory of the machine while a stage runs, if MLflow's own switch asks for it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tracking.stage import StageRun


@contextmanager
def system_metrics(run: StageRun) -> Iterator[None]:
    """Logs system metrics every 10 seconds if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING is true.

    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL sets another interval, as for MLflow itself.
    """
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").lower() not in ("true", "1"):
        yield
        return
    stop = Event()
    thread = Thread(target=watch, args=(run, stop), daemon=True, name="system metrics")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def watch(run: StageRun, stop: Event) -> None:
    """Logs what MLflow's sensors measure until `stop` is set; the step is the time in seconds.

    MLflow's own thread would send the values past the spool.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    sensors, is_last = SystemMetricsMonitor(run.key), False
    while not is_last:
        is_last = stop.wait(sensors.sampling_interval)
        sensors.collect_metrics()
        values = sensors.aggregate_metrics()
        run.log_metrics({f"system/{name}": v for name, v in values.items()}, int(time.time()))
        for monitor in sensors.monitors:
            monitor.clear_metrics()
