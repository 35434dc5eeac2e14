//! Bounded pull reading of XML: depth, time and entity limits. Entities beyond the predefined and numeric ones
//! are dropped, so none expands. Readers see local names only.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::encoding;
use crate::error::Result;
use crate::limits::Watch;

/// Time and cancellation are checked every this many events.
const CHECK_EVERY: usize = 4096;

/// One step through a document.
pub(crate) enum Node<'a> {
    /// A start tag; empty elements give this and a [`Node::Close`].
    Open(Element<'a>),
    /// The local name of the element that ends.
    Close(String),
    /// Text with its references resolved. Adjacent pieces are not joined.
    Text(String),
}

/// A start tag.
pub(crate) struct Element<'a> {
    tag: BytesStart<'a>,
}

impl Element<'_> {
    /// Name without prefix.
    pub(crate) fn name(&self) -> String {
        self.tag.local_name().as_ref().to_owned()
    }

    /// Value of the attribute with this local name.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.attributes().find(|(local, _)| local == name).map(|(_, value)| value)
    }

    /// Attributes by local name; namespace declarations left out.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let mut attributes = self.tag.attributes();
        attributes.with_checks(false);
        attributes.flatten().filter_map(|attribute| {
            let key: &str = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                return None;
            }
            let local: &str = attribute.key.local_name().into_inner();
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok()?;
            Some((local.to_owned(), value.into_owned()))
        })
    }
}

/// A reader over one document.
pub(crate) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    watch: &'a Watch<'a>,
    closing: Option<String>,
    depth: usize,
    events: usize,
    damage: Option<String>,
}

/// The text of an XML part, by its byte order mark or declaration, UTF-8 otherwise.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let declared = head.split("encoding=").nth(1).and_then(|rest| {
        let quote = rest.chars().next()?;
        rest.get(1..)?.split(quote).next().map(str::to_owned)
    });
    encoding::decode(bytes, declared.as_deref().or(Some("utf-8"))).text.into_owned()
}

impl<'a> Xml<'a> {
    pub(crate) fn new(text: &'a str, watch: &'a Watch<'a>) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        Self { reader, watch, closing: None, depth: 0, events: 0, damage: None }
    }

    /// The next step; `None` at the end, or where the document is too damaged to go on.
    ///
    /// # Errors
    /// Nesting too deep, out of time, cancelled.
    pub(crate) fn next(&mut self) -> Result<Option<Node<'a>>> {
        if let Some(name) = self.closing.take() {
            return Ok(Some(Node::Close(name)));
        }
        loop {
            self.events += 1;
            if self.events.is_multiple_of(CHECK_EVERY) {
                self.watch.check()?;
            }
            match self.reader.read_event() {
                Ok(Event::Start(tag)) => {
                    self.depth += 1;
                    self.watch.nesting(self.depth)?;
                    return Ok(Some(Node::Open(Element { tag })));
                }
                Ok(Event::Empty(tag)) => {
                    self.closing = Some(tag.local_name().as_ref().to_owned());
                    return Ok(Some(Node::Open(Element { tag })));
                }
                Ok(Event::End(tag)) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Some(Node::Close(tag.local_name().as_ref().to_owned())));
                }
                Ok(Event::Text(text)) => return Ok(Some(Node::Text(text.xml10_content().into_owned()))),
                Ok(Event::CData(text)) => return Ok(Some(Node::Text(text.xml10_content().into_owned()))),
                Ok(Event::GeneralRef(reference)) => {
                    if let Some(text) = resolve(&reference) {
                        return Ok(Some(Node::Text(text)));
                    }
                }
                Ok(Event::Eof) => return Ok(None),
                Ok(_) => {}
                Err(error) => {
                    self.damage = Some(error.to_string());
                    return Ok(None);
                }
            }
        }
    }

    /// Skips the rest of the element that was just opened.
    pub(crate) fn skip(&mut self) -> Result<()> {
        let mut open = 1_usize;
        while open > 0 {
            match self.next()? {
                Some(Node::Open(_)) => open += 1,
                Some(Node::Close(_)) => open -= 1,
                Some(Node::Text(_)) => {}
                None => break,
            }
        }
        Ok(())
    }

    /// The joined text inside the element that was just opened.
    pub(crate) fn inner_text(&mut self) -> Result<String> {
        let mut open = 1_usize;
        let mut out = String::new();
        while open > 0 {
            match self.next()? {
                Some(Node::Open(_)) => open += 1,
                Some(Node::Close(_)) => open -= 1,
                Some(Node::Text(text)) => out.push_str(&text),
                None => break,
            }
        }
        Ok(out)
    }

    /// Why reading stopped before the end, if it did.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }
}

/// Predefined and numeric references.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c.to_string());
    }
    let name = reference.xml10_content();
    match name.as_ref() {
        "amp" => Some("&".to_owned()),
        "lt" => Some("<".to_owned()),
        "gt" => Some(">".to_owned()),
        "quot" => Some("\"".to_owned()),
        "apos" => Some("'".to_owned()),
        "nbsp" => Some(" ".to_owned()),
        _ => None,
    }
}
