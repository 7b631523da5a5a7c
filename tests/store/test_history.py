"""How much of the past is kept, to the event and to the byte."""

from collections.abc import Sequence

import pytest

from pylet.store.history import History
from pylet.store.interface import Put


def commit(revision: int, *sizes: int) -> Sequence[Put]:
    """Puts of so many bytes each, the key's one among them."""
    return [Put("a", bytes(size - 1), revision + number) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("commits", "oldest"),
    [
        pytest.param([[1], [1], [1]], 0, id="as many events as may be"),
        pytest.param([[1], [1], [1], [1]], 1, id="one more"),
        pytest.param([[5], [5]], 0, id="as many bytes as may be"),
        pytest.param([[5], [6]], 1, id="one more byte"),
        pytest.param([[1], [11]], 1, id="a commit of too many bytes goes alone"),
        pytest.param([[1], [6, 6]], 1, id="and is whole"),
        pytest.param([[1, 1, 1, 1]], 1, id="but not of too many events"),
        pytest.param([[11], [1]], 1, id="and only while it is the last"),
    ],
)
def test_what_is_kept(commits: list[list[int]], oldest: int) -> None:
    history, revision = History(0, events=3, size_bytes=10), 1
    for sizes in commits:
        history.publish(commit(revision, *sizes))
        revision += len(sizes)
    assert (history.oldest, history.newest) == (oldest, revision - 1)
