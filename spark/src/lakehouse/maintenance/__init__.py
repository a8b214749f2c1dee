"""Care for a pipeline's tables: few large files instead of many small ones, and none that no reader can reach."""
