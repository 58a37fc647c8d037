"""The devices on which a law has to hold."""

import pytest
import torch

GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0

# The last GPU: where there are several it is not the current one, which must make no difference.
every_device = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            f"cuda:{max(GPUS - 1, 0)}",
            marks=pytest.mark.skipif(not GPUS, reason="there is no GPU"),
            id="cuda",
        ),
    ],
)
