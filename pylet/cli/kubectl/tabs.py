"""Elastic tab stops as Go's text/tabwriter lays them out, so that columns stand where kubectl's stand.

A column is a run of neighbouring lines that have a cell there; the last cell of a line belongs to no column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def align(text: str, *, least: int = 0, padding: int = 2) -> str:
    """The text with its tabs replaced by spaces."""
    lines = [line.split("\t") for line in text.split("\n")]
    out: list[str] = []
    _format(lines, 0, len(lines), [], least, padding, out)
    return "\n".join(out)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Lines of cells, as `config get-contexts` and its like lay them out."""
    return align("".join("\t".join(row) + "\n" for row in rows), least=6, padding=3)


def _format(
    lines: Sequence[list[str]], start: int, end: int, widths: list[int], least: int, padding: int, out: list[str]
) -> None:
    column = len(widths)
    here = start
    while here < end:
        if column >= len(lines[here]) - 1:
            here += 1
            continue
        _write(lines[start:here], widths, out)
        start = here
        width = least
        while here < end and column < len(lines[here]) - 1:
            width = max(width, len(lines[here][column]) + padding)
            here += 1
        _format(lines, start, here, [*widths, width], least, padding, out)
        start = here
    _write(lines[start:end], widths, out)


def _write(lines: Sequence[list[str]], widths: list[int], out: list[str]) -> None:
    for cells in lines:
        padded = [cell.ljust(widths[i]) if i < len(widths) else cell for i, cell in enumerate(cells)]
        out.append("".join(padded))


class Columns:
    """Rows of one table written bit by bit: a column never gets narrower than it was, as in `get --watch`."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def forget(self) -> None:
        self._widths = []

    def lines(self, rows: Sequence[Sequence[str]]) -> str:
        """The rows as lines; "" for none."""
        for row in rows:
            for i, cell in enumerate(row[:-1]):
                width = max(6, len(cell) + 3)
                if i < len(self._widths):
                    self._widths[i] = max(self._widths[i], width)
                else:
                    self._widths.append(width)
        return "".join(
            "".join([*(cell.ljust(self._widths[i]) for i, cell in enumerate(row[:-1])), *row[-1:]]) + "\n"
            for row in rows
        )
