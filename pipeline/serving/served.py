"""The inpainter as MLflow serves it: pictures and masks as base64 text, holes filled.

MLflow keeps this file as the model's code (models-from-code) beside the model folder, so that
nothing is ever pickled. The heavy imports wait until the model is loaded: logging it needs none.
"""

import base64
import io

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from PIL import Image

from maskgit import load
from maskgit.data.holes import hole_of
from maskgit.data.image_files import UnusableImage, decode_image
from maskgit.schedules import NAMES

MAX_ITERATIONS = 1024  # more change nothing: there are fewer tokens


def picture(text: str, column: str) -> np.ndarray:
    """uint8 (H, W, 3) from the base64 of an image file. Raises UnusableImage."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise UnusableImage(f"{column}: not base64") from None
    try:
        return decode_image(data)
    except UnusableImage as error:
        raise UnusableImage(f"{column}: {error}") from None


def task(image: str, mask: str) -> tuple[np.ndarray, np.ndarray]:
    """The picture, uint8 (H, W, 3), and its hole, bool (H, W). Raises UnusableImage."""
    pixels = picture(image, "image")
    white = picture(mask, "mask")
    if white.shape != pixels.shape:
        raise UnusableImage(
            f"the mask is {white.shape[1]} x {white.shape[0]}, "
            f"the picture {pixels.shape[1]} x {pixels.shape[0]}"
        )
    return pixels, hole_of(white)


def base64_png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class Served(PythonModel):
    """Columns in: `image` and `mask` (white = hole), of one size. Column out: `image`."""

    def load_context(self, context) -> None:
        self.fill = load(context.artifacts["model"])

    def predict(self, context, model_input: pd.DataFrame, params: dict) -> pd.DataFrame:
        """A row out for each row in. Raises MlflowException, answered as 400 with its message."""
        gamma, iterations, seed = params["gamma"], params["iterations"], params["seed"]
        try:
            if gamma not in NAMES:
                raise ValueError(f"gamma: should be one of {', '.join(NAMES)}, not {gamma!r}")
            if not 1 <= iterations <= MAX_ITERATIONS or seed < 0:
                raise ValueError(f"iterations should be 1 to {MAX_ITERATIONS}, seed 0 or more")
            filled = [
                self.fill(*task(*row), seed, gamma, iterations)
                for row in zip(model_input["image"], model_input["mask"], strict=True)
            ]
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return pd.DataFrame({"image": [base64_png(pixels) for pixels in filled]})


set_model(Served())
