//! Cutting a streamed body into frames as its bytes arrive, however they are split.

use super::wire::Framing;

/// A frame longer than this ends the call: no provider sends one.
pub const LONGEST_FRAME: usize = 8 << 20;

/// One event or line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The event's name; empty without one.
    pub event: String,
    /// Its data.
    pub data: Vec<u8>,
}

/// The body is not cut into frames of a sensible length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong;

/// Collects bytes and gives frames.
#[derive(Debug)]
pub struct Frames {
    framing: Framing,
    /// Bytes after the last line break.
    rest: Vec<u8>,
    /// Where `rest` has been searched for a line break already.
    searched: usize,
    /// Lines of the event in progress.
    frame: Frame,
    has_data: bool,
    first: bool,
}

impl Frames {
    /// Nothing has arrived yet.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, rest: Vec::new(), searched: 0, frame: Frame::default(), has_data: false, first: true }
    }

    /// Takes bytes and returns the frames that they complete.
    ///
    /// # Errors
    /// When a frame grows beyond [`LONGEST_FRAME`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, FrameTooLong> {
        self.rest.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut start = 0;
        while let Some(at) = self.rest.get(self.searched..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.searched + at;
            let line = self.rest.get(start..end).unwrap_or_default().to_vec();
            start = end + 1;
            self.searched = start;
            frames.extend(self.line(line.strip_suffix(b"\r").unwrap_or(&line)));
        }
        self.rest.drain(..start);
        self.searched = self.rest.len();
        if self.rest.len() + self.frame.data.len() > LONGEST_FRAME { Err(FrameTooLong) } else { Ok(frames) }
    }

    /// What the end of the body completes: a last line without a break. An event without its blank line is
    /// incomplete by the standard, yet some servers end so; it is given as well.
    pub fn finish(&mut self) -> Vec<Frame> {
        let rest = std::mem::take(&mut self.rest);
        self.searched = 0;
        let mut frames: Vec<Frame> = if rest.is_empty() { Vec::new() } else { self.line(&rest).into_iter().collect() };
        if self.has_data {
            frames.extend(self.line(b""));
        }
        frames
    }

    fn line(&mut self, line: &[u8]) -> Option<Frame> {
        let line =
            if std::mem::take(&mut self.first) { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        match self.framing {
            Framing::Lines => {
                let text = line.trim_ascii();
                (!text.is_empty()).then(|| Frame { event: String::new(), data: text.to_vec() })
            }
            Framing::Sse => self.event_line(line),
        }
    }

    fn event_line(&mut self, line: &[u8]) -> Option<Frame> {
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return std::mem::take(&mut self.has_data).then_some(frame);
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => return None,
            Some(at) => line.split_at(at),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.frame.data.push(b'\n');
                }
                self.frame.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => self.frame.event = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn all(framing: Framing, pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut frames = Frames::new(framing);
        let mut found: Vec<Frame> = pieces.iter().flat_map(|piece| frames.push(piece).unwrap()).collect();
        found.extend(frames.finish());
        found.into_iter().map(|frame| (frame.event, String::from_utf8(frame.data).unwrap())).collect()
    }

    fn data(framing: Framing, body: &str) -> Vec<String> {
        all(framing, &[body.as_bytes()]).into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn events_with_comments_names_and_several_lines() {
        let body = "\u{feff}: OPENROUTER PROCESSING\n\nevent: ping\r\ndata: {}\r\n\r\ndata:one\ndata: two\nid: 7\n\ndata: [DONE]";
        let expected = [("ping", "{}"), ("", "one\ntwo"), ("", "[DONE]")];
        let found = all(Framing::Sse, &[body.as_bytes()]);
        assert_eq!(found, expected.map(|(event, data)| (event.to_owned(), data.to_owned())));
    }

    #[test]
    fn lines_without_a_final_break() {
        assert_eq!(
            data(Framing::Lines, "{\"a\":1}\n\n {\"b\":2} \r\n{\"c\":3}"),
            ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut frames = Frames::new(Framing::Lines);
        let block = vec![b'x'; 1 << 20];
        let outcome = (0..20).find_map(|_| frames.push(&block).err());
        assert_eq!(outcome, Some(FrameTooLong));
    }

    proptest! {
        #[test]
        fn splitting_changes_nothing(body in "(data: [a-z]{0,5}\r?\n|\r?\n|: c\n|event: e\n|x\n){0,12}", cuts in prop::collection::vec(0_usize..80, 0..6)) {
            let bytes = body.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            for framing in [Framing::Sse, Framing::Lines] {
                prop_assert_eq!(all(framing, &pieces), all(framing, &[bytes]));
            }
        }
    }
}
