"""The best loss that MLflow shows is that of the network which was kept."""

import numpy as np
import pandas as pd

from pipeline.tracking.outputs import best_loss


def test_where_a_discriminator_joins_no_earlier_loss_counts():
    history = pd.DataFrame({"step": [1, 2, 3], "val_loss": [1.1, 1.3, 1.2]})
    assert best_loss(history) == 1.1
    assert best_loss(history.assign(discriminator_loss=[np.nan, 0.7, 0.6])) == 1.2
