"""What ``torch.compile`` needs on a machine."""

import importlib.util


def lacking(device: str) -> str | None:
    """What ``torch.compile`` needs for a kind of device and does not find; ``None`` for nothing.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    if device == "cuda":
        return None if importlib.util.find_spec("triton") else "Triton is not installed"
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "no C++ compiler is found (CXX names one; g++ otherwise)"
    return None
