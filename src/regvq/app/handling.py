"""From a function of this package to an event of the page, with its limits and its sentences."""

import html
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from regvq.app.turns import Report, StoppedError, Worker
from regvq.errors import RegvqError

POLL = 0.25
"""Seconds between two looks at a computation: so soon a place is free when its visitor leaves."""

Task = Callable[..., Any]
"""Takes a ``Report`` and the inputs' values as the page sends them, and returns the outputs' values."""


def ask(
    trigger: Callable[..., Any],
    worker: Worker,
    task: Task,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    name: str,
) -> Any:
    """Lets an event compute something in a turn of the worker.

    Inputs come as the page sends them (``preprocess=False``): gradio would decode an upload itself, without
    this package's limits, and download what a visitor names.

    Args:
        trigger: of a component, such as ``button.click``.
        worker: computes one turn at a time.
        task: what is computed.
        inputs: components whose values it takes.
        outputs: components that get what it returns.
        name: of the event, for programs that visit the page.

    Returns:
        The event, which another one may cancel.
    """

    def handle(progress: gr.Progress = gr.Progress(), *values: Any) -> Iterator[Any]:  # noqa: B008 - gradio's way
        turn = worker.start(lambda report: task(report, *values))
        try:
            while not turn.wait(POLL):
                progress(turn.done, desc="working")
                yield gr.skip()  # a cancelled event ends here
            yield turn.result()
        except RegvqError as error:
            raise gr.Error(
                html.escape(str(error)), title="This cannot be done", print_exception=False
            ) from None
        except StoppedError:
            raise gr.Error("this was stopped", print_exception=False) from None
        except Exception:
            traceback.print_exc()  # for whoever runs the server; a visitor is told nothing of its inside
            raise gr.Error(
                "the server could not do this; others are not affected", print_exception=False
            ) from None
        finally:
            turn.stop()

    return trigger(
        handle,
        inputs=list(inputs),
        outputs=list(outputs),
        preprocess=False,
        concurrency_id="model",
        concurrency_limit=1,
        api_name=name,
        show_progress_on=list(outputs[:1]),
    )


def at_once(task: Callable[..., Any]) -> Task:
    """A task that has no steps to report."""

    def run(report: Report, *values: Any) -> Any:
        report(0.0)
        return task(*values)

    return run
