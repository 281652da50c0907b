"""Patient data as a type: what is wrapped here cannot be printed by accident."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Phi(Generic[T]):
    """Holds a value of a patient attribute. `str()` and `repr()` show nothing; `reveal()` is greppable."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value; call it only where the value leaves to someone who may see it."""
        return self._value

    def __repr__(self) -> str:
        return "<phi>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phi) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)
