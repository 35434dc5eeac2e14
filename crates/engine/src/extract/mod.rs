//! The built-in extractor of entities and relations.
