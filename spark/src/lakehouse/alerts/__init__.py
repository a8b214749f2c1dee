"""Discord messages: one a run, edited in place, stored in `audit.alerts` before anything is sent."""
