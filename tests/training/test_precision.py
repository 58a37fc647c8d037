"""The arithmetic that is chosen for the processor."""

import pytest
import torch

from regvq.training.precision import fast_cpu_precision


@pytest.mark.parametrize(("supported", "wanted"), [(True, "bf16-mixed"), (False, "32-true")])
def test_bfloat16_only_where_there_are_kernels_for_it(
    monkeypatch: pytest.MonkeyPatch, supported: bool, wanted: str
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    assert fast_cpu_precision() == wanted
