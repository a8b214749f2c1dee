"""spark-submit this: the Bronze layer of one pipeline."""

from lakehouse.engine.job import main
from lakehouse.specs import Layer

main(Layer.BRONZE)
