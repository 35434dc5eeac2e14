//! The truth (SQLite) and its derived views (text, vector, graph).
