"""Our figures beside the machine's own limit, measured side by side in one run."""
