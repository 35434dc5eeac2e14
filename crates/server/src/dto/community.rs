//! Communities on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EntityRef, Usage};

/// Which communities to summarise.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummariesBody {
    /// Their level, 0 to 16; default 0.
    #[serde(default)]
    pub level: Option<u32>,
    /// How many, the largest first, 1 to 100; default 20.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// A group of entities that relations join closely.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Community {
    /// Its number; communities that are found anew are numbered anew.
    pub id: u32,
    /// 0 for those of the whole graph.
    pub level: u32,
    /// The community of the level above that it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Number of its entities.
    pub size: usize,
    /// The title that a model gave it; without one the names of its most central entities.
    pub title: String,
    /// Keywords of the relations around its central entities, those with most weight first.
    pub key_phrases: Vec<String>,
    /// Its most central entities.
    pub central: Vec<EntityRef>,
    /// Documents that mention these.
    pub documents: usize,
    /// What a model wrote about it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Communities of one level.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Communities {
    /// The largest first.
    pub communities: Vec<Community>,
    /// How many the level has.
    pub total: usize,
    /// Levels there are.
    pub levels: u32,
    /// Changes of the workspace since they were found; they are found anew by themselves.
    pub changes: u64,
    /// What summaries took.
    pub usage: Usage,
    /// What could not be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

impl From<lorekeep_types::Communities> for Communities {
    fn from(found: lorekeep_types::Communities) -> Self {
        Self {
            communities: found.communities.into_iter().map(Into::into).collect(),
            total: found.total,
            levels: found.levels,
            changes: found.changes,
            usage: found.usage.into(),
            notices: found.notices,
        }
    }
}

impl From<lorekeep_types::Community> for Community {
    fn from(community: lorekeep_types::Community) -> Self {
        let central = community.central.into_iter();
        Self {
            id: community.id,
            level: community.level,
            parent: community.parent,
            size: community.size,
            title: community.title,
            key_phrases: community.key_phrases,
            central: central.map(|entity| EntityRef { name: entity.name, r#type: entity.kind }).collect(),
            documents: community.documents,
            summary: community.summary,
        }
    }
}
