"""Ninety days of a shop: every transition of the engine, by an event or by time,
stands in the log of an oracle that has only the raw events, at the same
millisecond, and no other.

SHOPBELL_CUSTOMERS says how large the shop is; SHOPBELL_SEED which one it is: each
run draws another.
"""

import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle  # noqa: E402

CUSTOMERS = os.environ.get("SHOPBELL_CUSTOMERS", "500")
SEED = os.environ.get("SHOPBELL_SEED", str(random.randrange(1, 1 << 30)))


def test_every_transition_is_the_oracles(tmp_path):
    events, transitions = tmp_path / "events.ndjson", tmp_path / "transitions.ndjson"
    program = os.path.join(os.environ["SHOPBELL_BUILD"], "tests/property/simulate")
    subprocess.run([program, CUSTOMERS, SEED, events, transitions], check=True)
    count, missing, surplus = oracle.compare(events, transitions)
    told = f"seed {SEED}, {CUSTOMERS} customers"
    assert count > 10 * int(CUSTOMERS), told
    assert (missing[:10], surplus[:10]) == ([], []), \
        f"{told}: {len(missing)} missing, {len(surplus)} too many"
