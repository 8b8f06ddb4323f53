//! The table, and the same as JSON.

use std::fmt;
use std::path::Path;

use anyhow::Error;
use boxcam::detect::tract::cpu_features;
use serde::Serialize;

use crate::agreement::{Agreement, Verdict};
use crate::engine::{Engine, OURS};
use crate::instructions::Counter;

/// The results of one engine; times are per round, in order.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) version: Option<String>,
    /// Why it was not measured.
    pub(crate) missing: Option<String>,
    pub(crate) agreement: Option<Agreement>,
    pub(crate) cpu_ms: Vec<f64>,
    pub(crate) wall_ms: Vec<f64>,
    /// Time relative to boxcam: the median of the rounds' ratios.
    pub(crate) times_ours: Option<f64>,
    pub(crate) instructions: Option<f64>,
    pub(crate) load_ms: Option<f64>,
    pub(crate) first_ms: Option<f64>,
    pub(crate) peak_rss_mb: Option<f64>,
}

/// The results of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) cpu: String,
    pub(crate) cpu_features: Vec<&'static str>,
    pub(crate) model: String,
    pub(crate) rounds: u32,
    /// The engine whose predictions are the reference.
    pub(crate) reference: &'static str,
    pub(crate) counter: Option<Counter>,
    pub(crate) rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            version: None,
            missing: None,
            agreement: None,
            cpu_ms: Vec::new(),
            wall_ms: Vec::new(),
            times_ours: None,
            instructions: None,
            load_ms: None,
            first_ms: None,
            peak_rss_mb: None,
        }
    }

    pub(crate) fn missing(name: &'static str, why: &Error) -> Self {
        Self {
            missing: Some(format!("{why:#}")),
            ..Self::new(name)
        }
    }

    /// Takes over what the engine reported, and its memory.
    pub(crate) fn record(&mut self, engine: &Engine) {
        self.version = Some(engine.ready.version.clone());
        self.load_ms = Some(engine.ready.load_ms);
        self.first_ms = Some(engine.ready.first_ms);
        self.peak_rss_mb = engine.peak_rss_mb();
    }

    pub(crate) fn is_wrong(&self) -> bool {
        self.agreement
            .is_some_and(|agreement| agreement.verdict == Verdict::Wrong)
    }
}

impl Report {
    pub(crate) fn new(
        model: &Path,
        rounds: u32,
        reference: &'static str,
        counter: Option<Counter>,
        mut rows: Vec<Row>,
    ) -> Self {
        let ours = rows.iter().find(|row| row.name == OURS);
        let ours = ours.map(|row| row.cpu_ms.clone()).unwrap_or_default();
        for row in &mut rows {
            // Per round, so that a slow phase of the machine is in both times of a ratio.
            let ratios = row
                .cpu_ms
                .iter()
                .zip(&ours)
                .map(|(theirs, ours)| theirs / ours);
            row.times_ours = median(ratios.collect());
        }
        let model = model.file_name().unwrap_or(model.as_os_str());
        Self {
            cpu: cpu_name(),
            cpu_features: cpu_features(),
            model: model.to_string_lossy().into_owned(),
            rounds,
            reference,
            counter,
            rows,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.cpu, self.cpu_features.join(" "))?;
        writeln!(
            f,
            "{}, one thread, CPU time, {} rounds; agreement with {}: same top class, greatest difference of a score and of \
             an edge of the box",
            self.model, self.rounds, self.reference
        )?;
        if self.counter == Some(Counter::Valgrind) {
            writeln!(
                f,
                "instructions: counted by Valgrind, which emulates an AVX2 processor"
            )?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "| engine | version | median ms | least ms | x ours | M instructions | load ms | first ms | peak MB | agrees |"
        )?;
        writeln!(
            f,
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        if let Some(why) = &self.missing {
            return write!(
                f,
                "| {name} | MISSING: {why} | - | - | - | - | - | - | - | - |"
            );
        }
        let version = self.version.as_deref().unwrap_or("-");
        let (median, least, times) = if self.is_wrong() {
            let wrong = || "WRONG".to_owned();
            (wrong(), wrong(), wrong())
        } else {
            let least = self.cpu_ms.iter().copied().reduce(f64::min);
            (
                shown(median(self.cpu_ms.clone()), 2),
                shown(least, 2),
                shown(self.times_ours, 2),
            )
        };
        let agrees = self.agreement.map_or("-".to_owned(), |agreement| {
            let Agreement {
                images,
                same_class,
                score_difference,
                box_difference,
                verdict,
            } = agreement;
            let mark = if verdict == Verdict::Saturates {
                "saturates: "
            } else {
                ""
            };
            format!("{mark}{same_class}/{images} {score_difference:.4} {box_difference:.4}")
        });
        write!(
            f,
            "| {name} | {version} | {median} | {least} | {times} | {} | {} | {} | {} | {agrees} |",
            shown(self.instructions.map(|count| count / 1e6), 1),
            shown(self.load_ms, 0),
            shown(self.first_ms, 1),
            shown(self.peak_rss_mb, 0),
        )
    }
}

fn shown(number: Option<f64>, digits: usize) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.digits$}"))
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.get(numbers.len() / 2)?;
    let other = numbers.get(numbers.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*middle, *other))
}

/// The processor's name in /proc/cpuinfo, or the board's.
fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    // ARM boards have no such line.
    let board = || std::fs::read_to_string("/proc/device-tree/model").ok();
    let name = named.map(str::to_owned).or_else(board);
    let name = name.unwrap_or_else(|| "unknown processor".to_owned());
    name.trim_matches(['\t', ' ', ':', '\0']).to_owned()
}
