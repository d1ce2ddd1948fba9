//! `scanvault reconcile …`: what has moved money, by day, and held against a party's own report.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::input;
use super::output::{Failure, Output};
use crate::calendar::Utc;
use crate::payments::reconcile::{self, Comparison, Due, Finding, OurAct};

/// A day's report of a large merchant.
const MAX_REPORT_BYTES: u64 = 256 * 1024 * 1024;
const DAY_MS: i64 = 86_400_000;
/// As many transactions as the origin looks up at once.
const CHUNK: usize = 500;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print what was captured and refunded, a line each, or the totals.
    Export {
        #[command(flatten)]
        span: Span,
        /// Only this merchant's.
        #[arg(long)]
        account: Option<String>,
        /// Print sums by merchant and currency instead of lines.
        #[arg(long)]
        totals: bool,
    },
    /// Hold what we have against a party's report. Refused (1) when they do not agree.
    Compare {
        #[command(flatten)]
        span: Span,
        /// The report: CSV with the columns reference,kind,amount_minor,currency,booked_at,id; `-` is standard input.
        report: PathBuf,
        /// Settle what nobody knew and the report has as booked.
        #[arg(long)]
        settle: bool,
    },
}

#[derive(Args)]
pub(super) struct Span {
    /// Whose report: clearhaus, nets or mobilepay.
    #[arg(long)]
    party: String,
    /// The first day, UTC: YYYY-MM-DD.
    #[arg(long, value_parser = day)]
    from: i64,
    /// The day after the last; without it, one day.
    #[arg(long, value_parser = day)]
    until: Option<i64>,
}

pub(super) async fn run(command: Command, output: &Output, client: &Client) -> Result<(), Failure> {
    match command {
        Command::Export { span, account, totals } => {
            let mut acts = acts_of(client, &span).await?;
            acts.retain(|act| account.as_ref().is_none_or(|name| act.account == *name));
            if totals {
                print_totals(output, &acts)
            } else {
                print_acts(output, &acts)
            }
            Ok(())
        }
        Command::Compare { span, report, settle } => compare(output, client, &span, &report, settle).await,
    }
}

async fn compare(output: &Output, client: &Client, span: &Span, report: &Path, settle: bool) -> Result<(), Failure> {
    let text = input::read(report, MAX_REPORT_BYTES)?;
    let theirs = reconcile::parse(&text).map_err(|error| Failure::Usage(format!("{}: {error}", report.display())))?;
    let mut ours = acts_of(client, span).await?;
    let named = |act: &OurAct| (act.transaction_id, act.act);
    let of_span: HashSet<(i64, u32)> = ours.iter().map(named).collect();
    for ids in reconcile::transactions_named(&theirs).chunks(CHUNK) {
        let body = json!({"party": span.party, "transactions": ids});
        let answer = client.post("/reconciliation/transactions", &body).await?;
        ours.extend(acts(&answer)?.into_iter().filter(|act| !of_span.contains(&named(act))));
    }
    let compared = reconcile::compare(&ours, &theirs, |act| match of_span.contains(&named(act)) {
        true if act.asked_at_ms >= span.from => Due::Here,
        true => Due::HereOrBefore,
        false => Due::Elsewhere,
    });
    let settled = if settle { settle_booked(client, &compared).await? } else { 0 };
    print_comparison(output, &compared, settled);
    let open = compared.disagreements() - settled;
    if open == 0 { Ok(()) } else { Err(Failure::Refused(format!("{open} do not agree"))) }
}

/// Writes down as booked what the report says was.
async fn settle_booked(client: &Client, compared: &Comparison) -> Result<usize, Failure> {
    let mut settled = 0;
    for finding in &compared.findings {
        if let Finding::UnknownWasBooked { ours, .. } = finding {
            // The act is named: by now it may have been answered, and another one be open.
            let body = json!({"booked": true, "act": ours.act});
            client.post(&format!("/transactions/{}/settle", ours.transaction_id), &body).await?;
            settled += 1;
        }
    }
    Ok(settled)
}

async fn acts_of(client: &Client, span: &Span) -> Result<Vec<OurAct>, Failure> {
    let until_ms = span.until.unwrap_or(span.from + DAY_MS);
    if until_ms <= span.from {
        return Err(Failure::Usage("--until is the day after the last one".into()));
    }
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"party": span.party, "fromMs": span.from, "untilMs": until_ms});
        if let (Some(fields), false) = (body.as_object_mut(), after.is_null()) {
            fields.insert("after".to_owned(), after);
        }
        let answer = client.post("/reconciliation/acts", &body).await?;
        all.extend(acts(&answer)?);
        after = answer.get("next").cloned().unwrap_or(Value::Null);
        if after.is_null() {
            return Ok(all);
        }
    }
}

fn acts(answer: &Value) -> Result<Vec<OurAct>, Failure> {
    let acts = answer.get("acts").cloned().unwrap_or(Value::Null);
    serde_json::from_value(acts).map_err(|_| Failure::Refused("the origin's answer is not readable".into()))
}

fn print_acts(output: &Output, acts: &[OurAct]) {
    if output.json {
        return output.text(&json!({"acts": acts}).to_string());
    }
    output.text("account,merchant_reference,reference,act,kind,amount_minor,currency,state,settled_at");
    for act in acts {
        let at = Utc::from_unix_ms(u64::try_from(act.settled_at_ms).unwrap_or(0));
        let OurAct { account, merchant_reference, reference, act: number, kind, amount_minor, currency, state, .. } =
            act;
        let quoted = quoted(merchant_reference);
        output.text(&format!("{account},{quoted},{reference},{number},{kind},{amount_minor},{currency},{state},{at}"));
    }
}

/// RFC 4180 §2. A spreadsheet takes what begins with these signs for a formula, whoever wrote it.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

fn print_totals(output: &Output, acts: &[OurAct]) {
    let mut sums: BTreeMap<(&str, &str), [u64; 4]> = BTreeMap::new();
    for act in acts.iter().filter(|act| act.state == "done") {
        let [captures, captured, refunds, refunded] = sums.entry((&act.account, &act.currency)).or_default();
        let (count, sum) = if act.kind == "capture" { (captures, captured) } else { (refunds, refunded) };
        *count += 1;
        *sum += act.amount_minor;
    }
    let rows: Vec<Value> = sums
        .iter()
        .map(|((account, currency), [captures, captured, refunds, refunded])| {
            json!({"account": account, "currency": currency, "captures": captures, "capturedMinor": captured,
                "refunds": refunds, "refundedMinor": refunded})
        })
        .collect();
    let unknown = acts.iter().filter(|act| act.state != "done").count();
    output.object(&json!({"totals": rows, "unknown": unknown}));
}

fn print_comparison(output: &Output, compared: &Comparison, settled: usize) {
    if output.json {
        let Comparison { agreed, findings } = compared;
        return output.text(&json!({"agreed": agreed, "settled": settled, "findings": findings}).to_string());
    }
    let open = compared.disagreements();
    output.text(&format!("{} agree, {open} do not, {settled} of these settled", compared.agreed));
    for finding in &compared.findings {
        output.text(&sentence(finding));
    }
}

fn sentence(finding: &Finding) -> String {
    let ours = |act: &OurAct| {
        let OurAct { account, reference, act, kind, amount_minor, currency, .. } = act;
        format!("{account} {reference}, act {act}: {kind} of {amount_minor} {currency}")
    };
    match finding {
        Finding::MissingThere { ours: act } => format!("not in the report: {}", ours(act)),
        Finding::MissingHere { theirs } => format!(
            "only in the report: {}: {} of {} {} ({})",
            theirs.reference, theirs.kind, theirs.amount_minor, theirs.currency, theirs.id
        ),
        Finding::Differs { ours: act, theirs } => {
            format!("differs: {}; the report has {} {}", ours(act), theirs.amount_minor, theirs.currency)
        }
        Finding::UnknownWasBooked { ours: act, theirs } => format!("was booked: {} ({})", ours(act), theirs.id),
        Finding::UnknownNotInReport { ours: act } => format!("unknown, and not in the report: {}", ours(act)),
        Finding::Ambiguous { ours: act, theirs } => format!(
            "unknown: {}; the one line that fits ({}) may be that of an earlier act of the same amount",
            ours(act),
            theirs.id
        ),
        Finding::Twice { theirs } => {
            format!("twice in the report, counted once: {}: {} ({})", theirs.reference, theirs.kind, theirs.id)
        }
        Finding::PerhapsBefore { ours: act } => {
            format!("not in this report, perhaps in the one before, when it was asked for: {}", ours(act))
        }
    }
}

/// The first moment of a day, in Unix milliseconds.
fn day(text: &str) -> Result<i64, String> {
    Utc::parse_day(text).and_then(|at_ms| i64::try_from(at_ms).ok()).ok_or_else(|| "a day is YYYY-MM-DD".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_cannot_become_a_formula_or_a_second_column() {
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        assert_eq!(quoted("a\",b"), "\"a\"\",b\"");
    }

    #[test]
    fn days_are_read() {
        assert_eq!(day("2026-11-21"), Ok(1_795_219_200_000));
        assert!(day("2026-02-30").is_err() && day("21.11.2026").is_err() && day("").is_err());
    }
}
