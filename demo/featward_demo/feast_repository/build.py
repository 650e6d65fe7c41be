"""Brings the demo's Feast repository to life: rows, registry and online store, in one process.

Run with Feast's own interpreter in the repository's folder: ``python build.py``. It does what
``feast apply`` and ``feast materialize`` do, without paying for Feast's slow start twice.
"""

from datetime import UTC, datetime, timedelta

import definitions
import rows
from feast import FeatureStore


def main() -> None:
    """Make the rows, apply the definitions, fill the online store."""
    rows.main()
    store = FeatureStore(".")
    store.apply(
        [
            definitions.driver,
            definitions.customer,
            definitions.driver_stats_source,
            definitions.driver_stats_push,
            definitions.customer_profile_source,
            definitions.driver_hourly_stats,
            definitions.customer_profile,
            definitions.conv_rate_plus,
            definitions.driver_activity_v1,
        ]
    )
    now = datetime.now(UTC)
    store.materialize(start_date=now - timedelta(days=1), end_date=now)


if __name__ == "__main__":
    main()
