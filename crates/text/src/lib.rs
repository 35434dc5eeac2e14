//! Pure text analysis shared by indexing and querying.
