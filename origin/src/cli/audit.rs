//! `scanvault audit …`

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{AdminArgs, Client};
use super::input;
use super::output::{Failure, Output};
use crate::audit::export::{FORMAT, Header, KeyLine, Line, Totals, verify_export};
use crate::audit::snapshot::Snapshot;
use crate::audit::source::Cursor;
use crate::audit::verify::{Item, Source, verify};
use crate::audit::{ChainId, GivenHead, PublicKey, Report, VerifyError};
use crate::calendar::Utc;
use crate::hex;

const MAX_VALUE_BYTES: u64 = 64 * 1024;
/// Places that the origin looks up in one call.
const HASHES_AT_ONCE: usize = 1000;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Prove every chain: numbers, hashes, signatures, and what the chains say of each other. Refused (1) at a fault.
    Verify {
        /// Where a chain is known to have stood, from the log or a backup: CHAIN:NUMBER:HASH. Any number of them.
        #[arg(long = "head")]
        heads: Vec<GivenHead>,
        /// An exported file, in the place of a running origin.
        #[arg(long, requires = "public_keys")]
        file: Option<PathBuf>,
        /// KEY:HEX, the public key of an audit key; in the place of those that the origin has in memory.
        #[arg(long = "public-key", value_parser = public_key)]
        public_keys: Vec<PublicKey>,
    },
    /// Write all chains into a file, as they stand now.
    Export {
        /// Must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Show what stands in the chain in the place of a value. That you asked is audited.
    Value {
        /// The field's name, such as token.
        field: String,
        /// File with the value; `-` is standard input. One line end at its end is not part of it.
        #[arg(long, default_value = "-")]
        value_file: PathBuf,
    },
    /// Show the newest entries.
    Show {
        /// How many links.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        last: u16,
    },
}

pub(super) async fn run(command: Command, output: &Output, admin: &AdminArgs) -> Result<(), Failure> {
    match command {
        Command::Verify { heads, file: Some(file), public_keys } => {
            let reader = File::open(&file).map_err(|error| usage(&file, &error))?;
            report(verify_export(BufReader::new(reader), &public_keys, &heads), output)
        }
        Command::Verify { heads, file: None, public_keys } => {
            let client = Client::new(admin)?;
            let keys = if public_keys.is_empty() { origin_keys(&client).await? } else { public_keys };
            let mut source = Origin::new(&client);
            report(verify(&mut source, &keys, &heads).await, output)
        }
        Command::Export { out } => export(&Client::new(admin)?, &out, output).await,
        Command::Value { field, value_file } => {
            let value = read_value(&value_file)?;
            let body = json!({"field": field, "value": value.as_str()});
            show_values(&Client::new(admin)?.post("/audit/value", &body).await?, output);
            Ok(())
        }
        Command::Show { last } => {
            show_links(&Client::new(admin)?.get(&format!("/audit/last/{last}")).await?, output);
            Ok(())
        }
    }
}

fn report(done: Result<Report, VerifyError>, output: &Output) -> Result<(), Failure> {
    let report = done.map_err(|error| Failure::Refused(error.to_string()))?;
    if output.json {
        output.object(&serde_json::to_value(&report).unwrap_or_default());
        return Ok(());
    }
    for chain in &report.chains {
        let unsigned =
            if chain.unsigned == 0 { String::new() } else { format!(", the last {} unsigned", chain.unsigned) };
        output.text(&format!("{}:{}:{}  {}{unsigned}", chain.chain, chain.links, chain.hash, chain.process));
    }
    output.text(&format!("{} links in {} chains are whole", report.links, report.chains.len()));
    if report.unsigned > 0 {
        output.text(&format!("{} links at the ends are covered by no signature", report.unsigned));
    }
    Ok(())
}

async fn origin_keys(client: &Client) -> Result<Vec<PublicKey>, Failure> {
    let keys: Vec<PublicKey> = key_lines(&client.get("/audit/keys").await?).iter().filter_map(KeyLine::parse).collect();
    if keys.is_empty() {
        return Err(Failure::Refused("the vault is sealed: give the keys with --public-key, or unseal it".into()));
    }
    Ok(keys)
}

fn key_lines(answer: &Value) -> Vec<KeyLine> {
    answer.get("publicKeys").cloned().and_then(|keys| serde_json::from_value(keys).ok()).unwrap_or_default()
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    let parse = || {
        let (id, key) = text.split_once(':')?;
        KeyLine { key_id: id.parse().ok()?, public_key: key.to_owned() }.parse()
    };
    parse().ok_or_else(|| "a public key is given as KEY:HEX, as in an export's first line".to_owned())
}

async fn export(client: &Client, out: &Path, output: &Output) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = BufWriter::new(file.map_err(|error| usage(out, &error))?);
    let done = match write_export(client, &mut file).await {
        Ok(totals) => file.into_inner().map_err(|error| usage(out, error.error())).and_then(|file| {
            file.sync_all().map_err(|error| usage(out, &error))?;
            Ok(totals)
        }),
        Err(failure) => Err(failure),
    };
    match done {
        Ok(totals) => {
            output.object(&json!({"file": out.display().to_string(), "chains": totals.chains, "links": totals.links}));
            Ok(())
        }
        Err(failure) => {
            let _ = fs::remove_file(out);
            Err(failure)
        }
    }
}

async fn write_export(client: &Client, file: &mut impl Write) -> Result<Totals, Failure> {
    let keys = client.get("/audit/keys").await?;
    let exported_at_ms = keys.get("nowMs").and_then(Value::as_u64).unwrap_or_default();
    let header = Header { format: FORMAT.to_owned(), exported_at_ms, public_keys: key_lines(&keys) };
    write_line(file, &Line::Header(header))?;
    let snapshot = Snapshot::parse(&client.get_text("/audit/snapshot").await?);
    let mut snapshot = snapshot.ok_or_else(|| Failure::Refused("the answer is not readable".into()))?;
    let (mut source, mut totals) = (Origin::new(client), Totals::default());
    loop {
        let item = source.next().await.map_err(|error| Failure::Refused(error.to_string()))?;
        let is_end = item.is_none();
        for item in snapshot.pass(item) {
            match item {
                Item::Chain(_) => totals.chains += 1,
                Item::Link(_) => totals.links += 1,
            }
            write_line(file, &item.into())?;
        }
        if is_end {
            break;
        }
    }
    write_line(file, &Line::End(totals))?;
    Ok(totals)
}

fn write_line(file: &mut impl Write, line: &Line) -> Result<(), Failure> {
    let done = file.write_all(line.to_text().as_bytes()).and_then(|()| file.write_all(b"\n"));
    done.map_err(|error| Failure::Refused(format!("the file could not be written: {error}")))
}

fn read_value(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = input::read(path, MAX_VALUE_BYTES)?;
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(line.unwrap_or(&text).to_owned()))
}

fn show_values(answer: &Value, output: &Output) {
    if output.json {
        return output.object(answer);
    }
    for value in answer.get("values").and_then(Value::as_array).into_iter().flatten() {
        let text = value.get("value").and_then(Value::as_str).unwrap_or_default();
        output.text(&format!("key {}  {text}", value.get("keyId").unwrap_or(&Value::Null)));
    }
}

fn show_links(answer: &Value, output: &Output) {
    if output.json {
        return output.object(answer);
    }
    let links = answer.get("links").and_then(Value::as_array);
    // The newest come first in the answer, and last on the screen.
    for link in links.into_iter().flatten().rev() {
        let at_ms = link.get("atMs").and_then(Value::as_u64).unwrap_or_default();
        let chain = link.get("chain").and_then(Value::as_str).unwrap_or_default();
        let number = link.get("number").unwrap_or(&Value::Null);
        let signed = if link.get("keyId").is_some_and(Value::is_number) { "" } else { " (unsigned)" };
        let place = format!("{} {}/{number}{signed}", Utc::from_unix_ms(at_ms), chain.get(..8).unwrap_or(chain));
        for entry in link.get("entries").and_then(Value::as_array).into_iter().flatten() {
            output.text(&format!("{place} {}", entry_text(entry)));
        }
    }
}

fn entry_text(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let mut line = format!("{} by {}", text("action"), text("actor"));
    let fields = entry.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| !matches!(name.as_str(), "action" | "actor")) {
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

fn usage(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}

/// The chains of a running origin, page by page.
struct Origin<'a> {
    client: &'a Client,
    items: VecDeque<Item>,
    next: Option<Cursor>,
}

impl<'a> Origin<'a> {
    fn new(client: &'a Client) -> Self {
        Self { client, items: VecDeque::new(), next: Some(Cursor::default()) }
    }

    async fn turn(&mut self, after: &Cursor) -> Result<(), VerifyError> {
        let text = self.client.post_text("/audit/page", after).await.map_err(unreadable)?;
        for line in text.lines() {
            match Line::parse(line)? {
                Line::Chain(chain) => self.items.push_back(Item::Chain(chain)),
                Line::Link(link) => self.items.push_back(Item::Link(link.into())),
                Line::Next(next) => self.next = next,
                Line::Header(_) | Line::End(_) => return Err(VerifyError::Source("the answer is no page".into())),
            }
        }
        Ok(())
    }
}

impl Source for Origin<'_> {
    async fn next(&mut self) -> Result<Option<Item>, VerifyError> {
        while self.items.is_empty() {
            let Some(after) = self.next.take() else { return Ok(None) };
            self.turn(&after).await?;
        }
        Ok(self.items.pop_front())
    }

    async fn hashes(&mut self, places: &[(ChainId, u64)]) -> Result<Vec<Option<[u8; 32]>>, VerifyError> {
        let mut found = Vec::with_capacity(places.len());
        for part in places.chunks(HASHES_AT_ONCE) {
            let part: Vec<_> = part.iter().map(|(chain, number)| (chain.to_string(), number)).collect();
            let answer = self.client.post("/audit/hashes", &json!({"places": part})).await.map_err(unreadable)?;
            let hashes = answer.get("hashes").and_then(Value::as_array).filter(|hashes| hashes.len() == part.len());
            let hashes = hashes.ok_or_else(|| VerifyError::Source("the answer holds no hashes".into()))?;
            found.extend(hashes.iter().map(|hash| hash.as_str().map(|hash| hex::decode(hash).unwrap_or_default())));
        }
        Ok(found)
    }
}

fn unreadable(failure: Failure) -> VerifyError {
    let (Failure::Refused(text) | Failure::Usage(text) | Failure::Unreachable(text)) = failure;
    VerifyError::Source(text)
}
