//! `boxcam doctor`: what works here, what doesn't, and how to mend it.
//!
//! In goes what `boxcam run` would be asked to do, out come findings in plain words. Nothing is changed: no
//! camera is switched to another mode, no screen is drawn on, and what a run would write is only looked at.

use std::fmt::Write as _;

use boxcam::options::DoctorOptions;
use serde::Serialize;

use super::{json, print};
use super::{Completion, Failure};
use machine::Machine;

mod board;
mod camera;
mod machine;
mod model;
mod outputs;
mod screen;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// What it is about, in a word.
    about: &'static str,
    verdict: Verdict,
    /// What there is.
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// How it stands with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// It works.
    Good,
    /// It is not there or not as good as it could be, and boxcam runs without it.
    Note,
    /// What boxcam was asked to do will not work.
    Bad,
}

/// What programs get.
#[derive(Serialize)]
struct Diagnosis<'a> {
    version: &'static str,
    verdict: Verdict,
    findings: &'a [Finding],
}

impl Finding {
    fn good(about: &'static str, says: impl Into<String>) -> Self {
        Self {
            about,
            verdict: Verdict::Good,
            says: says.into(),
            mend: None,
        }
    }

    fn note(about: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Note,
            mend: Some(mend.into()),
            ..Self::good(about, says)
        }
    }

    fn bad(about: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::note(about, says, mend)
        }
    }
}

pub(super) fn doctor(config: &DoctorOptions) -> Result<Completion, Failure> {
    let findings = findings(config, &Machine::this());
    let verdict = worst(&findings);
    print(&if config.json {
        let diagnosis = Diagnosis {
            version: env!("CARGO_PKG_VERSION"),
            verdict,
            findings: &findings,
        };
        json(&diagnosis)?
    } else {
        words(&findings)
    })?;
    match verdict {
        Verdict::Bad => Err(Failure::ChecksFailed {
            count: findings
                .iter()
                .filter(|f| f.verdict == Verdict::Bad)
                .count(),
        }),
        Verdict::Good | Verdict::Note => Ok(Completion::Complete),
    }
}

fn findings(config: &DoctorOptions, machine: &Machine) -> Vec<Finding> {
    let mut findings = board::findings(machine);
    findings.extend(model::findings(&config.run.model));
    findings.extend(camera::findings(&config.run, machine));
    findings.extend(screen::findings(&config.run.display, machine));
    findings.extend(outputs::findings(&config.run));
    findings
}

fn worst(findings: &[Finding]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.verdict);
    verdicts.max().unwrap_or(Verdict::Good)
}

fn words(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok ",
            Verdict::Note => "-  ",
            Verdict::Bad => "BAD",
        };
        let _ = writeln!(text, "{mark}  {:9} {}", finding.about, finding.says);
        if let Some(mend) = &finding.mend {
            let _ = writeln!(text, "{:14} > {mend}", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_out_with_its_mend() {
        let findings = [
            Finding::good("model", "fine"),
            Finding::note("heat", "warm", "give it air"),
            Finding::bad("camera", "none", "plug one in"),
        ];
        let expected = "ok   model     fine\n\
                        -    heat      warm\n               > give it air\n\
                        BAD  camera    none\n               > plug one in\n";
        assert_eq!(words(&findings), expected);
        assert_eq!(worst(&findings), Verdict::Bad);
        assert_eq!(worst(&findings[..2]), Verdict::Note);
        assert_eq!(worst(&[]), Verdict::Good);
    }
}
