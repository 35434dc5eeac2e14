//! The control plane; today its diagnostics.
