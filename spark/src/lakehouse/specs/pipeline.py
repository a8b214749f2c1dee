"""A pipeline folder's `pipeline.yaml`."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lakehouse.specs.fields import Duration, Name


class Spark(BaseModel):
    """What one Spark application of the pipeline takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tables_side_by_side: int = Field(default=2, ge=1, le=16)
    shuffle_partitions: int = Field(default=2, ge=1, le=1000)


class Alerts(BaseModel):
    """Whom a run tells; failures are always told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_success: bool = True


class Holidays(BaseModel):
    """Where the public holidays of the seed `holidays` come from, and of which years, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        pattern=r"^https?://.*\{year\}/[A-Z]{2}$",
        description="Address of a year's holidays; it ends with {year} and the country's two letters, such as BR.",
    )
    first_year: int = Field(ge=1900, le=2199)
    last_year: int = Field(ge=1900, le=2199)

    @property
    def country(self) -> str:
        """Return the country's two letters."""
        return self.url[-2:]

    @property
    def years(self) -> range:
        """Return every year to ask for."""
        return range(self.first_year, self.last_year + 1)


class Pipeline(BaseModel):
    """Source, schedule, limits and alerts of one pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: str
    owner: str
    connection: Name = Field(default="source", description="Name of a source connection in the settings.")
    kind: Literal["postgres"] = "postgres"
    schedule: str | None = Field(default=None, description="Cron expression or Airflow preset; null: by hand.")
    retries: int = Field(default=2, ge=0, le=10)
    retry_delay: Duration = timedelta(seconds=30)
    timeout: Duration = timedelta(hours=2)
    keep_publications: int = Field(default=20, ge=1, description="Manifests whose table versions VACUUM respects.")
    spark: Spark = Spark()
    alerts: Alerts = Alerts()
    holidays: Holidays | None = None
