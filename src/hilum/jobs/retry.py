"""When a job that failed is tried again, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and when: delays grow from the first to the longest, each up to `jitter` shorter than it might be.

    `attempts` None is for work that must not be lost, whatever time a peer takes to come back.
    """

    attempts: int | None = 5
    first_delay_s: float = 5.0
    factor: float = 2.0
    longest_delay_s: float = 300.0
    jitter: float = 0.3

    def delay_s(self, attempt: int, chance: float) -> float | None:
        """Return how long to wait after this many attempts, or None when that was the last one.

        Args:
            attempt: how many were made.
            chance: a random number from 0 to 1.
        """
        if self.attempts is not None and attempt >= self.attempts:
            return None
        # Bounded before it is raised to a power: a job may have been tried thousands of times.
        steps = min(max(attempt, 1) - 1, 64)
        delay = min(self.first_delay_s * self.factor**steps, self.longest_delay_s)
        return delay * (1 - self.jitter * chance)
