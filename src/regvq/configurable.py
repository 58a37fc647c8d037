"""Objects that remember how they were built, so that a folder on disk can rebuild them.

The written form is the one Lightning's command line reads: ``{"class_path": …, "init_args": {…}}``,
nested. Only classes of this package are ever imported from such a description.
"""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from regvq.errors import RegvqError

PACKAGE = __name__.split(".", maxsplit=1)[0]


class Configurable:
    """Mixin that keeps the arguments of the outermost constructor in ``init_args``."""

    _init_args: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _remember_arguments(cls.__init__)  # type: ignore[method-assign]  # that is the mixin

    @property
    def init_args(self) -> dict[str, Any]:
        """The arguments this object was built with, defaults included."""
        return dict(self.__dict__.get("_init_args", {}))

    def resolve_init_args(self, **resolved: Any) -> None:
        """Replaces arguments that stood for a default by what they became.

        A folder saved today must not change when a default changes tomorrow.
        """
        self._init_args.update(resolved)


def _remember_arguments(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        # A subclass's constructor runs first and calls this one: the outermost arguments stand.
        if "_init_args" not in self.__dict__:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            own = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, "_init_args", own)
        init(self, *args, **kwargs)

    return wrapped


def describe(value: Any) -> Any:
    """Turns a configurable object, or a plain value that may hold some, into JSON-ready data.

    Raises:
        TypeError: a value is neither configurable nor JSON-ready.
    """
    if isinstance(value, Configurable):
        cls = type(value)
        arguments = {name: describe(argument) for name, argument in value.init_args.items()}
        return {"class_path": public_path(cls), "init_args": arguments}
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot describe a {type(value).__name__}: make its class Configurable")


def public_path(cls: type) -> str:
    """The shortest import path of a class, e.g. ``regvq.quantizers.VectorQuantizer``."""
    parts = cls.__module__.split(".")
    for depth in range(1, len(parts)):
        module = importlib.import_module(".".join(parts[:depth]))
        if getattr(module, cls.__name__, None) is cls:
            return f"{'.'.join(parts[:depth])}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def build(description: Any) -> Any:
    """Rebuilds what ``describe`` wrote.

    Raises:
        RegvqError: a class is not a ``Configurable`` of this package, does not exist, or refuses
            its arguments.
    """
    if isinstance(description, dict) and "class_path" in description:
        cls = _configurable_class(str(description["class_path"]))
        arguments = {key: build(item) for key, item in description.get("init_args", {}).items()}
        try:
            return cls(**arguments)
        except TypeError as error:
            raise RegvqError(f"{description['class_path']} cannot be built: {error}") from error
    if isinstance(description, dict):
        return {key: build(item) for key, item in description.items()}
    if isinstance(description, list):
        return [build(item) for item in description]
    return description


def _configurable_class(path: str) -> type[Configurable]:
    module_name, _, class_name = path.rpartition(".")
    if module_name.split(".", maxsplit=1)[0] != PACKAGE:
        raise RegvqError(f"{path!r} lies outside {PACKAGE}: its code is not run from a saved folder")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError):
        raise RegvqError(
            f"no class {path!r} in this version of {PACKAGE}: was the folder saved by a newer one?"
        ) from None
    if not (isinstance(cls, type) and issubclass(cls, Configurable)):
        raise RegvqError(f"{path!r} is not a class that a saved folder may name")
    return cls
