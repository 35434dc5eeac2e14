//! The formats of a workspace's truth. The tables themselves are described in `schema/`.

use crate::format::Format;

/// Its mark is "Lore".
pub(crate) const FORMAT: Format = Format {
    name: "workspace",
    mark: 0x4C6F_7265,
    steps: &[
        include_str!("schema/0001.sql"),
        include_str!("schema/0002.sql"),
        include_str!("schema/0003.sql"),
        include_str!("schema/0004.sql"),
        include_str!("schema/0005.sql"),
    ],
};
