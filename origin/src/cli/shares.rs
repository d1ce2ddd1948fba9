//! Shares on the command line: read from a file, standard input or a prompt that shows nothing; never from arguments or
//! the environment. Written only as files that their custodian alone can open.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::input;
use super::output::{Failure, Output};
use crate::vault::custodian;

/// A share is 90 characters; an age file around it is under 2 KiB.
const MAX_SHARE_FILE_BYTES: u64 = 64 * 1024;

/// `NAME=RECIPIENT`, each.
pub(super) fn parse_custodians(custodians: &[String]) -> Result<Vec<Value>, Failure> {
    let parse = |text: &String| {
        let (name, recipient) =
            text.split_once('=').ok_or_else(|| Failure::Usage("a custodian is given as NAME=RECIPIENT".into()))?;
        Ok(json!({"name": name, "recipient": recipient}))
    };
    custodians.iter().map(parse).collect()
}

/// Before anything is dealt: shares that cannot be written down would have to be fetched again.
pub(super) fn prepare_folder<'a>(out: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(|error| Failure::Usage(format!("{}: {error}", out.display())))?;
    for name in names {
        let file = share_file(out, name);
        if file.exists() {
            return Err(Failure::Usage(format!("{} is there already", file.display())));
        }
    }
    Ok(())
}

/// A share's text: from a file, from standard input (`-`), or typed.
pub(super) fn read(path: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    match path {
        Some(path) => input::read(path, MAX_SHARE_FILE_BYTES),
        None => prompt(),
    }
}

fn share_file(out: &Path, custodian: &str) -> PathBuf {
    out.join(format!("{custodian}.share.age"))
}

/// Writes each share's file and puts its path in the place of its text.
pub(super) fn write_all(answer: &mut Value, out: &Path, output: &Output) -> Result<(), Failure> {
    let shares = answer.get_mut("shares").and_then(Value::as_array_mut);
    for share in shares.ok_or_else(|| Failure::Refused("the answer holds no shares".into()))? {
        let text = |name: &str| share.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let file = share_file(out, &text("custodian"));
        write_new(&file, text("armored").as_bytes())?;
        if !output.json {
            output.text(&format!(
                "share {} for {} (key {}): {}",
                share.get("index").cloned().unwrap_or_default(),
                text("custodian"),
                text("fingerprint"),
                file.display()
            ));
        }
        if let Some(fields) = share.as_object_mut() {
            fields.remove("armored");
            fields.insert("file".into(), json!(file.display().to_string()));
        }
    }
    Ok(())
}

pub(super) fn show(identity: &Path, share: &Path, output: &Output) -> Result<(), Failure> {
    let identity = Zeroizing::new(
        fs::read_to_string(identity).map_err(|error| Failure::Usage(format!("{}: {error}", identity.display())))?,
    );
    let encrypted = fs::read(share).map_err(|error| Failure::Usage(format!("{}: {error}", share.display())))?;
    let text = custodian::decrypt(&identity, &encrypted).map_err(|error| Failure::Refused(error.to_string()))?;
    if output.json {
        output.object(&json!({"share": text.trim()}));
    } else {
        output.text(text.trim());
    }
    Ok(())
}

pub(super) fn keygen(out: &Path, output: &Output) -> Result<(), Failure> {
    let (identity, recipient) = custodian::generate_identity();
    write_new(out, identity.as_bytes())?;
    if output.json {
        output.object(&json!({"recipient": recipient.to_string()}));
    } else {
        output.text(&recipient.to_string());
    }
    Ok(())
}

/// Readable by its owner only; never over a file that is there.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// Asks on the terminal; what is typed does not show.
fn prompt() -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage("--share-file says where the share is; - is standard input".into()));
    }
    let failed = |error: std::io::Error| Failure::Usage(format!("terminal: {error}"));
    let shown = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
    let _ = write!(std::io::stderr(), "share: ");
    let mut text = Zeroizing::new(String::with_capacity(1024));
    let read = stdin.read_line(&mut text);
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &shown);
    let _ = writeln!(std::io::stderr());
    read.map_err(failed)?;
    Ok(text)
}
