"""What MLflow shows: the loss of the network which was kept, and each score by its name."""

import numpy as np
import pandas as pd

from pipeline.tracking.outputs import best_loss, place


def test_where_a_discriminator_joins_no_earlier_loss_counts():
    history = pd.DataFrame({"step": [1, 2, 3], "val_loss": [1.1, 1.3, 1.2]})
    assert best_loss(history) == 1.1
    assert best_loss(history.assign(discriminator_loss=[np.nan, 0.7, 0.6])) == 1.2


def test_scores_of_a_second_judge_are_no_bounds():
    scores = ["p_ids_cv", "p_ids_cv_efficientnet_lite2", "fid", "fid_true_images", "fid_low"]
    assert [place(name, dict.fromkeys(scores)) for name in scores] == [
        *scores[:3],
        "bound/fid_true_images",
        "interval/fid_low",
    ]
