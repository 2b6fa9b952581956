"""Train a credit model with Keras, its preprocessing inside, and register it in MLflow.

By hand:

    python train.py --author dana --tag candidate=champion

The tracking server is that of MLFLOW_TRACKING_URI, as for every client of MLflow. As a batch job
of Waystage the same script needs no argument: it takes the data from WAYSTAGE_INPUT_DATA, the
services from the model that runs now (WAYSTAGE_INPUT_SNAPSHOT), writes a SavedModel with its
manifest to WAYSTAGE_OUTPUT, and leaves registering to `repository.register`.

The data is a CSV file with one application per row and the column `event`: 1 for bad credit,
0 for good. Columns that the model does not know, such as `request_id`, are not looked at.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = [
    "duration_months", "credit_amount", "age_years", "installment_rate_percent",
    "residence_years", "existing_credits", "dependants",
]  # fmt: skip
TEXTS = [
    "checking_account", "credit_history", "purpose", "savings", "employed_since",
    "other_debtors", "property", "other_installment_plans", "housing", "job", "telephone",
]  # fmt: skip
COLUMNS = [*NUMBERS, *TEXTS]
HELD_OUT = 4  # one applicant of so many is not learnt from, to measure the model on
EXAMPLES = 3  # rows that go with the model, for whoever wants to see that it answers

Columns = dict[str, np.ndarray]


def read(place: Path) -> tuple[Columns, np.ndarray]:
    """Give the applications, an array for each of `COLUMNS`, and their events."""
    with place.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise SystemExit(f"{place} has no rows")
    if missing := {*COLUMNS, "event"} - rows[0].keys():
        raise SystemExit(f"{place} has no column {', '.join(sorted(missing))}")
    columns = {
        name: np.array([row[name] for row in rows], dtype=np.float32 if name in NUMBERS else None)
        for name in COLUMNS
    }
    return columns, np.array([int(row["event"]) for row in rows], dtype=np.float32)


def of(columns: Columns, which: Any) -> Columns:
    """Give some of the rows."""
    return {name: values[which] for name, values in columns.items()}


def held_out(columns: Columns) -> np.ndarray:
    """Say for each row whether the model is measured on it instead of learning from it.

    Rows with the same numbers are the same applicant and fall on one side.
    """
    numbers = np.stack([columns[name] for name in NUMBERS], axis=1)
    return np.array([zlib.crc32(row.tobytes()) % HELD_OUT == 0 for row in numbers])


def network(columns: Columns, units: int) -> Any:
    """Make the network; what turns raw columns into its numbers is learnt from the data, too."""
    from tensorflow import keras

    inputs, parts = {}, []
    for name in COLUMNS:
        text = name in TEXTS
        inputs[name] = keras.Input((1,), name=name, dtype="string" if text else "float32")
        if text:  # a category that training never saw has an indicator of its own
            layer = keras.layers.StringLookup(output_mode="one_hot", name=f"{name}_known")
        else:
            layer = keras.layers.Normalization(name=f"{name}_scaled")
        layer.adapt(columns[name][:, None])
        parts.append(layer(inputs[name]))
    hidden = keras.layers.Dense(units, activation="relu")(keras.layers.Concatenate()(parts))
    score = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Dropout(0.3)(hidden))
    return keras.Model(inputs, score)


def fit(columns: Columns, events: np.ndarray, asked: argparse.Namespace) -> Any:
    """Fit the network; the same data, settings and machine give the same one."""
    import tensorflow as tf
    from tensorflow import keras

    keras.utils.set_random_seed(asked.seed)
    model = network(columns, asked.units)
    model.compile(keras.optimizers.Adam(asked.learning_rate), "binary_crossentropy")
    rows = tf.data.Dataset.from_tensor_slices((wide(columns), events))
    rows = rows.shuffle(len(events), seed=asked.seed).batch(32)
    model.fit(rows, epochs=asked.epochs, verbose=0)
    return model


def wide(columns: Columns) -> dict[str, Any]:
    """Give each column as the network takes it: one value wide."""
    import tensorflow as tf

    return {name: tf.constant(values)[:, None] for name, values in columns.items()}


def measure(scores: np.ndarray, events: np.ndarray) -> dict[str, float]:
    """Measure how well scores rank: AUC by ranks, ties shared, and KS."""
    bad, good = scores[events == 1], scores[events == 0]
    lead = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    cuts = np.unique(scores)
    ks = max((bad >= cut).mean() - (good >= cut).mean() for cut in cuts)
    return {"auc": round(float(lead), 4), "gini": round(float(2 * lead - 1), 4),
            "ks": round(float(ks), 4)}  # fmt: skip


def served(model: Any) -> Any:
    """Wrap the network for TensorFlow Serving: raw columns in, one number `score` out per row."""
    import tensorflow as tf

    kinds = {name: tf.string if name in TEXTS else tf.float32 for name in COLUMNS}

    class Served(tf.Module):
        """What is saved: the network and how it is asked."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        @tf.function(
            input_signature=[{name: tf.TensorSpec([None], kinds[name], name) for name in COLUMNS}]
        )
        def serve(self, columns: dict[str, Any]) -> dict[str, Any]:
            rows = {name: values[:, None] for name, values in columns.items()}
            return {"score": self.model(rows, training=False)[:, 0]}

    return Served()


def score(module: Any, columns: Columns) -> np.ndarray:
    """Score rows by the very function that is served."""
    import tensorflow as tf

    given = {name: tf.constant(values) for name, values in columns.items()}
    return np.asarray(module.serve(given)["score"])


def trained(asked: argparse.Namespace) -> tuple[Any, Columns, np.ndarray, dict[str, float]]:
    """Give the model as it is served, the data, and how it did on what it did not learn from."""
    columns, events = read(asked.data)
    unseen = held_out(columns)
    module = served(fit(of(columns, ~unseen), events[~unseen], asked))
    found = measure(score(module, of(columns, unseen)), events[unseen])
    counts = {"rows": float(len(events)), "events": float(events.sum()),
              "rows_measured_on": float(unseen.sum())}  # fmt: skip
    return module, columns, events, found | counts


def register(asked: argparse.Namespace) -> str:
    """Log the run and the model to MLflow and register it; give its version."""
    import mlflow

    module, columns, events, metrics = trained(asked)
    example = of(columns, slice(EXAMPLES))
    mlflow.set_experiment(asked.name)
    with mlflow.start_run():
        mlflow.log_params({
            **{name: getattr(asked, name) for name in ("epochs", "learning_rate", "seed", "units")},
            "data": asked.data.name, "data_sha256": sha256(asked.data),
        })  # fmt: skip
        mlflow.log_metrics(metrics)
        mlflow.log_input(dataset(asked.data, columns, events), context="training")
        info = log(mlflow, module, example)
    tags = {"services": ", ".join(asked.service), **dict(each.split("=", 1) for each in asked.tag)}
    if asked.author:
        tags["author"] = asked.author
    # all tags in one call: Waystage may look at the version in the next moment
    found = mlflow.register_model(info.model_uri, asked.name, tags=tags)
    print(f"{asked.name}/{found.version}: {metrics}")
    return str(found.version)


def dataset(place: Path, columns: Columns, events: np.ndarray) -> Any:
    """Give the training data as MLflow keeps it: where from, its columns, a digest."""
    import mlflow.data
    import pandas as pd

    frame = pd.DataFrame({**columns, "event": events.astype(int)})
    return mlflow.data.from_pandas(frame, source=place.name, name=place.stem, targets="event")


def log(mlflow: Any, module: Any, example: Columns) -> Any:
    """Log the SavedModel with its columns and example rows."""
    import tensorflow as tf
    from mlflow.models import infer_signature

    return mlflow.tensorflow.log_model(
        module,
        name="model",
        signature=infer_signature(example, {"score": score(module, example)}),
        input_example=example,
        saved_model_kwargs={"signatures": {"serving_default": module.serve}},
        pip_requirements=[f"tensorflow=={tf.__version__}"],
    )


def write(asked: argparse.Namespace) -> None:
    """Write the SavedModel and its manifest, as a batch job of Waystage does."""
    import tensorflow as tf
    import yaml

    module, columns, _, metrics = trained(asked)
    place = asked.out / "model"
    signatures = {"serving_default": module.serve}
    tf.saved_model.save(module, str(place), signatures=signatures)
    text = yaml.safe_dump(manifest(asked, of(columns, slice(EXAMPLES)), metrics), sort_keys=False)
    (place / "manifest.yaml").write_text(text, encoding="utf-8")
    print(f"{place}: {metrics}")


def manifest(
    asked: argparse.Namespace, example: Columns, metrics: dict[str, float]
) -> dict[str, Any]:
    """Say what the model is, what it takes and gives, how good it is and where it comes from."""
    parent = running()
    lineage = {"data": f"sha256:{sha256(asked.data)}"}
    if parent:
        lineage["parent"] = f"{parent['name']}/{parent['version']}"
    values = zip(*(example[name].tolist() for name in COLUMNS), strict=True)
    return {
        "name": parent.get("name", asked.name),
        "format": "savedmodel",
        "services": parent.get("services") or asked.service,
        "inputs": [
            {"name": name, "type": "string" if name in TEXTS else "number"} for name in COLUMNS
        ],
        "outputs": [{"name": "score", "type": "number"}],
        "example": [dict(zip(COLUMNS, row, strict=True)) for row in values],
        "metrics": metrics,
        "lineage": lineage,
    }


def running() -> dict[str, Any]:
    """Give the manifest of the model that is to be replaced, if a batch job started us."""
    place = os.environ.get("WAYSTAGE_INPUT_SNAPSHOT")
    told: dict[str, Any] = json.loads(Path(place).read_text()) if place else {}
    return told


def sha256(place: Path) -> str:
    """Give the digest of a file."""
    return hashlib.sha256(place.read_bytes()).hexdigest()


def shipped_data() -> Path:
    """Give the German Credit data: beside this script, else as it comes with Waystage."""
    beside = Path(__file__).with_name("german_credit.csv")
    if beside.is_file():
        return beside
    from waystage.library import example

    return example("german_credit") / "german_credit.csv"


def asked_for() -> argparse.Namespace:
    """Read the command line; a batch job says data and out by its environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    data, out = os.environ.get("WAYSTAGE_INPUT_DATA"), os.environ.get("WAYSTAGE_OUTPUT")
    parser.add_argument("--data", type=Path, default=data, help="else German Credit")
    parser.add_argument("--out", type=Path, default=out, help="write it there, do not register it")
    parser.add_argument("--name", default="german-credit", help="registered model in MLflow")
    parser.add_argument("--author", help="who answers for the model and may not approve it")
    parser.add_argument("--service", action="append", help="service that it is for; repeatable")
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--units", type=int, default=8, help="of the hidden layer")
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.service = asked.service or ["credit-risk"]
    asked.data = asked.data or shipped_data()
    if wrong := [tag for tag in asked.tag if "=" not in tag]:
        parser.error(f"--tag {wrong[0]}: is not NAME=VALUE")
    return asked


def main() -> None:
    """Train; then register, or write where a batch job says."""
    asked = asked_for()
    write(asked) if asked.out else register(asked)


if __name__ == "__main__":
    main()
