"""Who drives executions: here and now (sync, stream), or later (async_, and the adapters)."""
