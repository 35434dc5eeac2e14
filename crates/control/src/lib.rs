//! The control plane: decides from recorded facts and owns no I/O. Today it holds [`diagnostics`] and
//! [`advice`]; routing, flags, roll-outs and alerts belong here as well.

pub mod advice;
pub mod diagnostics;
