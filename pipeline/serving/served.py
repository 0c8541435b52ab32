"""Serves the inpainter by MLflow: pictures and masks come as base64 text and go back filled.

MLflow keeps this file as the model's code (models-from-code) beside the model folder, so nothing is
pickled. Torch is imported when the model is loaded, since logging the model does not need it.
"""

import base64
import re

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from maskgit import load
from maskgit.data.image_files import Picture, UnusableImage, decode_picture, encode_png


def picture(text: object, column: str) -> Picture:
    """Decodes a picture from the base64 of its file. Raises UnusableImage.

    The text may have line breaks. It may be a data URI as browsers give it:
    data:image/png;base64,... (RFC 2397).
    """
    if not isinstance(text, str):
        raise UnusableImage(f"{column}: missing")
    plain = re.sub(r"^\s*data:[^,]*;base64,|\s", "", text, flags=re.IGNORECASE)
    try:
        data = base64.b64decode(plain, validate=True)
    except ValueError:
        raise UnusableImage(f"{column}: not base64") from None
    try:
        return decode_picture(data)
    except UnusableImage as error:
        raise UnusableImage(f"{column}: {error}") from None


def base64_png(filled: Picture) -> str:
    """Encodes a picture as the base64 of a PNG file."""
    return base64.b64encode(encode_png(filled.own, filled.profile)).decode()


class Served(PythonModel):
    """Fills holes: columns `image` and `mask` (white = hole) of one size in.

    Columns out: `image`, a PNG with the picture's depth, channels and colour profile; `filled`, how
    much of the picture was filled; `notes`, what was read otherwise than the file stores it.
    """

    def load_context(self, context) -> None:
        """Loads the model."""
        self.fill = load(context.artifacts["model"])

    def predict(self, context, model_input: pd.DataFrame, params: dict) -> pd.DataFrame:
        """Returns a row for each row. Raises MlflowException, answered as 400 with its message."""
        try:
            how = self.decoding(params)
            filled = [
                self.fill(picture(image, "image"), picture(mask, "mask"), **how)
                for image, mask in zip(model_input["image"], model_input["mask"], strict=True)
            ]
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        rows = [(base64_png(each), each.filled, "; ".join(each.notes)) for each in filled]
        return pd.DataFrame(rows, columns=["image", "filled", "notes"])

    def decoding(self, params: dict) -> dict[str, object]:
        """Returns the settings of a fill that a request changes.

        MLflow hands over the signature's defaults for what a request leaves out: the model's seed,
        and of the others what is empty or 0.
        """
        return {name: value for name, value in params.items() if value or name == "seed"}


set_model(Served())
