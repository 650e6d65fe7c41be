"""The series and their page."""

import re
from pathlib import Path

from featward.kubernetes.queue import WorkQueue
from featward_operator.metrics import Metrics

PAGE = Path(__file__).parents[2] / "docs" / "operator.md"
# Of prometheus_client's own; the page names a few.
OF_THE_PROCESS = ("process_",)


def names(metrics: Metrics) -> set[str]:
    found = set()
    for family in metrics.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        found.add(f"{family.name}{suffix}")
    return {name for name in found if not name.startswith(OF_THE_PROCESS)}


def test_every_series_is_on_the_page_and_no_other() -> None:
    metrics = Metrics()
    text = PAGE.read_text("utf-8").partition("## Metrics")[2]
    told = set(re.findall(r"`((?:[a-z]+_)+[a-z]+)(?:\{[a-z,]+\})?`", text))
    told = {name for name in told if not name.startswith(OF_THE_PROCESS)} - {"requeue_after"}
    assert told - {"terminal_error"} == names(metrics)


async def test_work_under_way_is_told_as_of_the_moment() -> None:
    now, metrics = [0.0], Metrics()
    queue = WorkQueue[object](clock=lambda: now[0], watcher=metrics.queue("pod"))
    metrics.watch_queue("pod", queue)
    for key in ("a", "b"):
        queue.add(key)
    assert 'workqueue_depth{name="pod"} 2.0' in metrics.render().decode()
    await queue.get()
    now[0] = 3.0
    await queue.get()
    now[0] = 5.0
    text = metrics.render().decode()
    for line in (
        'workqueue_depth{name="pod"} 0.0',
        'workqueue_adds_total{name="pod"} 2.0',
        'workqueue_unfinished_work_seconds{name="pod"} 7.0',
        'workqueue_longest_running_processor_seconds{name="pod"} 5.0',
        'workqueue_queue_duration_seconds_sum{name="pod"} 3.0',
    ):
        assert line in text
    queue.done("a")
    assert 'workqueue_work_duration_seconds_sum{name="pod"} 5.0' in metrics.render().decode()


def test_a_list_that_is_made_again_is_told_with_its_cause() -> None:
    metrics = Metrics()
    metrics.relists.labels("pods", "expired").inc()
    line = 'featward_operator_watch_relists_total{cause="expired",resource="pods"} 1.0'
    assert line in metrics.render().decode()
