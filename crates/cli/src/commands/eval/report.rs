//! The figures of an evaluation, for people and for machines.

use std::time::Duration;

use anyhow::Result;
use lorekeep_engine::eval::{Figures, Interval, Measured, mean_interval, measure};
use lorekeep_types::Mode;
use serde_json::json;

use crate::output;

/// Times per question.
#[derive(Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// The time that a share of the questions stays under, in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// Everything an evaluation found out.
pub struct Report {
    measured: Measured,
    answer_1: Option<Interval>,
    answer_3: Option<Interval>,
    passages: usize,
    index_s: f64,
    ms_p50: f64,
    ms_p99: f64,
    mode: Mode,
    each: Vec<Figures>,
}

impl Report {
    /// Sums up.
    pub fn new(
        figures: &[Figures],
        quoted: &[(bool, bool)],
        times: &Times,
        passages: usize,
        index_s: f64,
        mode: Mode,
    ) -> Self {
        let share = |hits: Vec<f64>| (!hits.is_empty()).then(|| mean_interval(&hits));
        Self {
            measured: measure(figures),
            answer_1: share(quoted.iter().map(|(first, _)| f64::from(u8::from(*first))).collect()),
            answer_3: share(quoted.iter().map(|(_, three)| f64::from(u8::from(*three))).collect()),
            passages,
            index_s,
            ms_p50: times.quantile(0.5),
            ms_p99: times.quantile(0.99),
            mode,
            each: figures.to_vec(),
        }
    }

    fn each(&self) -> serde_json::Value {
        let all = |figure: fn(&Figures) -> f64| self.each.iter().map(figure).collect::<Vec<f64>>();
        json!({
            "recall@2": all(|one| one.recall_2), "recall@5": all(|one| one.recall_5),
            "recall@10": all(|one| one.recall_10), "ndcg@10": all(|one| one.ndcg_10), "mrr@10": all(|one| one.mrr_10),
        })
    }

    /// Prints one JSON object, with the figures of each question if asked for, or a table with 95 % intervals.
    pub fn print(&self, as_json: bool, each: bool) -> Result<()> {
        let Measured { queries, recall_2, recall_5, recall_10, ndcg_10, mrr_10 } = self.measured;
        if as_json {
            let half = json!({
                "recall@2": recall_2.half, "recall@5": recall_5.half, "recall@10": recall_10.half,
                "ndcg@10": ndcg_10.half, "mrr@10": mrr_10.half,
                "answer@1": self.answer_1.map(|one| one.half), "answer@3": self.answer_3.map(|three| three.half),
            });
            let mut report = json!({
                "queries": queries, "passages": self.passages,
                "recall@2": recall_2.mean, "recall@5": recall_5.mean, "recall@10": recall_10.mean,
                "ndcg@10": ndcg_10.mean, "mrr@10": mrr_10.mean,
                "answer@1": self.answer_1.map(|one| one.mean), "answer@3": self.answer_3.map(|three| three.mean),
                "index_s": self.index_s, "ms_p50": self.ms_p50, "ms_p99": self.ms_p99, "mode": self.mode.name(),
                "half_interval_95": half,
            });
            if let Some(report) = report.as_object_mut().filter(|_| each) {
                report.insert("each".to_owned(), self.each());
            }
            return output::json(&report);
        }
        output::line(&format!("{} passages, {queries} questions, mode {}", self.passages, self.mode.name()));
        let rows = [
            ("recall@2", Some(recall_2)),
            ("recall@5", Some(recall_5)),
            ("recall@10", Some(recall_10)),
            ("nDCG@10", Some(ndcg_10)),
            ("MRR@10", Some(mrr_10)),
            ("answer@1", self.answer_1),
            ("answer@3", self.answer_3),
        ];
        for (name, figure) in rows {
            if let Some(Interval { mean, half }) = figure {
                output::line(&format!("  {name:<10} {:>5.1} % ± {:.1}", mean * 100.0, half * 100.0));
            }
        }
        output::line(&format!(
            "  indexed in {:.2} s; {:.2} ms per question (p99 {:.2})",
            self.index_s, self.ms_p50, self.ms_p99
        ));
        Ok(())
    }
}
