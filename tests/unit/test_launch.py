"""What a driver is started with, on this machine and on a cluster."""

from __future__ import annotations

from lakehouse.launch import PORTS, spark_conf
from lakehouse.settings import Settings
from lakehouse.specs.pipeline import Spark
from lakehouse.stack.environment import RANDOM
from lakehouse.stack.one_shot import database_url


def conf(**settings: object) -> dict[str, str]:
    return spark_conf(Settings(_env_file=None, **settings), Spark())  # type: ignore[arg-type]


def test_a_driver_on_this_machine_listens_on_loopback_and_asks_no_cluster():
    told = conf()
    assert (told["spark.driver.host"], told["spark.driver.bindAddress"]) == ("127.0.0.1", "127.0.0.1")
    assert not {"spark.cores.max", "spark.driver.port", "spark.executor.memory"} & told.keys()


def test_a_driver_on_a_cluster_has_a_name_its_share_and_ports_that_do_not_overlap():
    cluster = {"spark_master": "spark://master:7077", "spark_driver_host": "airflow", "spark_driver_port": 7100}
    told = conf(**cluster, spark_cores=3, spark_executor_memory="700m")
    assert (told["spark.driver.host"], told["spark.driver.bindAddress"]) == ("airflow", "0.0.0.0")
    assert (told["spark.cores.max"], told["spark.executor.memory"]) == ("3", "700m")
    calls, blocks, more = (
        int(told[f"spark.{name}"]) for name in ("driver.port", "driver.blockManager.port", "port.maxRetries")
    )
    assert calls == 7100
    assert calls + more < blocks
    assert more == PORTS - 1
    assert told["spark.executor.extraClassPath"] == told["spark.driver.extraClassPath"]


def test_any_port_is_any_port_for_both():
    told = conf(spark_master="spark://master:7077")
    assert (told["spark.driver.port"], told["spark.driver.blockManager.port"]) == ("0", "0")


def test_no_secret_is_a_property():
    secrets = {name: f"canary-{name}" for name in RANDOM}
    told = conf(spark_master="spark://master:7077", lake="s3a://{layer}", **secrets)
    assert "canary" not in str(told)


def test_another_database_of_the_same_server():
    assert database_url("postgresql://u:p%40@h:5/audit", "airflow") == "postgresql://u:p%40@h:5/airflow"
