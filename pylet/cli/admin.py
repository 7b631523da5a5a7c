"""What the verbs that look after a cluster share: reaching its API with the administrator's kubeconfig."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pylet.api.errors import ApiError
from pylet.cli.failure import Failure
from pylet.cli.kubectl.http import Api, ConnectionFailed
from pylet.cli.kubectl.session import Session
from pylet.client.kubeconfig import KubeconfigError


@contextmanager
def admin(kubeconfig: str = "") -> Iterator[Api]:
    """The API, and its refusals as one clear line. Raises: Failure."""
    try:
        yield Session({"kubeconfig": kubeconfig} if kubeconfig else {}).api
    except ApiError as refused:
        raise Failure(f"the server refuses: {refused.message}") from None
    except (ConnectionFailed, KubeconfigError) as failed:
        raise Failure(f"{failed}\nrun this on the server, as root, or give --kubeconfig") from None
