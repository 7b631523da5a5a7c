"""The generic read and write path: everything the API stores goes in and comes out here.

Reads answer from the watch cache, with the bytes a write encoded once; writes are one loop (`Registry.change`).
"""

from pylet.server.registry.answers import (
    END,
    JSON,
    Batch,
    Change,
    Deleted,
    Deliver,
    Form,
    Page,
    Subscription,
    Written,
    error_frame,
)
from pylet.server.registry.form import VOLATILE
from pylet.server.registry.patching import patch_types
from pylet.server.registry.registry import Registry
from pylet.server.registry.request import LOOPBACK, DeleteOptions, ListOptions, MayCreate, Request, User

__all__ = [
    "END",
    "JSON",
    "LOOPBACK",
    "VOLATILE",
    "Batch",
    "Change",
    "DeleteOptions",
    "Deleted",
    "Deliver",
    "Form",
    "ListOptions",
    "MayCreate",
    "Page",
    "Registry",
    "Request",
    "Subscription",
    "User",
    "Written",
    "error_frame",
    "patch_types",
]
