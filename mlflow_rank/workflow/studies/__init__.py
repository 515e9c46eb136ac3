"""The studies as use cases: gather what was measured and piloted, compute, report, record."""
