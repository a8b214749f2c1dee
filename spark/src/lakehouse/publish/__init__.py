"""Publishing: one manifest names the version of every table that readers see."""
