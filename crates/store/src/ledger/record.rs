//! What changes in the ledger: the unit of its journal and of its file.

use std::sync::Arc;

use lorekeep_types::{BudgetAlert, BudgetScope, BudgetWindow, Closing, Opening};
use serde::{Deserialize, Serialize};

/// A change and its place among all of them, counted from 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) place: i64,
    pub(super) change: Change,
}

/// A change that was decided. Amounts are nano-USD.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Change {
    /// The counter of a budget begins at zero: no call of its window was opened before.
    Began { scope: BudgetScope, window: BudgetWindow, start: i64 },
    /// A call was admitted, and so much reserved for it.
    Opened {
        number: i64,
        #[serde(with = "whole")]
        opening: Arc<Opening>,
        reserved: i64,
    },
    /// So much more was reserved for an open call.
    Reserved {
        number: i64,
        #[serde(with = "whole")]
        opening: Arc<Opening>,
        more: i64,
    },
    /// A call ended.
    Closed {
        number: i64,
        #[serde(with = "whole")]
        opening: Arc<Opening>,
        closing: Box<Closing>,
        charge: Charge,
    },
    /// A call was taken for lost.
    Lost {
        number: i64,
        #[serde(with = "whole")]
        opening: Arc<Opening>,
        at_ms: i64,
        charge: Charge,
    },
    /// A budget reached a level.
    Alert(BudgetAlert),
}

/// What the end of a call means for the budgets it belongs to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Charge {
    /// What it is charged, all in all.
    pub(super) charged: i64,
    /// What was charged for it before: it had been taken for lost.
    pub(super) before: i64,
    /// What is no longer reserved for it.
    pub(super) released: i64,
}

impl Charge {
    /// What counters of settled money grow by.
    pub(super) const fn settled(self) -> i64 {
        self.charged - self.before
    }
}

/// An opening is shared by the records of its call and written whole into each.
mod whole {
    use super::{Arc, Deserialize, Opening, Serialize};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(opening: &Arc<Opening>, to: S) -> Result<S::Ok, S::Error> {
        opening.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Arc<Opening>, D::Error> {
        Opening::deserialize(from).map(Arc::new)
    }
}
