"""What the demo's Feast serves: two feature views, one computed on demand, and a feature service.

Read by ``feast apply`` with Feast's own interpreter, never imported by featward.
"""

from datetime import timedelta
from typing import Any

from feast import (
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RequestSource,
    ValueType,
)
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, String

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)

driver_stats_source = FileSource(
    name="warehouse.drivers.hourly_stats",
    path="data/driver_hourly_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
    owner="driver-ml@acme.example",
)
driver_stats_push = PushSource(name="driver_stats_push", batch_source=driver_stats_source)
customer_profile_source = FileSource(
    name="warehouse.customers.profile",
    path="data/customer_profile.parquet",
    timestamp_field="event_timestamp",
    owner="customer-ml@acme.example",
)

driver_hourly_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=30),
    schema=[
        Field(name="driver_id", dtype=Int64),
        Field(name="conv_rate", dtype=Float64),
        Field(name="acc_rate", dtype=Float32),
        Field(name="avg_daily_trips", dtype=Int64, tags={"sensitivity": "2"}),
    ],
    source=driver_stats_push,
    online=True,
    owner="driver-ml@acme.example",
    tags={"team": "driver-ml"},
)
customer_profile = FeatureView(
    name="customer_profile",
    entities=[customer],
    ttl=timedelta(days=30),
    schema=[
        Field(name="customer_id", dtype=String),
        Field(name="current_balance", dtype=Float64, tags={"sensitivity": "3"}),
        Field(name="lifetime_trip_count", dtype=Int64),
    ],
    source=customer_profile_source,
    online=True,
    owner="customer-ml@acme.example",
    tags={"team": "customer-ml"},
)

val_to_add = RequestSource(name="val_to_add", schema=[Field(name="val_to_add", dtype=Int64)])


# Older SDKs fetch the sources themselves: naming the one column keeps a grant of the service enough for them.
@on_demand_feature_view(
    sources=[driver_hourly_stats[["conv_rate"]], val_to_add],
    schema=[Field(name="conv_plus", dtype=Float64)],
    mode="python",
    owner="driver-ml@acme.example",
    tags={"team": "driver-ml"},
)
def conv_rate_plus(inputs: dict[str, Any]) -> dict[str, Any]:
    """Add the caller's number to the driver's conversion rate."""
    pairs = zip(inputs["conv_rate"], inputs["val_to_add"], strict=True)
    return {"conv_plus": [None if rate is None else rate + added for rate, added in pairs]}


driver_activity_v1 = FeatureService(
    name="driver_activity_v1",
    features=[driver_hourly_stats[["conv_rate"]], conv_rate_plus],
    owner="driver-ml@acme.example",
    tags={"team": "driver-ml"},
)
