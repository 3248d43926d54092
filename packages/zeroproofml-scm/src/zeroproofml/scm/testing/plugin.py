"""pytest plugin: runs the conformance corpus against any backend."""
