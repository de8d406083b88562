"""The HTTP API for administrators, probes and Prometheus. It runs in the gateway's own loop, in small pieces."""
