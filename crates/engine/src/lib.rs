//! The data plane: ingest, retrieve, answer and cite.
