"""spark-submit this: the Silver layer of one pipeline."""

from lakehouse.engine.job import main
from lakehouse.specs import Layer

main(Layer.SILVER)
