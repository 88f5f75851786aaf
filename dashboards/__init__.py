"""The dashboards, generated from one description."""

import warnings

# The SDK recommends a newer schema, which no Grafana before 12 reads.
warnings.filterwarnings("ignore", message="Prefer using dashboardv2", category=DeprecationWarning)
