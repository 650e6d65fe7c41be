"""A dashboard as Grafana reads it. The data source is chosen on the dashboard."""

import json
from typing import Any

from dashboards.panels import Dashboard, Panel

__all__ = ["text_of"]

_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 3
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def text_of(dashboard: Dashboard) -> str:
    """The file."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}
    whole = {
        "uid": f"featward-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["featward"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [_shown(number, one) for number, one in enumerate(dashboard.panels)],
    }
    return json.dumps(whole, indent=1) + "\n"


def _shown(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "gridPos": {"w": _WIDTH, "h": _HEIGHT, "x": column * _WIDTH, "y": row * _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": one.expression,
                "legendFormat": one.legend,
            }
            for index, one in enumerate(panel.queries)
        ],
    }
