"""A corpus from rows that are in memory already, such as those of a data frame: a manifest without a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.sources import list_table
from mlflow_rank.speech.tables import Record, Table

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows with the columns of a manifest (see `mlflow_rank.speech.columns`).

    `source` is what documents and errors call them; `base` is the directory that `path`, `textgrid` and `ctm` are
    relative to. A cell that is None is as if the column were not there.
    """

    source: str
    base: Path
    rows: Sequence[Row]

    def corpus(self, *, alignments: bool = False) -> Corpus:
        """List the utterances; `alignments` reads TextGrid and CTM files that rows name.

        Raises:
            UsageError: there is no row, or one does not mean what its columns promise (`source: row n`, from 1).
        """
        return list_table(
            Table(self.base, "rows", self._records()), self.source, alignments_in=self.base if alignments else None
        )

    def _records(self) -> Iterator[Record]:
        for number, row in enumerate(self.rows, start=1):
            cells = {name: cell for name, cell in row.items() if cell is not None}
            yield Record(f"{self.source}: row {number}", number, cells, typed=True)
