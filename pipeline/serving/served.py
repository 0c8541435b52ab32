"""The inpainter as MLflow serves it: pictures and masks as base64 text, holes filled.

MLflow keeps this file as the model's code (models-from-code) beside the model folder, so that
nothing is ever pickled. The heavy imports wait until the model is loaded: logging it needs none.
"""

import base64
import re

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from maskgit import load
from maskgit.data.image_files import Picture, UnusableImage, decode_picture, encode_png
from maskgit.schedules import NAMES

MAX_ITERATIONS = 1024  # more change nothing: there are fewer tokens


def picture(text: str, column: str) -> Picture:
    """A picture from the base64 of its file, in lines or as a data URI too. Raises UnusableImage.

    A data URI is as browsers give it: data:image/png;base64,... (RFC 2397).
    """
    plain = re.sub(r"^data:[^,]*;base64,|\s", "", text, flags=re.IGNORECASE)
    try:
        data = base64.b64decode(plain, validate=True)
    except ValueError:
        raise UnusableImage(f"{column}: not base64") from None
    try:
        return decode_picture(data)
    except UnusableImage as error:
        raise UnusableImage(f"{column}: {error}") from None


def base64_png(filled: Picture) -> str:
    return base64.b64encode(encode_png(filled.own, filled.profile)).decode()


class Served(PythonModel):
    """Columns in: `image` and `mask` (white = hole), of one size.

    Columns out: `image`, a PNG with the picture's depth, channels and colour profile; `filled`, how
    much of the picture was filled; `notes`, what was read otherwise than it is stored.
    """

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
                self.fill(picture(image, "image"), picture(mask, "mask"), seed, gamma, iterations)
                for image, mask in zip(model_input["image"], model_input["mask"], strict=True)
            ]
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        rows = [(base64_png(each), each.filled, "; ".join(each.notes)) for each in filled]
        return pd.DataFrame(rows, columns=["image", "filled", "notes"])


set_model(Served())
