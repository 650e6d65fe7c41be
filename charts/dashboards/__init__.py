"""The chart's Grafana dashboards: what is on them, and the files made of that."""
