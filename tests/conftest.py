"""What every test stands on: one thread, and a fixed seed."""

import pytest
import torch

# Two test processes on two cores: more threads in each would only get in each other's way.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)
