"""Train a small network to tell irises apart with Keras, and record how it came to be.

KERAS_BACKEND=torch python train_keras.py --epochs 3
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from sklearn.datasets import load_iris

import provenance
from provenance.hooks.keras import ProvenanceCallback


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    settings = parser.parse_args()
    keras.utils.set_random_seed(7)
    place, final = Path("irises.npz"), Path("model/irises.keras")
    final.parent.mkdir(exist_ok=True)

    with provenance.start("irises"):
        plants = load_iris()
        np.savez(place, x=plants.data.astype("float32"), y=plants.target)
        data = np.load(place)

        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(16, activation="relu"),
                keras.layers.Dense(3, activation="softmax"),
            ],
            name="irises",
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        recorded = ProvenanceCallback(training_data=place, test_data=place)
        model.fit(
            data["x"],
            data["y"],
            epochs=settings.epochs,
            verbose=0,
            callbacks=[
                keras.callbacks.ModelCheckpoint(
                    "epochs/{epoch}.weights.h5", save_weights_only=True
                ),
                recorded,
            ],
        )
        model.save(final)
        recorded.saved(final)
        model.evaluate(data["x"], data["y"], verbose=0, callbacks=[recorded])


if __name__ == "__main__":
    main()
