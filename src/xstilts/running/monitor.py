"""The machine while a long training runs: MLflow's metrics of the system, on the training's run.

A thread of MLflow's reads processor, memory, disk and network twice a minute, and GPUs where the
extra `gpu` (nvidia-ml-py) is installed. What enters: a server and a run. A failure is one warning.
"""

from __future__ import annotations

from typing import Any

from xstilts.running.server import Server, spared

Monitor = Any  # MLflow's SystemMetricsMonitor, which has no types and is imported when needed
EVERY_S = 30.0


def start_monitor(server: Server, run: str) -> Monitor:
    """Begin, or go on after the last step that a resumed run has; None where it cannot."""
    with spared("the machine's metrics"):
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
            run, sampling_interval=EVERY_S, resume_logging=True, tracking_uri=server.uri
        )
        monitor.start()  # type: ignore[no-untyped-call]
        return monitor
    return None


def stop_monitor(monitor: Monitor) -> None:
    """End the thread; what it had not sent is sent."""
    with spared("the end of the machine's metrics"):
        monitor.finish()
