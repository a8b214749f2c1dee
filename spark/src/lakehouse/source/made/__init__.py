"""The parts of a made shop: places, goods, orders, reviews. Facts are public ones, everything else is drawn by lot."""
