"""Writes the model card, which describes a model to its users."""

import pandas as pd

from maskgit.inpainting.registry import DECODERS
from maskgit.model_folder import Config
from maskgit.scoring.scores import score_columns
from pipeline.plumbing.params import MEAN, ONE_PASS, Origin
from pipeline.reporting.comparisons import label
from pipeline.reporting.text import score_cells

GRID = "grid.png"  # beside the card

# Licences of the weights. A model trained from others' (train.start_from) bears theirs, too.
DRAWN = "apache-2.0  # the project's own; its code drew the training images"
OTHER = "other  # to fill in: what may be done with this model and with its training images"

CARD = """---
license: {license}
tags: [inpainting, maskgit, vqgan]
---

# Fills holes in pictures: masked tokens, {size} x {size} pixels

![True images, their holes, a classic fill, and this model's]({grid})

A VQGAN tokenizer and a bidirectional transformer (MaskGIT, arXiv 2202.04200), trained on
{trained_on}{holes}.

## Use

```python
from maskgit import load
from PIL import Image

fill = load("this folder")
fill(Image.open("photo.jpg"), Image.open("mask.png")).save("filled.png")  # white = hole
```

or `maskgit inpaint photo.jpg --mask mask.png --out filled.png --model "this folder"`. Pictures may
have any size; every pixel outside the hole stays as it was. Unless told otherwise its reading is
`{reading}`. A sample is decoded by
`{decoder}` {spend}, at temperature {temperature:g},
choice temperature {choice_temperature:g} and guidance {guidance:g}.

## How well

{measured}
Brackets hold 95 % intervals. An arrow says which way a score gets better.

{table}

{answer}

`one_pass` has this model's most likely tokens, all in one iteration. `mean` is its mean reading.
`tokenizer` is the tokenizer's upper bound, drawn from the true tokens.

## Limits

The model draws best what it was trained on. {detail}
What it draws is made up.
"""

MEASURED = {
    Origin.HERE: """\
Measured on {n} images that the model has never seen; copies of training images are left out.""",
    Origin.BOTH: """\
Measured on {n} images that the last training has not seen. The networks that it began from were
trained elsewhere or before, and may have seen some of them.""",
    Origin.ELSEWHERE: """\
Measured on {n} images. The model was trained elsewhere, and may have seen some of them.""",
}

ON_VALIDATION = """\
Measured on {n} validation images (`inpaint.split: val`), by which the trainings chose their
weights. Scores on test images may be worse."""

SOFT = """Its fills have no more detail than {size} x {size}
pixels, so a large hole in a large picture gets a soft fill."""
SHARP = """A large hole in a large picture is
filled at {size} x {size} pixels first, then drawn again, down to the picture's own detail."""


def model_card(
    config: Config, table: pd.DataFrame, answer: str, origin: Origin, split: str = "test"
) -> str:
    """Returns the model card in Markdown.

    table: the report's table of scores, with a row of the model's own settings. answer: see
    `comparisons.answer`. split: of the images that were scored.
    """
    decoding, trained_on = config.decoding, config.trained_on
    drawn = origin is Origin.HERE and trained_on.source == "synthetic"
    head = table[table["schedule"].eq(decoding.gamma) & table["iterations"].eq(decoding.iterations)]
    others = table[table["iterations"].isna() | table["schedule"].isin([ONE_PASS, MEAN])]
    shown = pd.concat([head, others[others["schedule"].ne("true_images")]])
    measured = ON_VALIDATION if split == "val" else MEASURED[origin]
    unit = DECODERS[decoding.decoder].unit
    spend = f"{decoding.iterations} {unit}"  # a decoder with another unit has no schedule
    spend = (
        f"under gamma = {decoding.gamma} with {spend}" if unit == "iterations" else f"to {spend}"
    )
    return CARD.format(
        **decoding.model_dump(),
        license=DRAWN if drawn else OTHER,
        grid=GRID,
        spend=spend,
        size=trained_on.size,
        detail=(SHARP if trained_on.drafts else SOFT).format(size=trained_on.size),
        trained_on=trained_on.words,
        holes=f"\nwith holes of the kinds {', '.join(trained_on.holes)}" * bool(trained_on.holes),
        measured=measured.format(n=head["n"].iloc[0]),
        table=_scores(shown),
        answer=answer,
    )


def _scores(rows: pd.DataFrame) -> str:
    columns = score_columns(rows.columns)
    heads = [f"`{column.name}` {column.score.better.arrow}".strip() for column in columns]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(columns)}"]
    for row in rows.to_dict("records"):
        cells = score_cells(row, [column.name for column in columns])
        lines.append(f"| {label(row['schedule'], row['iterations'])} | {' | '.join(cells)} |")
    return "\n".join(lines)
