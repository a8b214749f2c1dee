"""Airflow plugin: the runs' pages, in the menu and as a tab of each DAG run; alerts, and runs that end in between."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from lakehouse.alerts.resident import beside
from lakehouse.dags import ended
from lakehouse.serving.mount import RunsPages

ICON = "lakehouse/static/icon.svg"


class LakehouseRuns(AirflowPlugin):
    """Addresses are relative: Airflow may be served below a path."""

    name = "lakehouse_runs"
    fastapi_apps: ClassVar[list[Any]] = [{"app": RunsPages(), "url_prefix": "/lakehouse", "name": "Lakehouse runs"}]
    # Made with the API server, and passed through: its process stays, so it sends what no run is there to send.
    fastapi_root_middlewares: ClassVar[list[Any]] = [{"middleware": beside, "name": "Lakehouse alerts"}]
    listeners: ClassVar[list[Any]] = [ended]
    external_views: ClassVar[list[Any]] = [
        {"name": "Lakehouse", "href": "lakehouse/", "url_route": "lakehouse", "nav_top_level": True, "icon": ICON},
        {
            "name": "Tables",
            "href": "lakehouse/runs?dag_id={DAG_ID}&dag_run_id={RUN_ID}",
            "url_route": "lakehouse-tables",
            "destination": "dag_run",
            "icon": ICON,
        },
    ]
