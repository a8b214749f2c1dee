"""The audit database: migrations, the run log with its ledger, leases, stored alerts."""
