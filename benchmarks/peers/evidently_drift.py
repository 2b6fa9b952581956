"""Evidently's PSI of every column of every window, against the first one."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Print values, verdicts, seconds and peak memory as JSON."""
    place, names = Path(sys.argv[1]), json.loads(sys.argv[2])
    begun = time.perf_counter()
    import pandas
    from evidently import Report
    from evidently.metrics import ValueDrift

    started = time.perf_counter()
    base, found = pandas.read_csv(place / "0.csv"), {}
    for number in range(1, len(names)):
        now = pandas.read_csv(place / f"{number}.csv")
        report = Report([ValueDrift(column=column, method="psi") for column in base.columns])
        metrics = report.run(now, base).dict()["metrics"]
        psi = {c: float(m["value"]) for c, m in zip(base.columns, metrics, strict=True)}
        worst = max(psi.values())
        verdict = "breach" if worst > 0.25 else "warn" if worst > 0.1 else "ok"
        found[names[number]] = {"distance": psi, "verdict": verdict}
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"windows": found, "seconds": seconds, "import": started - begun,
                      "peak_mb": peak}))  # fmt: skip


if __name__ == "__main__":
    main()
