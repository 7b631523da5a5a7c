from tests.server.kit import api

__all__ = ["api"]
