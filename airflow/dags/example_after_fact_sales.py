"""Airflow DAG of another team: it runs whenever readers see a new `olist.gold.fact_sales`.

It is paused until somebody wants it.
"""

from typing import Any

from airflow.sdk import DAG, Asset, task

SALES = Asset("olist.gold.fact_sales")

with DAG(
    "example_after_fact_sales",
    description="Runs after each publication that changes olist.gold.fact_sales.",
    doc_md=__doc__,
    schedule=[SALES],
    catchup=False,
    is_paused_upon_creation=True,
    tags=["example"],
):

    @task(inlets=[SALES])
    def read_news(triggering_asset_events: Any = None) -> dict[str, Any]:
        """Log what each publication since the last run did to the table; return the newest, {} of a run by hand."""
        news = [event.extra for event in (triggering_asset_events or {}).get(SALES, [])]
        for told in news:
            print(f"publication {told['publication']}: {told['rows']:,} rows, {told['inserted']:,} of them new")
        return news[-1] if news else {}

    read_news()
