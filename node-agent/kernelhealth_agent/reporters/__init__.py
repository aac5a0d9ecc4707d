"""Where findings go: the custom resource, Prometheus, a terminal."""
