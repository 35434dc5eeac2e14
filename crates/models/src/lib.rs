//! Everything that runs or calls a model: the built-in embedder and the token counters.
