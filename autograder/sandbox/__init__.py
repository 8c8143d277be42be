"""Running code that nobody has read: in namespaces of its own, within limits, with nothing to see but its inputs."""
