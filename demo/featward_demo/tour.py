"""The tour: its steps in the order in which they tell a story, each run and judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from featward_demo.errors import DemoError
from featward_demo.stack import Stack
from featward_demo.steps import Seen, Step, granted, moving, refused, running

STEPS = (
    Step("The manifests say what Feast serves", moving.manifests_fit),
    Step("Observe: a caller without a sidecar is answered and listed", moving.observed),
    Step("Enforce: one edit, and it is refused", moving.enforced),
    Step("Granted features are answered", granted.features),
    Step("A granted feature service, with a view on demand", granted.feature_service),
    Step("One feature too many is refused", granted.one_too_many),
    Step("One feature too many is left out, where the binding says strip", granted.stripped),
    Step("A caller without certificate", refused.without_certificate),
    Step("A caller from another environment", refused.from_another_environment),
    Step("A caller whose binding has expired", refused.expired),
    Step("A write", refused.write),
    Step("A batch above its limit", refused.too_many_rows),
    Step(
        "Certificates are renewed under load",
        running.rotation,
        "load until both sides have renewed twice",
    ),
    Step("The record of all this", running.record),
)


@dataclass(frozen=True)
class Outcome:
    """A step with what was seen."""

    number: int
    step: Step
    seen: Seen


def tour(
    stack: Stack, before: Callable[[int, Step], None] = lambda _, __: None
) -> Iterator[Outcome]:
    """Run every step, whatever became of the ones before; `before` is told which comes."""
    for number, step in enumerate(STEPS, start=1):
        before(number, step)
        yield Outcome(number, step, _run(step, stack))


def _run(step: Step, stack: Stack) -> Seen:
    try:
        return step.run(stack)
    except DemoError as error:
        return Seen(step.title, str(error), "the step could not be carried out", False, 0.0)
