//! Tokens to text: which elements are blocks, which are skipped, how lists and tables read.

use crate::clean;
use crate::dates;
use crate::draft::Draft;
use crate::readers::html::tokens::{Tag, Token, unescape};

/// Lists and tables nested deeper than this are read as if they were not nested.
const MAX_NESTING: usize = 64;

/// Never text.
const SKIPPED: [&str; 13] = [
    "script", "style", "template", "svg", "math", "iframe", "object", "canvas", "audio", "video", "head", "noscript",
    "map",
];
/// Text around the content.
const PRUNED: [&str; 9] = ["nav", "footer", "form", "button", "select", "textarea", "menu", "dialog", "datalist"];
/// Roles of text around the content.
const PRUNED_ROLES: [&str; 6] = ["navigation", "contentinfo", "search", "menu", "menubar", "dialog"];

/// A table being read.
#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: Option<String>,
}

/// A list being read: the next number when it is ordered.
struct List {
    number: Option<u32>,
}

pub(super) struct Flow<'d, 'w> {
    draft: &'d mut Draft<'w>,
    prune: bool,
    /// The element that is being skipped and how many of its name are open inside.
    skip: Option<(String, usize)>,
    text: String,
    heading: Option<u8>,
    pre: bool,
    in_title: bool,
    lists: Vec<List>,
    /// What stands before the current list item's first line.
    marker: Option<String>,
    tables: Vec<Table>,
}

impl<'d, 'w> Flow<'d, 'w> {
    pub(super) const fn new(draft: &'d mut Draft<'w>, prune: bool) -> Self {
        Self {
            draft,
            prune,
            skip: None,
            text: String::new(),
            heading: None,
            pre: false,
            in_title: false,
            lists: Vec::new(),
            marker: None,
            tables: Vec::new(),
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>) {
        match token {
            Token::Text(text) => self.on_text(text),
            Token::Open(tag) => self.on_open(&tag),
            Token::Close(name) => self.on_close(&name),
        }
    }

    pub(super) fn end(&mut self) {
        self.flush();
        while !self.tables.is_empty() {
            self.end_table();
        }
        self.draft.end_lines();
    }

    fn on_text(&mut self, text: &str) {
        if self.in_title {
            let title = clean::one_line(&unescape(text));
            if !title.is_empty() && self.draft.metadata.title.is_none() {
                self.draft.metadata.title = Some(title);
            }
        } else if self.skip.is_none() {
            let text = unescape(text);
            if self.pre {
                self.text.push_str(&text);
            } else {
                // Line breaks of the markup are blanks; those of <br> are written as line separators.
                self.text.extend(text.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }));
            }
        }
    }

    fn on_open(&mut self, tag: &Tag<'_>) {
        let name = tag.name.as_str();
        match name {
            "title" if self.skip.as_ref().is_none_or(|(skipped, _)| skipped == "head") => self.in_title = true,
            "meta" => self.meta(tag),
            "html" => {
                if let Some(language) = tag.attribute("lang").or_else(|| tag.attribute("xml:lang")) {
                    self.draft.metadata.language.get_or_insert(language);
                }
            }
            "body" | "main" | "article" => self.skip = None,
            _ => {}
        }
        if let Some((skipped, open)) = &mut self.skip {
            *open += usize::from(skipped == name);
            return;
        }
        if self.is_skipped(tag) {
            self.flush();
            self.skip = Some((name.to_owned(), 1));
            return;
        }
        self.open_block(name);
    }

    fn open_block(&mut self, name: &str) {
        match name {
            "br" => self.text.push(if self.pre { '\n' } else { '\u{2028}' }),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush();
                self.heading = name.as_bytes().get(1).map(|digit| digit - b'0');
            }
            "pre" | "listing" => {
                self.flush();
                self.pre = true;
            }
            "ul" | "ol" => {
                self.flush();
                if self.lists.len() < MAX_NESTING {
                    self.lists.push(List { number: (name == "ol").then_some(1) });
                }
            }
            "li" => {
                self.flush();
                self.marker = Some(self.next_marker());
            }
            "table" => self.open_table(),
            "tr" => self.end_row(),
            "td" | "th" => {
                self.end_cell();
                if let Some(table) = self.tables.last_mut() {
                    table.cell = Some(String::new());
                }
            }
            _ if is_block(name) => self.flush(),
            _ => {}
        }
    }

    fn on_close(&mut self, name: &str) {
        if name == "title" {
            self.in_title = false;
        }
        if let Some((skipped, open)) = &mut self.skip {
            if skipped == name {
                *open -= 1;
            }
            if *open == 0 || name == "body" {
                self.skip = None;
            }
            return;
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush();
                self.heading = None;
            }
            "pre" | "listing" => {
                self.flush();
                self.pre = false;
            }
            "ul" | "ol" => {
                self.flush();
                self.lists.pop();
                self.marker = None;
                if self.lists.is_empty() {
                    self.draft.end_lines();
                }
            }
            "tr" => self.end_row(),
            "td" | "th" => self.end_cell(),
            "table" => self.end_table(),
            _ if is_block(name) || name == "li" => self.flush(),
            _ => {}
        }
    }

    fn is_skipped(&self, tag: &Tag<'_>) -> bool {
        let name = tag.name.as_str();
        if SKIPPED.contains(&name) {
            return true;
        }
        if tag.attribute("hidden").is_some() && !matches!(name, "input" | "br" | "img" | "hr" | "body" | "html") {
            return true;
        }
        self.prune
            && (PRUNED.contains(&name) || tag.attribute("role").is_some_and(|role| PRUNED_ROLES.contains(&role.trim())))
    }

    fn meta(&mut self, tag: &Tag<'_>) {
        let Some(key) = tag.attribute("name").or_else(|| tag.attribute("property")) else { return };
        let Some(content) = tag.attribute("content") else { return };
        let metadata = &mut self.draft.metadata;
        match key.to_ascii_lowercase().as_str() {
            "author" | "dc.creator" | "citation_author" | "article:author" => {
                metadata.author.get_or_insert(content);
            }
            "date"
            | "dc.date"
            | "dcterms.date"
            | "article:published_time"
            | "citation_publication_date"
            | "last-modified"
                if metadata.date.is_none() =>
            {
                metadata.date = dates::iso_date(&content);
            }
            "og:title" | "dc.title" | "citation_title" => {
                metadata.title.get_or_insert(content);
            }
            _ => {}
        }
    }

    fn next_marker(&mut self) -> String {
        match self.lists.last_mut() {
            Some(List { number: Some(number) }) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            _ => "- ".to_owned(),
        }
    }

    /// Writes the text gathered so far as what it is.
    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        if let Some(cell) = self.tables.last_mut().and_then(|table| table.cell.as_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&clean::one_line(&text));
        } else if self.pre {
            self.draft.verbatim(&text);
        } else if let Some(level) = self.heading {
            self.draft.heading(level, &text);
        } else if self.lists.is_empty() && self.marker.is_none() {
            self.draft.paragraph(&text);
        } else if !text.trim().is_empty() {
            let indent = self.lists.len().saturating_sub(1);
            match self.marker.take() {
                Some(marker) => self.draft.line(indent, &format!("{marker}{}", clean::lines(&text))),
                None => self.draft.line(indent + 1, &text),
            }
        }
    }

    fn open_table(&mut self) {
        self.flush();
        // A table inside a cell: the outer one only arranges the page, its content reads as paragraphs.
        if let Some(cell) = self.tables.last_mut().and_then(|table| table.cell.take()) {
            self.draft.paragraph(&cell);
        }
        if self.tables.len() < MAX_NESTING {
            self.tables.push(Table::default());
        }
    }

    fn end_cell(&mut self) {
        self.flush();
        if let Some(table) = self.tables.last_mut()
            && let Some(cell) = table.cell.take()
        {
            table.row.push(cell);
        }
    }

    fn end_row(&mut self) {
        self.end_cell();
        if let Some(table) = self.tables.last_mut() {
            let row = std::mem::take(&mut table.row);
            if !row.is_empty() {
                table.rows.push(row);
            }
        }
    }

    fn end_table(&mut self) {
        self.end_row();
        if let Some(table) = self.tables.pop() {
            // One column is layout, not data.
            if table.rows.iter().all(|row| row.len() < 2) {
                for cell in table.rows.iter().flatten() {
                    self.draft.paragraph(cell);
                }
            } else {
                self.draft.table(&table.rows);
            }
        }
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "section"
            | "article"
            | "main"
            | "header"
            | "aside"
            | "blockquote"
            | "figure"
            | "figcaption"
            | "dl"
            | "dt"
            | "dd"
            | "address"
            | "hr"
            | "details"
            | "summary"
            | "fieldset"
            | "legend"
            | "body"
            | "html"
            | "caption"
            | "thead"
            | "tbody"
            | "tfoot"
            | "center"
            | "hgroup"
            | "nav"
            | "footer"
            | "form"
            | "menu"
            | "option"
            | "li"
    )
}
