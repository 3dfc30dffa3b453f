"""A service as the original project's: FastAPI, OpenCV, `model.predict` of Keras in the handler.

    python benchmarks/service_peer.py PORT NETWORK.keras

Its faults that change what is computed are kept: the whole photo is decoded, made 224 pixels wide and high and left in
BGR, and each request runs `predict` on one photo in a thread of the framework's pool.
"""

from __future__ import annotations

import base64
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

LABELS = ["Copper", "Pyromorphite", "Quartz (Var: Amethyst)", "Malachite", "Azurite"]
LABELS += ["Wulfenite", "Pyrite", "Quartz", "Fluorite", "Calcite"]
SIDE = 224


class Body(BaseModel):
    """The original's contract."""

    image_base64: str


def application(network: str) -> FastAPI:
    trained = keras.models.load_model(network)
    net = keras.models.clone_model(trained, input_tensors=keras.Input((SIDE, SIDE, 3), dtype="uint8"))
    net.set_weights(trained.get_weights())
    app = FastAPI()

    @app.get("/")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict/")
    def predict(body: Body) -> dict[str, str]:
        photo = cv2.imdecode(np.frombuffer(base64.b64decode(body.image_base64), np.uint8), cv2.IMREAD_COLOR)
        small = cv2.resize(photo, (SIDE, SIDE))
        return {"La categoria es": LABELS[int(net.predict(small[np.newaxis], verbose=0).argmax())]}

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[2]), port=int(sys.argv[1]), log_level="warning")
