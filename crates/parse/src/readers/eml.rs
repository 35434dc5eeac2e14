//! E-mail: subject as title and heading, sender and date as metadata, the best body, and attachments that can
//! be read, each under its name.

use lorekeep_types::ParsedDocument;
use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};

use crate::dates;
use crate::draft::Draft;
use crate::error::{ParseError, Result};
use crate::readers::{Source, html, read_any};

/// Messages attached to messages are followed this far.
const MAX_MESSAGE_DEPTH: usize = 8;

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let message = MessageParser::default()
        .parse(source.bytes)
        .ok_or_else(|| ParseError::broken("eml", "it has no message header"))?;
    let mut draft = Draft::new(source.watch);
    let subject = message.subject().map(str::to_owned);
    draft.metadata.author = message.from().map(addresses).filter(|names| !names.is_empty());
    draft.metadata.date = message.date().and_then(|date| dates::from_parts(date.year, date.month, date.day));
    draft.metadata.title = subject;
    write(&message, source, &mut draft, 0)?;
    draft.finish("the message holds no text")
}

fn write(message: &Message<'_>, source: &Source<'_>, draft: &mut Draft<'_>, depth: usize) -> Result<()> {
    source.watch.check()?;
    let level = u8::try_from(depth + 1).unwrap_or(u8::MAX);
    draft.heading(level, message.subject().unwrap_or_default());
    header(message, draft);
    body(message, source, draft)?;
    for part in message.attachments() {
        source.watch.check()?;
        if let PartType::Message(inner) = &part.body {
            if depth < MAX_MESSAGE_DEPTH {
                write(inner, source, draft, depth + 1)?;
            } else {
                draft.warn("messages nested deeper than 8 levels were left out");
            }
            continue;
        }
        let name = part.attachment_name().unwrap_or_default();
        if !name.is_empty() {
            attachment(name, part.contents(), source, draft, level)?;
        }
    }
    Ok(())
}

fn header(message: &Message<'_>, draft: &mut Draft<'_>) {
    let lines = [("From", message.from()), ("To", message.to()), ("Cc", message.cc())];
    for (name, value) in lines {
        if let Some(value) = value.map(addresses).filter(|value| !value.is_empty()) {
            draft.line(0, &format!("{name}: {value}"));
        }
    }
    if let Some(date) = message.date().and_then(|date| dates::from_parts(date.year, date.month, date.day)) {
        draft.line(0, &format!("Date: {date}"));
    }
    draft.end_lines();
}

/// The plain text where the sender wrote one, else the HTML.
fn body(message: &Message<'_>, source: &Source<'_>, draft: &mut Draft<'_>) -> Result<()> {
    let bodies: Vec<_> = message.text_bodies().chain(message.html_bodies()).collect();
    let mut seen: Vec<*const u8> = Vec::new();
    let plain = message.text_bodies().any(|part| matches!(&part.body, PartType::Text(text) if !text.trim().is_empty()));
    for part in bodies {
        let start = part.contents().as_ptr();
        if seen.contains(&start) {
            continue;
        }
        seen.push(start);
        if part.is_encoding_problem {
            draft.warn("part of the message is wrongly encoded; what could be decoded was kept");
        }
        match &part.body {
            PartType::Text(text) if !text.trim().is_empty() => {
                draft.body(text);
            }
            PartType::Html(markup) if !plain => html::write(draft, markup, source, false)?,
            _ => {}
        }
    }
    Ok(())
}

/// The text of an attachment under its name; one that cannot be read is a warning.
fn attachment(name: &str, bytes: &[u8], source: &Source<'_>, draft: &mut Draft<'_>, level: u8) -> Result<()> {
    let inner = Source { name, bytes, watch: source.watch };
    match read_any(&inner, 1) {
        Ok(documents) => {
            for (member, document) in documents {
                let title = if member.is_empty() { name.to_owned() } else { format!("{name}/{member}") };
                draft.heading(level.saturating_add(1), &title);
                draft.append(document, level.saturating_add(1));
            }
            Ok(())
        }
        Err(error) if error.stops_everything() => Err(error),
        Err(error) => {
            draft.warn(format!("the attachment `{name}` was left out: {error}"));
            Ok(())
        }
    }
}

fn addresses(address: &Address<'_>) -> String {
    let names = address.iter().map(|one| match (one.name(), one.address()) {
        (Some(name), Some(mail)) => format!("{name} <{mail}>"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    });
    names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}
