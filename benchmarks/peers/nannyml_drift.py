"""NannyML's Jensen-Shannon distance of every column of every window, against the first one."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Print distances, verdicts, seconds and peak memory as JSON."""
    place, names = Path(sys.argv[1]), json.loads(sys.argv[2])
    begun = time.perf_counter()
    import pandas
    from nannyml import UnivariateDriftCalculator
    from nannyml.thresholds import ConstantThreshold

    started = time.perf_counter()
    base, found = pandas.read_csv(place / "0.csv"), {}
    columns = list(base.columns)
    calculator = UnivariateDriftCalculator(
        column_names=columns,
        treat_as_categorical=["city"],
        continuous_methods=["jensen_shannon"],
        categorical_methods=["jensen_shannon"],
        chunk_number=1,
        # unsaid, limits are learned from ten chunks of the reference; one window has no chunks
        thresholds={"jensen_shannon": ConstantThreshold(upper=0.1)},
    ).fit(base)
    for number in range(1, len(names)):
        drift = calculator.calculate(pandas.read_csv(place / f"{number}.csv"))
        frame = drift.filter(period="analysis").to_df(multilevel=False)
        distance = {c: float(frame[f"{c}_jensen_shannon_value"].iloc[-1]) for c in columns}
        alert = any(bool(frame[f"{c}_jensen_shannon_alert"].iloc[-1]) for c in columns)
        found[names[number]] = {"distance": distance, "verdict": "alert" if alert else "ok"}
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"windows": found, "seconds": seconds, "import": started - begun,
                      "peak_mb": peak}))  # fmt: skip


if __name__ == "__main__":
    main()
