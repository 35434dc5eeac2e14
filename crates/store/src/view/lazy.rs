//! Vectors of entities and relations: read from the truth when a query first needs them, followed from then on.
//! Most workspaces are asked in ways that never need them, so they take no memory until then.

use std::sync::{Arc, Mutex, PoisonError};

use lorekeep_types::VectorKind;

use super::vectors::VectorSet;
use crate::error::Result;
use crate::truth::Truth;
use crate::truth::reader::Reader;

/// The vectors of one kind, as of one snapshot or a little later.
#[derive(Debug)]
pub(super) struct LazyVectors {
    kind: VectorKind,
    loaded: Mutex<Option<VectorSet>>,
}

impl LazyVectors {
    /// Nothing is read yet.
    pub(super) fn new(kind: VectorKind) -> Self {
        Self { kind, loaded: Mutex::new(None) }
    }

    /// The vectors, read now if need be.
    pub(super) fn get(&self, truth: &Truth) -> Result<VectorSet> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = &*loaded {
            return Ok(set.clone());
        }
        let mut set = VectorSet::default();
        truth.read()?.each_vector(self.kind, &mut |row, vector| {
            set.put(row, &vector);
            Ok(())
        })?;
        *loaded = Some(set.clone());
        Ok(set)
    }

    /// The same with `rows` read anew; still unread when this one is.
    pub(super) fn followed(&self, reader: &Reader<'_>, rows: impl Iterator<Item = i64>) -> Result<Arc<Self>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut set) = loaded else { return Ok(Arc::new(Self::new(self.kind))) };
        for row in rows {
            match reader.vector(self.kind, row)? {
                Some(vector) => set.put(row, &vector),
                None => set.remove(row),
            }
        }
        Ok(Arc::new(Self { kind: self.kind, loaded: Mutex::new(Some(set)) }))
    }
}
