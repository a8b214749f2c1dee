"""How a task ends that Airflow wants to end."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from lakehouse.dags.step import StepOperator


@pytest.fixture
def step() -> StepOperator:
    return StepOperator(task_id="quality_gate", pipeline="olist", python_callable=print)


def test_a_task_that_is_told_to_end_may_be_tried_again(step):
    """A person who has ended it has set its state: that one stands. A scheduler that was stopped has set none."""
    with pytest.raises(AirflowException, match="its state was set there, or Airflow itself was stopped") as caught:
        step.on_kill()
    assert not isinstance(caught.value, AirflowFailException)


def be_too_slow() -> None:
    raise AirflowTaskTimeout("30 minutes")


def test_a_task_that_was_too_slow_ends_as_that(step):
    try:
        be_too_slow()
    except AirflowTaskTimeout:
        step.on_kill()
