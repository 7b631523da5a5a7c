"""The chain of causes for what is not as it should be, from the objects and the functions that decide over them."""

from pylet.cli.why.cause import Cause, lines
from pylet.cli.why.explain import explain
from pylet.cli.why.world import World

__all__ = ["Cause", "World", "explain", "lines"]
