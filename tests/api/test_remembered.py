"""What is answered is kept, unless the text is long."""

from pylet.api.remembered import LONGEST, remembered

ASKED: list[tuple[str, int]] = []


@remembered(2)
def answered(text: str, number: int = 0) -> int:
    ASKED.append((text, number))
    return len(text) + number


def test_short_texts_are_asked_about_once() -> None:
    ASKED.clear()
    assert [answered("ab"), answered("ab"), answered("ab", number=1)] == [2, 2, 3]
    assert ASKED == [("ab", 0), ("ab", 1)]


def test_long_texts_are_not_kept() -> None:
    ASKED.clear()
    long = "x" * (LONGEST + 1)
    assert [answered(long), answered(long)] == [LONGEST + 1] * 2
    assert len(ASKED) == 2
