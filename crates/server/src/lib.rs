//! HTTP: the native API, the compatible surfaces and the embedded page.
