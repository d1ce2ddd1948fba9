//! The receiver's log: a JSON line per delivery, in a file that others may read along.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) delivery: String,
    pub(super) verified: bool,
    /// A delivery that had been taken before; noted once, however often it comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) duplicate: bool,
    pub(super) t: Option<i64>,
    /// The HTTP status that the sender got.
    pub(super) answered: u16,
    pub(super) body: Value,
}

pub(super) struct Log {
    file: File,
    lines: Vec<Line>,
    /// Deliveries that were taken (answered 200), and whether a repetition has been noted.
    taken: HashMap<String, bool>,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        // The last line may be torn by a crash; the sender got no answer to it.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(complete as u64)?;
        let mut log = Self { file, lines: Vec::new(), taken: HashMap::new() };
        for line in text.get(..complete).unwrap_or_default().lines() {
            log.remember(serde_json::from_str(line)?);
        }
        Ok(log)
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Writes the line down, unless it repeats a repetition.
    pub(super) fn write(&mut self, mut line: Line) -> io::Result<()> {
        if line.answered == 200 {
            match self.taken.get(&line.delivery) {
                Some(true) => return Ok(()),
                Some(false) => line.duplicate = true,
                None => {}
            }
        }
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.remember(line);
        Ok(())
    }

    fn remember(&mut self, line: Line) {
        if line.answered == 200 {
            self.taken.entry(line.delivery.clone()).and_modify(|noted| *noted = true).or_insert(false);
        }
        self.lines.push(line);
    }
}
