"""Write the data files of this example from the copy of the UCI digits that scikit-learn bundles.

Run once: ``pip install scikit-learn && python export_data.py``. The files it wrote are committed.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
SPLIT_SEED = 20  # a random split: the source is ordered by writer
VALIDATION_ROWS = 500
CALIBRATION_ROWS = 600  # drawn from the training rows


def main() -> None:
    """Split the 1,797 images and write one ``.npz`` a part: ``x`` uint8 (n, 8, 8, 1) in 0..16, ``y`` uint8 (n,)."""
    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 8, 8, 1).astype(np.uint8)
    y = labels.astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
    validation, training = order[:VALIDATION_ROWS], order[VALIDATION_ROWS:]
    for name, rows in {
        "train": training,
        "calibration": training[:CALIBRATION_ROWS],
        "validation": validation,
    }.items():
        np.savez_compressed(HERE / f"{name}.npz", x=x[rows], y=y[rows])


if __name__ == "__main__":
    main()
