"""The options that every study has: where its results go, and the seed of what it draws."""

from __future__ import annotations

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, RECORDING, all_of

PRESENTATION = all_of(
    click.option(
        "--json",
        "json_to",
        type=OPTIONAL_PATH,
        default=None,
        help="Write the document to FILE; - for stdout, which then holds nothing else.",
    ),
    click.option(
        "--output", type=OPTIONAL_PATH, default=None, help="Also write document, page, tables and figures here."
    ),
    RECORDING,
)

STUDY_SEED = click.option(
    "--seed", type=int, default=0, show_default=True, help="Of everything that is drawn: resamples, shifts, splits."
)
