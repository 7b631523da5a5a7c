"""Priority and fairness: whose requests run when there are more than the server can take at a time."""

from pylet.server.flow.limiter import Limiter, Rejected, Seat

__all__ = ["Limiter", "Rejected", "Seat"]
