"""What would make the host wait for a GPU, found on a CPU, where nothing waits."""

from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ALWAYS = frozenset(
    {
        # Python reads a value.
        *("_local_scalar_dense", "equal", "is_nonzero"),
        # Values decide a size.
        *("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"),
    }
)
"""Operations that wait whatever they are given, by the names under which torch runs them."""

INDEXED = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"})
"""Those that look for the places of a mask, where one is their index."""

COPIES = frozenset({"cpu", "cuda", "numpy", "tolist", "from_numpy", "tensor", "as_tensor", "new_tensor"})
"""What Python calls to bring values from one device to another: on a CPU there is nothing to run for it."""


class _Operations(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        masks = (one for one in (args[1] if name in INDEXED else ()) if one is not None)
        if (
            name in ALWAYS
            or any(mask.dtype in (torch.bool, torch.uint8) for mask in masks)
            # How long the result is stands in the repeats, unless the caller says it.
            or (
                func
                in (torch.ops.aten.repeat_interleave.self_Tensor, torch.ops.aten.repeat_interleave.Tensor)
                and kwargs.get("output_size") is None
            )
        ):
            self.found.append(name)
        return func(*args, **kwargs)


class _Calls(TorchFunctionMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in COPIES or (name == "to" and self._moves(*args[1:], **kwargs)):
            self.found.append(name)
        return func(*args, **kwargs)

    @staticmethod
    def _moves(*args: Any, non_blocking: bool = False, **kwargs: Any) -> bool:
        """Whether a device is named by its kind; that of another tensor may well be the tensor's own."""
        named = [*args[:1], kwargs.get("device")]
        return not non_blocking and any(isinstance(one, str) for one in named)


class Waits:
    """Keeps, while it is entered, the names of all that would make the host wait.

    On a GPU ``torch.cuda.set_sync_debug_mode`` sees more: this sees what torch runs and what Python calls,
    not what a kernel's launcher does by itself.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._modes = (_Operations(self.found), _Calls(self.found))

    def __enter__(self) -> "Waits":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(kind, error, trace)
