//! Our book beside an acquirer's report: what one has and the other has not.
//!
//! Pure. The report is text of a form of ours (no party documents its own publicly; whoever fetches it converts it):
//!
//! ```text
//! reference,kind,amount_minor,currency,booked_at,id
//! sv-81234,capture,1000,DKK,2026-11-21T12:00:00+00:00,d8e92a70-…
//! ```
//!
//! `reference` is ours as the party was told it, `kind` is `capture` or `refund`, `id` is the party's own.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

/// The first line of a report.
pub const HEADER: &str = "reference,kind,amount_minor,currency,booked_at,id";
/// A line of a report is far shorter.
const MAX_FIELD_BYTES: usize = 128;

/// A line of the party's report.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Ours.
    pub reference: String,
    /// `capture` or `refund`.
    pub kind: String,
    /// In minor units.
    pub amount_minor: u64,
    /// ISO 4217.
    pub currency: String,
    /// As the party writes it.
    pub booked_at: String,
    /// The party's.
    pub id: String,
}

/// An act of ours that moves money, as the origin exports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OurAct {
    /// Whose.
    pub account: String,
    /// The transaction's number.
    pub transaction_id: i64,
    /// The act's number in it.
    pub act: u32,
    /// What the party was told.
    pub reference: String,
    /// The merchant's reference or order.
    pub merchant_reference: String,
    /// `capture` or `refund`.
    pub kind: String,
    /// In minor units.
    pub amount_minor: u64,
    /// ISO 4217.
    pub currency: String,
    /// `done` or `unknown`.
    pub state: String,
    /// When it was asked for, in Unix milliseconds.
    pub asked_at_ms: i64,
    /// When its outcome was written, in Unix milliseconds.
    pub settled_at_ms: i64,
}

/// What does not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// We have it as done, the report has it not.
    MissingThere {
        /// Ours.
        ours: OurAct,
    },
    /// The report has it, we have it not.
    MissingHere {
        /// Theirs.
        theirs: Line,
    },
    /// Both have it, with other amounts or currencies.
    Differs {
        /// Ours.
        ours: OurAct,
        /// Theirs.
        theirs: Line,
    },
    /// Nobody knew; the report says that it was booked.
    UnknownWasBooked {
        /// Ours.
        ours: OurAct,
        /// Theirs.
        theirs: Line,
    },
    /// Nobody knows, and the report has it not: an operator decides, with the party's word.
    UnknownNotInReport {
        /// Ours.
        ours: OurAct,
    },
    /// Nobody knows, and the one line that fits may as well be that of an act that another day's report may have: an
    /// operator decides, with the party's word.
    Ambiguous {
        /// Ours.
        ours: OurAct,
        /// Theirs.
        theirs: Line,
    },
    /// The report has the same line once more, with the same id: it counts once.
    Twice {
        /// Theirs.
        theirs: Line,
    },
    /// It was asked for before the report begins, and the report has it not: the one before has it, or nobody.
    PerhapsBefore {
        /// Ours.
        ours: OurAct,
    },
}

/// Whether an act of ours must be in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// It was asked for and answered in the report's time.
    Here,
    /// It was answered in the report's time, and asked for before: it may have been booked then.
    HereOrBefore,
    /// It was answered at another time, and is only held against what is there.
    Elsewhere,
}

/// What was compared, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Acts that both have.
    pub agreed: usize,
    /// What does not agree, in the order of references.
    pub findings: Vec<Finding>,
}

impl Comparison {
    /// How many findings are a disagreement: all but those that another day's report explains.
    #[must_use]
    pub fn disagreements(&self) -> usize {
        self.findings.iter().filter(|finding| !matches!(finding, Finding::PerhapsBefore { .. })).count()
    }
}

impl Line {
    fn is_of(&self, act: &OurAct) -> bool {
        self.amount_minor == act.amount_minor && self.currency == act.currency
    }
}

/// Why a report cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the report is not `{HEADER}`")]
pub struct ReportError {
    /// From 1.
    pub line: usize,
}

/// Reads a report.
///
/// # Errors
/// [`ReportError`] with the first line that is wrong. Nothing is guessed: half a report would look like lost money.
pub fn parse(text: &str) -> Result<Vec<Line>, ReportError> {
    let mut lines = (1..).zip(text.lines());
    if lines.next().is_none_or(|(_, first)| first.trim_end() != HEADER) {
        return Err(ReportError { line: 1 });
    }
    lines
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(line, text)| parse_line(text).ok_or(ReportError { line }))
        .collect()
}

fn parse_line(text: &str) -> Option<Line> {
    let fields: Vec<&str> = text.trim_end().split(',').collect();
    let [reference, kind, amount, currency, booked_at, id] = fields.try_into().ok()?;
    let is_plain = |field: &str| {
        !field.is_empty() && field.len() <= MAX_FIELD_BYTES && field.bytes().all(|b| b.is_ascii_graphic())
    };
    let is_amount = !amount.is_empty() && amount.bytes().all(|b| b.is_ascii_digit());
    let fits = is_plain(reference) && matches!(kind, "capture" | "refund") && is_amount && currency.len() == 3;
    if !fits || !is_plain(booked_at) || !is_plain(id) {
        return None;
    }
    Some(Line {
        reference: reference.to_owned(),
        kind: kind.to_owned(),
        amount_minor: amount.parse().ok()?,
        currency: currency.to_owned(),
        booked_at: booked_at.to_owned(),
        id: id.to_owned(),
    })
}

/// The transactions that a report names: ours are looked up even when they are of another day.
#[must_use]
pub fn transactions_named(report: &[Line]) -> Vec<i64> {
    // A wallet's payment has something random behind the number.
    let id = |line: &Line| line.reference.strip_prefix("sv-")?.split('-').next()?.parse().ok();
    let mut ids: Vec<i64> = report.iter().filter_map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The acts of one kind on one transaction: ours, and theirs.
type Group<'a> = (Vec<&'a OurAct>, Vec<&'a Line>);

/// Holds ours against theirs. `due` says whether an act of ours must be in this report.
#[must_use]
pub fn compare(ours: &[OurAct], theirs: &[Line], due: impl Fn(&OurAct) -> Due) -> Comparison {
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    for act in ours {
        groups.entry((&act.reference, &act.kind)).or_default().0.push(act);
    }
    let (mut seen, mut comparison) = (HashSet::new(), Comparison::default());
    for line in theirs {
        // Reports that were put together have lines twice. Counted twice one would stand for a booking that is not there.
        if seen.insert(line) {
            groups.entry((&line.reference, &line.kind)).or_default().1.push(line);
        } else {
            comparison.findings.push(Finding::Twice { theirs: line.clone() });
        }
    }
    for (ours, theirs) in groups.into_values() {
        compare_group(ours, theirs, &due, &mut comparison);
    }
    comparison
}

/// The acts of one kind on one transaction. What is equal goes first, what is certain of ours before what is unknown.
fn compare_group(
    mut ours: Vec<&OurAct>,
    mut theirs: Vec<&Line>,
    due: &impl Fn(&OurAct) -> Due,
    comparison: &mut Comparison,
) {
    ours.sort_by_key(|act| (act.state != "done", act.act));
    let (mut unmatched, mut shared) = (Vec::new(), Vec::new());
    for act in ours {
        match theirs.iter().position(|line| line.is_of(act)) {
            Some(at) if act.state == "done" => {
                let line = theirs.remove(at);
                comparison.agreed += 1;
                if due(act) != Due::Here {
                    shared.push(line);
                }
            }
            Some(at) => {
                let theirs = theirs.remove(at).clone();
                comparison.findings.push(Finding::UnknownWasBooked { ours: act.clone(), theirs });
            }
            None => unmatched.push(act),
        }
    }
    // A line with another amount is of this report's act, not of one that was agreed on long ago.
    unmatched.sort_by_key(|act| due(act));
    for act in unmatched {
        let (ours, due) = (act.clone(), due(act));
        if act.state != "done" {
            let shared = shared.iter().position(|line| line.is_of(&ours)).map(|at| shared.swap_remove(at).clone());
            comparison.findings.extend(match (shared, due) {
                (_, Due::Elsewhere) => None,
                (Some(theirs), _) => Some(Finding::Ambiguous { ours, theirs }),
                (None, _) => Some(Finding::UnknownNotInReport { ours }),
            });
            continue;
        }
        comparison.findings.extend(match (theirs.pop(), due) {
            (Some(theirs), _) => Some(Finding::Differs { ours, theirs: theirs.clone() }),
            (None, Due::Here) => Some(Finding::MissingThere { ours }),
            (None, Due::HereOrBefore) => Some(Finding::PerhapsBefore { ours }),
            (None, Due::Elsewhere) => None,
        });
    }
    comparison.findings.extend(theirs.into_iter().map(|line| Finding::MissingHere { theirs: line.clone() }));
}

#[cfg(test)]
mod tests;
