"""The devices on which a law has to hold: the CPU, and a GPU where there is one."""

import pytest
import torch

GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0

# The last GPU: where there are several it is not the current one, which must make no difference.
every_device = pytest.mark.parametrize("device", ["cpu", *([f"cuda:{GPUS - 1}"] if GPUS else [])])
