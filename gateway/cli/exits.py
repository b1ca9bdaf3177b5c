"""What the exit codes mean, everywhere."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `salon-gateway`."""

    GOOD = 0
    BROKEN = 1  # a broken promise was found: a chain that does not verify, a refused request
    USAGE = 2
    POLICY = 3  # the policy, or gateway.yaml, does not load
    CASES = 4  # the policy loads, but does not do what the owner's cases say
    INTERRUPTED = 130  # 128 + SIGINT, as shells say it: not finished, so not good
