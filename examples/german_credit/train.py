"""Train a scorecard-like credit model and save it as ONNX with its manifest.

By hand:

    python train.py --data german_credit.csv --out out/credit \
        --name credit --author dana --tag candidate=champion

As a batch job of Waystage the same script needs no argument: it takes the data from
WAYSTAGE_INPUT_DATA, name and services from the model that runs now (WAYSTAGE_INPUT_SNAPSHOT)
and writes to WAYSTAGE_OUTPUT.

The data is a CSV file with one application per row and the column `event`: 1 for bad credit,
0 for good. Columns that the model does not know, such as `request_id`, are not looked at.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

BINNED = ["duration_months", "credit_amount", "age_years"]
NUMBERS = ["installment_rate_percent", "residence_years", "existing_credits", "dependants"]
TEXTS = [
    "checking_account", "credit_history", "purpose", "savings", "employed_since",
    "other_debtors", "property", "other_installment_plans", "housing", "job", "telephone",
]  # fmt: skip
COLUMNS = [*BINNED, *NUMBERS, *TEXTS]
FOLDS = 5
OPSET = 18  # old enough for the onnxruntime that serves it


def read(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the applications, one row each in the order of `COLUMNS`, and their events."""
    with place.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise SystemExit(f"{place} has no rows")
    if missing := {*COLUMNS, "event"} - rows[0].keys():
        raise SystemExit(f"{place} has no column {', '.join(sorted(missing))}")
    applications = np.empty((len(rows), len(COLUMNS)), dtype=object)
    for place_of, name in enumerate(COLUMNS):
        kind = str if name in TEXTS else float
        applications[:, place_of] = [kind(row[name]) for row in rows]
    return applications, np.array([int(row["event"]) for row in rows])


def scorecard() -> Pipeline:
    """Make the model: bins and categories become indicators, a logistic regression weighs them."""
    at = {name: place for place, name in enumerate(COLUMNS)}
    # whole or half edges, which single precision holds exactly: the graph bins like sklearn
    bins = KBinsDiscretizer(4, strategy="quantile", quantile_method="averaged_inverted_cdf")
    bins.set_params(encode="onehot-dense")
    columns = ColumnTransformer(
        [
            ("bins", bins, [at[name] for name in BINNED]),
            ("numbers", StandardScaler(), [at[name] for name in NUMBERS]),
            # a category that training never saw counts for nothing
            ("texts", OneHotEncoder(handle_unknown="ignore"), [at[name] for name in TEXTS]),
        ]
    )
    return Pipeline([("columns", columns), ("score", LogisticRegression(C=0.1, max_iter=1000))])


def measure(applications: np.ndarray, events: np.ndarray) -> dict[str, float]:
    """Measure how well the model ranks applications that it was not fitted on.

    Each fifth is scored by a model of the other four. Rows with the same numbers are the same
    applicant and stay together, so that none is scored by a model that was fitted on it.
    """
    numbers = applications[:, : len(BINNED) + len(NUMBERS)].astype(float)
    _, applicant = np.unique(numbers, axis=0, return_inverse=True)
    scores = cross_val_predict(
        scorecard(), applications, events,
        groups=applicant, cv=StratifiedGroupKFold(FOLDS), method="predict_proba",
    )[:, 1]  # fmt: skip
    auc = float(roc_auc_score(events, scores))
    false, true, _ = roc_curve(events, scores, drop_intermediate=False)
    found = {"auc": auc, "gini": 2 * auc - 1, "ks": float(max(true - false))}
    counts = {"rows": float(len(events)), "events": float(events.sum())}
    return {name: round(value, 4) for name, value in (found | counts).items()}


def save(model: Pipeline, place: Path) -> None:
    """Write the whole pipeline as one graph: an input per column, `probabilities` as output."""
    kinds = {name: StringTensorType if name in TEXTS else FloatTensorType for name in COLUMNS}
    graph = to_onnx(
        model,
        name="scorecard",
        initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    graph.opset_import.sort(key=lambda entry: entry.domain)  # same data, same bytes, same digest
    place.write_bytes(graph.SerializeToString())


def manifest(
    arguments: argparse.Namespace, applications: np.ndarray, metrics: dict[str, float]
) -> dict[str, Any]:
    """Say what the model is, what it takes and gives, how good it is and where it comes from."""
    parent = running()
    digest = hashlib.sha256(arguments.data.read_bytes()).hexdigest()
    lineage = {"data": f"sha256:{digest}"}
    if parent:
        lineage["parent"] = f"{parent['name']}/{parent['version']}"
    told: dict[str, Any] = {
        "name": arguments.name or parent.get("name", "credit"),
        "format": "onnx",
        "author": arguments.author,
        "services": arguments.service or parent.get("services") or ["credit-risk"],
        "tags": dict(tag.split("=", 1) for tag in arguments.tag),
        "inputs": [
            {"name": name, "type": "string" if name in TEXTS else "number"} for name in COLUMNS
        ],
        "outputs": [{"name": "probabilities", "type": "number"}],
        "example": [dict(zip(COLUMNS, row, strict=True)) for row in applications[:3].tolist()],
        "metrics": metrics,
        "lineage": lineage,
    }
    return {field: value for field, value in told.items() if value}


def running() -> dict[str, Any]:
    """Give the manifest of the model that is to be replaced, if a batch job started us."""
    place = os.environ.get("WAYSTAGE_INPUT_SNAPSHOT")
    told: dict[str, Any] = json.loads(Path(place).read_text()) if place else {}
    return told


def asked() -> argparse.Namespace:
    """Read the command line; a batch job says data and out by its environment."""
    first = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(description=first)
    data, out = os.environ.get("WAYSTAGE_INPUT_DATA"), os.environ.get("WAYSTAGE_OUTPUT")
    parser.add_argument("--data", type=Path, default=data, required=data is None)
    parser.add_argument("--out", type=Path, default=out, required=out is None)
    parser.add_argument("--name", help="name of the model in the repository")
    parser.add_argument("--author", help="who answers for the model and may not approve it")
    parser.add_argument("--service", action="append", help="service that it is for; repeatable")
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    if wrong := [tag for tag in arguments.tag if "=" not in tag]:
        parser.error(f"--tag {wrong[0]}: is not NAME=VALUE")
    return arguments


def main() -> None:
    """Measure the recipe out of fold, fit it on everything, write model and manifest."""
    arguments = asked()
    applications, events = read(arguments.data)
    metrics = measure(applications, events)
    arguments.out.mkdir(parents=True, exist_ok=True)
    save(scorecard().fit(applications, events), arguments.out / "model.onnx")
    told = manifest(arguments, applications, metrics)
    text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
    (arguments.out / "manifest.yaml").write_text(text, encoding="utf-8")
    print(f"{told['name']}: {metrics} -> {arguments.out}")


if __name__ == "__main__":
    main()
