//! Bytes to text with pages, headings and spans; pure, synchronous and bounded.
