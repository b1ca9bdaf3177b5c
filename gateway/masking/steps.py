"""Work that pauses now and then, so that others have their turn: generators that yield nothing."""

from collections.abc import Generator
from typing import TypeVar

ResultT = TypeVar("ResultT")


def all_at_once(steps: Generator[None, None, ResultT]) -> ResultT:
    """Take all steps without a pause; what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: ResultT = done.value
            return result
