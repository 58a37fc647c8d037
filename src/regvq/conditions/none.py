"""No condition: images as they come."""

from typing import Any, ClassVar

from torch import Tensor

from regvq.conditions.base import Condition
from regvq.errors import RegvqError


class NoCondition(Condition):
    """Unconditional generation: no ids at all."""

    key: ClassVar[str | None] = None
    size = 1
    length = 0

    def ids(self, values: Any) -> Tensor:
        """``[B, 0]``."""
        return self.null(len(values))

    def read(self, text: str) -> Any:
        """Raises ``RegvqError``: there is nothing to be told."""
        raise RegvqError(f"this generator takes no condition, but was given {text!r}: leave it out")
