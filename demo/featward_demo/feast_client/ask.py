"""A client app with the stock Feast SDK, as its owner would have written it.

Run with Feast's own interpreter: ``python ask.py FOLDER``, where FOLDER has a feature_store.yaml whose online
store is `remote`. It reads one question a line from standard input, as JSON with `features` (a list) or
`feature_service` (a name) and `rows` (a list of objects), and answers each with one line: the columns, or the
text of the exception. It stays open because Feast takes seconds to import.
"""

import json
import sys
import time

from feast import FeatureStore
from feast.version import get_version


def main() -> None:
    """Say that Feast is there, then answer until the input ends."""
    # Whatever Feast prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    store = FeatureStore(sys.argv[1])
    print(json.dumps({"feast": get_version()}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(store, json.loads(line))), file=answers, flush=True)


def answer(store: FeatureStore, question: dict) -> dict:
    """One call of the SDK, timed."""
    service = question.get("feature_service")
    features = store.get_feature_service(service) if service else question["features"]
    started = time.perf_counter()
    try:
        columns = store.get_online_features(
            features=features, entity_rows=question["rows"]
        ).to_dict()
    except Exception as error:  # whatever the SDK raises is the outcome that is shown
        text = f"{type(error).__name__}: {error}"
        return {"error": text, "seconds": time.perf_counter() - started}
    return {"columns": columns, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
