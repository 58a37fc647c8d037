"""Finds what a package contains, so that a law holds for the class that is added tomorrow, too."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

Base = TypeVar("Base")


def concrete_subclasses(package: ModuleType, base: type[Base]) -> list[type[Base]]:
    """All classes of ``package`` and its modules that derive from ``base`` and can be built, by name."""
    found: dict[str, type[Base]] = {}
    for module_info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(module_info.name)
        for value in vars(module).values():
            if not (inspect.isclass(value) and issubclass(value, base)) or inspect.isabstract(value):
                continue
            if value.__module__.startswith(package.__name__):
                found[value.__name__] = value
    return [found[name] for name in sorted(found)]


def takes_sizes_alone(cls: type) -> bool:
    """Whether ``cls(codebook_size, dim)`` is a full call: every further argument has a default."""
    parameters = list(inspect.signature(cls).parameters.values())
    return all(parameter.default is not parameter.empty for parameter in parameters[2:])
