"""Tells a user in whose own training loop few codes are in use."""

import warnings

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.ranks import rank


class UsageWatch:
    """Warns once, where the usage of a codebook stays low for many training steps.

    Usage is the share of codes that were the best match of any token within a window of steps, of those
    that the tokens of the window could have reached. It is looked at once a window, so that training steps
    do not wait for a device.

    Args:
        share: usage below which it warns, in (0, 1].
        window: steps.
        patience: windows in a row.

    Raises:
        RegvqError: an argument is out of its range.
    """

    def __init__(self, share: float = 0.1, window: int = 50, patience: int = 4) -> None:
        if not (0 < share <= 1 and window >= 1 and patience >= 1):
            raise RegvqError(
                f"share in (0, 1], window and patience of at least 1, not {share}, {window} and {patience}"
            )
        self.share, self.window, self.patience = share, window, patience
        self._counts: Tensor | None = None
        self._steps = self._low = 0

    def see(self, counts: Tensor) -> None:
        """Take in how many tokens of a training step each code has: ``[N]`` float32."""
        if self._low >= self.patience:
            return
        if self._counts is None or self._counts.device != counts.device:
            self._counts = torch.zeros_like(counts)
        self._counts += counts
        self._steps += 1
        if self._steps < self.window:
            return
        used, tokens = torch.stack([(self._counts > 0).sum(), self._counts.sum()]).tolist()
        reachable = max(min(tokens, len(counts)), 1.0)
        self._low = self._low + 1 if used / reachable < self.share else 0
        self._counts, self._steps = None, 0
        if self._low == self.patience and rank() == 0:
            warnings.warn(
                f"only {used:.0f} of {len(counts)} codes were used in the last {self.window} training "
                "steps: the codebook is collapsing; docs/collapsed-codebook.md says what helps "
                "(quantizer.usage_watch = None turns this off)",
                stacklevel=2,
            )
