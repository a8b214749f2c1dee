"""Contracts and pipelines as typed models; loading them never imports Spark."""

from lakehouse.specs.load import Catalog, load_catalog, load_pipeline
from lakehouse.specs.model import Check, Column, Full, Incremental, Layer, Lookup, RowRule, Scd2, Silver, Table
from lakehouse.specs.pipeline import Pipeline
from lakehouse.specs.problem import Problem

__all__ = [
    "Catalog",
    "Check",
    "Column",
    "Full",
    "Incremental",
    "Layer",
    "Lookup",
    "Pipeline",
    "Problem",
    "RowRule",
    "Scd2",
    "Silver",
    "Table",
    "load_catalog",
    "load_pipeline",
]
