"""A Feast repository that is not the demo's: two entities, a view computed on demand, an alias.

Built with Feast's own interpreter: ``python definitions.py`` in its folder.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RequestSource,
    ValueType,
)
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Bool, Float64, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
store = Entity(name="store", join_keys=["store_id"], value_type=ValueType.INT64)


def source(name: str) -> FileSource:
    """A file of rows."""
    return FileSource(name=name, path=f"{name}.parquet", timestamp_field="at")


order_history = FeatureView(
    name="order_history",
    entities=[customer],
    ttl=timedelta(days=30),
    schema=[
        Field(name="customer_id", dtype=String),
        Field(name="orders_30d", dtype=Int64),
        Field(name="spent_30d", dtype=Float64, tags={"sensitivity": "2"}),
        Field(name="vip", dtype=Bool),
    ],
    source=source("orders"),
    tags={"team": "shop-ml"},
    owner="shop-ml@acme.example",
)
store_load = FeatureView(
    name="store_load",
    entities=[store],
    ttl=timedelta(days=30),
    schema=[Field(name="store_id", dtype=Int64), Field(name="queue", dtype=Int64)],
    source=source("stores"),
    tags={"team": "shop-ml"},
    owner="shop-ml@acme.example",
)
basket = RequestSource(name="basket", schema=[Field(name="basket_value", dtype=Float64)])


@on_demand_feature_view(
    sources=[order_history[["orders_30d"]], basket],
    schema=[Field(name="value_per_order", dtype=Float64)],
    mode="python",
)
def basket_risk(inputs: dict[str, Any]) -> dict[str, Any]:
    """The basket's value for each order of the last month."""
    pairs = zip(inputs["basket_value"], inputs["orders_30d"], strict=True)
    return {"value_per_order": [value / max(1, orders or 0) for value, orders in pairs]}


checkout_v1 = FeatureService(
    name="checkout_v1", features=[order_history[["orders_30d"]], basket_risk]
)
history_v1 = FeatureService(name="history_v1", features=[order_history.with_name("history")])
# An on-demand view without what it computes from.
risk_v1 = FeatureService(name="risk_v1", features=[basket_risk])
SERVICES = [checkout_v1, history_v1, risk_v1]


def main() -> None:
    """Make the rows, apply, fill the online store."""
    now = datetime.now(UTC)
    names = [f"c{number}" for number in range(20)]
    orders = {"customer_id": names, "orders_30d": range(20), "spent_30d": 1.5, "vip": True}
    pd.DataFrame({**orders, "at": now}).to_parquet("orders.parquet")
    pd.DataFrame({"store_id": range(5), "queue": 3, "at": now}).to_parquet("stores.parquet")
    feast = FeatureStore(".")
    feast.apply([customer, store, order_history, store_load, basket_risk, *SERVICES])
    feast.materialize(start_date=now - timedelta(days=1), end_date=now + timedelta(hours=1))


if __name__ == "__main__":
    main()
