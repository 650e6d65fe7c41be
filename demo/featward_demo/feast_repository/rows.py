"""Makes the rows that the demo's Feast serves: a few thousand drivers and customers.

Run with Feast's own interpreter in the repository's folder: ``python rows.py``. The values follow
from the row's number alone, so that whoever reads an answer can tell what it must be.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

ROWS = 3_000
FIRST_DRIVER = 1_001


def main() -> None:
    """Write both sources as parquet files."""
    data = Path("data")
    data.mkdir(exist_ok=True)
    seen = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    numbers = pd.Series(range(ROWS))
    drivers = pd.DataFrame(
        {
            "driver_id": FIRST_DRIVER + numbers,
            "conv_rate": (numbers % 1000) / 1000,
            "acc_rate": ((numbers % 500) / 500).astype("float32"),
            "avg_daily_trips": 1 + numbers % 40,
            "event_timestamp": seen,
            "created": seen,
        }
    )
    customers = pd.DataFrame(
        {
            "customer_id": [f"c-{number:05d}" for number in range(ROWS)],
            "current_balance": (numbers * 37 % 100_000) / 100,
            "lifetime_trip_count": numbers % 900,
            "event_timestamp": seen,
        }
    )
    drivers.to_parquet(data / "driver_hourly_stats.parquet", index=False)
    customers.to_parquet(data / "customer_profile.parquet", index=False)


if __name__ == "__main__":
    main()
