"""What Airflow shows beside a DAG and its tasks, from the specs."""

from __future__ import annotations

from lakehouse.specs import Catalog, Layer, Silver, Table


def describe_dag(catalog: Catalog) -> str:
    """Return a pipeline's purpose and its tables as Markdown; Airflow shows it in a window too narrow for a table."""
    pipeline = catalog.pipeline
    lines = [f"## {pipeline.name}", pipeline.description, "", f"Owner: {pipeline.owner}."]
    for layer in (Layer.SILVER, Layer.GOLD):
        lines += ["", f"### {layer}", ""]
        lines += [
            f"* {_contract(table, table.name)}{_reads(table)}: {_one_line(table.description)}"
            for table in catalog.layer(layer)
        ]
    return "\n".join(lines)


def describe_layer(catalog: Catalog, layer: Layer) -> str:
    """Return the tables of one layer's task as Markdown."""
    tables = catalog.layer(Layer.SILVER if layer is Layer.BRONZE else layer)
    how = {
        Layer.BRONZE: "Reads what changed in the source since the last window, as it is.",
        Layer.SILVER: "Casts, judges and merges; what a rule rejects is quarantined with its reasons.",
        Layer.GOLD: "Brings dimensions, facts and features up to date by the keys that changed.",
    }
    lines = [f"* {_contract(table, f'{table.pipeline}.{layer}.{table.name}')}" for table in tables]
    return "\n".join([how[layer], "", "Each name leads to the table's contract.", "", *lines])


def contract_path(table: Table) -> str:
    """Return where a table's contract is read in Airflow's own web server, below its base address."""
    return f"lakehouse/contracts/{table.pipeline}/{table.layer}/{table.name}"


def _contract(table: Table, text: str) -> str:
    return f"[`{text}`]({contract_path(table)})"


def _reads(table: Table) -> str:
    inputs = table.block.source if isinstance(table.block, Silver) else ", ".join(table.inputs)
    return f" from {inputs}" if inputs else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
