//! Small PDF files written by hand: positioned lines in Helvetica, images, an encryption dictionary.

/// A line of text on a page: position, size, words.
pub(crate) struct Line<'a> {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) size: u32,
    pub(crate) text: &'a str,
}

/// What a page shows.
pub(crate) enum Page<'a> {
    Lines(Vec<Line<'a>>),
    Image,
}

/// A file with these pages; `trailer` is added to its trailer dictionary.
pub(crate) fn pdf(pages: &[Page<'_>], trailer: &str) -> Vec<u8> {
    let mut objects: Vec<Vec<u8>> = Vec::new();
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 6 + 2 * page)).collect();
    objects.push(b"<< /Type /Catalog /Pages 2 0 R >>".to_vec());
    objects.push(format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()).into_bytes());
    objects.push(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec());
    objects.push(
        b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>\n\
          stream\n\x80\nendstream"
            .to_vec(),
    );
    objects.push(b"<< /Title (Harbour survey) /Author (Ada Lind) /CreationDate (D:20240312101500Z) >>".to_vec());
    for (index, page) in pages.iter().enumerate() {
        let content = content(page);
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> \
                 /XObject << /I1 4 0 R >> >> /Contents {} 0 R >>",
                7 + 2 * index
            )
            .into_bytes(),
        );
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()).into_bytes());
    }
    assemble(&objects, trailer)
}

fn content(page: &Page<'_>) -> String {
    match page {
        Page::Image => "q 612 0 0 792 0 0 cm /I1 Do Q".to_owned(),
        Page::Lines(lines) => lines
            .iter()
            .map(|line| {
                let text = line.text.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
                format!("BT /F1 {} Tf 1 0 0 1 {} {} Tm ({text}) Tj ET\n", line.size, line.x, line.y)
            })
            .collect(),
    }
}

fn assemble(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend_from_slice(format!("{} 0 obj\n", index + 1).as_bytes());
        file.extend_from_slice(object);
        file.extend_from_slice(b"\nendobj\n");
    }
    let table = file.len();
    file.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).as_bytes());
    for offset in offsets {
        file.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    let size = objects.len() + 1;
    file.extend_from_slice(
        format!("trailer\n<< /Size {size} /Root 1 0 R /Info 5 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n")
            .as_bytes(),
    );
    file
}

/// A page of paragraphs set in one column, ten points each line.
pub(crate) fn column<'a>(x: u32, top: u32, lines: &[&'a str]) -> Vec<Line<'a>> {
    lines.iter().zip(0..).map(|(text, row)| Line { x, y: top - 12 * row, size: 10, text }).collect()
}
