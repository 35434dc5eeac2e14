//! Fixture builders and conformance suites; for tests only.
