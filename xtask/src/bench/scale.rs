//! Cost per passage and per question as the corpus grows: synthetic text grown from the evaluation sets.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::*;
use serde_json::{Value, json};

use super::{children_cpu_s, eval, results, write};

/// Passages per step.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 300_000];
/// Questions asked at each size.
const QUESTIONS: usize = 100;

/// Measures every size and draws the curves.
pub fn measure(data: &Path) -> Result<()> {
    let seeds = seeds(data)?;
    let mut rows = Vec::new();
    for size in SIZES {
        let folder = std::env::temp_dir().join(format!("lorekeep-scale-{}", std::process::id()));
        grow(&seeds, size, data, &folder)?;
        let before = children_cpu_s()?;
        let figures = eval(&folder, "auto", None)?;
        let cpu_s = children_cpu_s()? - before;
        std::fs::remove_dir_all(&folder)?;
        let row = json!({
            "passages": size, "index_s": figures["index_s"], "wall_ms_per_passage": figures["index_s"].as_f64().unwrap_or_default() * 1e3 / size as f64,
            "cpu_ms_per_passage": cpu_s * 1e3 / size as f64, "search_ms_p50": figures["ms_p50"], "search_ms_p99": figures["ms_p99"],
        });
        println!("{row}");
        rows.push(row);
    }
    write("scale", &json!(rows), &page(&rows)?)?;
    plot(&rows)
}

/// Draws the figures that are there, without measuring.
pub fn draw() -> Result<()> {
    let path = results().join("scale.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    plot(&serde_json::from_str::<Vec<Value>>(&text)?)
}

/// Curves drawn: name, field, colour.
const CURVES: [(&str, &str, RGBColor); 3] = [
    ("indexing, CPU ms per passage", "cpu_ms_per_passage", RGBColor(15, 118, 110)),
    ("search, p50 ms", "search_ms_p50", RGBColor(180, 83, 9)),
    ("search, p99 ms", "search_ms_p99", RGBColor(127, 29, 29)),
];

/// Both axes are logarithmic: what grows linearly with the corpus rises by one decade per decade.
fn plot(rows: &[Value]) -> Result<()> {
    let path = results().join("scale.svg");
    let area = SVGBackend::new(&path, (720, 420)).into_drawing_area();
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or_default().max(0.01);
    let all = rows.iter().flat_map(|row| CURVES.map(|(_, key, _)| number(row, key)));
    let (least, most) = all.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
    let sizes: Vec<f64> = rows.iter().map(|row| number(row, "passages")).collect();
    let (first, last) = (sizes.first().copied().unwrap_or(1.0), sizes.last().copied().unwrap_or(10.0));
    area.fill(&WHITE).map_err(drawing)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .caption("Cost as the corpus grows", ("sans-serif", 18))
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d((first..last).log_scale(), (least * 0.7..most * 1.5).log_scale())
        .map_err(drawing)?;
    let whole = |value: &f64| format!("{value:.0}");
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .x_desc("passages")
        .y_desc("milliseconds")
        .draw()
        .map_err(drawing)?;
    for (name, key, colour) in CURVES {
        let points: Vec<(f64, f64)> = rows.iter().map(|row| (number(row, "passages"), number(row, key))).collect();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))
            .map_err(drawing)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let mut labels = chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .draw()
        .map_err(drawing)?;
    area.present().map_err(drawing)
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("cannot draw the curves: {error}")
}

/// `(title, text)` of the passages that are varied.
fn seeds(data: &Path) -> Result<Vec<(String, String)>> {
    let path = data.join("2wiki/corpus.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).ok()?;
        Some((row["title"].as_str()?.to_owned(), row["text"].as_str()?.to_owned()))
    };
    Ok(text.lines().filter_map(row).collect())
}

/// A set of `size` passages: each round of the seeds renames their capitalised words, so that names, like those of a
/// growing library, are partly shared and partly new.
fn grow(seeds: &[(String, String)], size: usize, data: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut corpus = String::new();
    for number in 0..size {
        let round = number / seeds.len();
        let (title, text) = &seeds[number % seeds.len()];
        let row = json!({ "_id": number.to_string(), "title": renamed(title, round), "text": renamed(text, round) });
        writeln!(corpus, "{row}")?;
    }
    std::fs::write(folder.join("corpus.jsonl"), corpus)?;
    let queries = std::fs::read_to_string(data.join("2wiki/queries.jsonl"))?;
    let kept: Vec<&str> = queries.lines().take(QUESTIONS).collect();
    std::fs::write(folder.join("queries.jsonl"), kept.join("\n"))?;
    let qrels = std::fs::read_to_string(data.join("2wiki/qrels.tsv"))?;
    std::fs::write(folder.join("qrels.tsv"), qrels)?;
    Ok(())
}

fn renamed(text: &str, round: usize) -> String {
    if round == 0 {
        return text.to_owned();
    }
    let suffix: String =
        format!("{round:x}").chars().map(|digit| char::from(b'a' + digit.to_digit(16).unwrap_or(0) as u8)).collect();
    let rename = |word: &str| {
        // Every third name stays, so that rounds are linked.
        let hash = word.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let name = word.chars().next().is_some_and(char::is_uppercase) && word.len() > 3;
        if name && hash % 3 != 0 { format!("{word}{suffix}") } else { word.to_owned() }
    };
    text.split(' ').map(rename).collect::<Vec<_>>().join(" ")
}

fn page(rows: &[Value]) -> Result<String> {
    let mut page = String::from(
        "# Scale\n\n`cargo xtask bench scale`: synthetic passages grown from 2wiki, two cores\n\n![curves](scale.svg)\n\n\
         | passages | indexing, s | wall ms/passage | CPU ms/passage | search p50 ms | p99 ms |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or_default();
        writeln!(
            page,
            "| {} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} |",
            row["passages"],
            number("index_s"),
            number("wall_ms_per_passage"),
            number("cpu_ms_per_passage"),
            number("search_ms_p50"),
            number("search_ms_p99"),
        )?;
    }
    page.push_str(
        "\nFaster than linear: indexing. Its CPU per passage doubles between 10,000 and 300,000 passages; each publication of \
         the views while work goes on builds the phrase graph anew, in time proportional to the corpus (the likely reason, \
         not profiled). Search grows in proportion to the corpus, as the exact scan of vectors does.\n",
    );
    Ok(page)
}
