"""How a verb ends with anything but success, and how it warns."""

import sys


class Failure(Exception):
    """Ends the program: `message` goes to stderr as it is, `status` is the exit status."""

    def __init__(self, message: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def warn(text: str) -> None:
    print(f"Warning: {text}", file=sys.stderr)
