"""One of many clients that do the same; a process of its own, with nothing but HTTP.

    python clicking.py NUMBER ORDERS

ORDERS is a JSON file: addresses, token, and the requests that each client makes in an order of
its own. Prints what each request was answered.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
from pathlib import Path
from typing import Any


def ask(address: str, token: str, order: dict[str, Any], person: str) -> tuple[int, Any]:
    """Make one request; what is not done at the moment is asked for again."""
    headers = {"Authorization": f"Bearer {token}", "X-Waystage-Person": person,
               "Content-Type": "application/json"}  # fmt: skip
    for _ in range(50):
        line = http.client.HTTPConnection(address, timeout=60)
        line.request("POST", f"/v1/{order['path']}", json.dumps(order["body"]), headers)
        answer = line.getresponse()
        said = json.loads(answer.read())
        line.close()
        if answer.status != 503:
            break
        time.sleep(0.1)
    return answer.status, said


def main() -> None:
    """Make all requests and say how each was answered."""
    number, given = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    orders = list(enumerate(given["orders"]))
    random.Random(number).shuffle(orders)
    found = []
    for each, order in orders:
        at = number % len(given["addresses"])
        people = order["people"]
        person = people[number % len(people)]
        status, said = ask(given["addresses"][at], given["tokens"][at], order, person)
        found.append([each, person, status, said])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
