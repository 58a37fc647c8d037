"""What ends a training before its time."""

from regvq.errors import RegvqError


class NonFiniteError(RegvqError):
    """A loss term or a gradient is NaN or infinite: the weights are not worth saving."""


class DivergedError(RegvqError):
    """A loss term has exploded: the weights are not worth saving."""


class CollapsedError(RegvqError):
    """All tokens have become one code: the weights are not worth saving."""


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """Unwinds the trainer at a point where everything has been saved.

    Lightning turns a ``KeyboardInterrupt`` into an exit of the process; this passes through.
    """


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C ended the training; its text says how to go on."""
