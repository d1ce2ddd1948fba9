//! The simulator's own book: what a party has booked, independent of what it managed to answer.
//! Tests compare it with Scanvault's store. With a file it survives a restart; each simulator
//! rebuilds its state by folding over the entries. The shape of an entry is the party's own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What is asked of a party; a fault can be ordered for each. The names are one list for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Authorization,
    Capture,
    Refund,
    Void,
    Credit,
    /// Nets: an authorization is given back as a whole.
    Reversal,
    /// 3dsecure.io's endpoints, and the page of the card's bank.
    Preauth,
    Auth,
    Postauth,
    Challenge,
    /// MobilePay: a payment is asked for, its state is read, a token is given.
    Create,
    Read,
    Token,
    /// MobilePay calls us.
    Callback,
    Webhook,
}

/// One act at Clearhaus. Never a full card number, never a security code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub kind: Kind,
    /// The authorization that the act belongs to; its own id for an authorization, none for a credit.
    pub authorization: Option<String>,
    pub amount: u64,
    pub currency: String,
    pub reference: Option<String>,
    /// The party's status code, 20000 for Clearhaus' "approved".
    pub status: u32,
    /// Whether money or a reservation moved; false for what was declined.
    pub booked: bool,
    pub processed_at: String,
    pub pan_last4: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// The schemes' references by which a series of payments is continued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub r#type: String,
    pub tid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub economically_related_tlid: Option<String>,
}

pub struct Book<E = Entry>(Mutex<Pages<E>>);

struct Pages<E> {
    entries: Vec<E>,
    file: Option<File>,
}

impl<E> Default for Book<E> {
    fn default() -> Self {
        Self(Mutex::new(Pages { entries: Vec::new(), file: None }))
    }
}

impl<E: Clone + Serialize + DeserializeOwned> Book<E> {
    /// Opens or starts the book of a state directory (a JSON line per entry).
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        // A line that a crash cut short was never answered to anybody: it is dropped, and cut off
        // so that the next entry starts on a line of its own.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        let entries = text.get(..complete).unwrap_or_default().lines().map(serde_json::from_str);
        let entries = entries.collect::<Result<Vec<E>, _>>()?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        file.set_len(complete as u64)?;
        Ok(Self(Mutex::new(Pages { entries, file: Some(file) })))
    }

    /// Writes the act down; on an error it counts as not booked.
    pub fn record(&self, entry: E) -> io::Result<()> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut pages.file {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()?;
        }
        pages.entries.push(entry);
        Ok(())
    }

    pub fn entries(&self) -> Vec<E> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        Entry {
            id: id.to_owned(),
            kind: Kind::Capture,
            authorization: Some("a".to_owned()),
            amount: 1000,
            currency: "ZAR".to_owned(),
            reference: None,
            status: 20000,
            booked: true,
            processed_at: "1970-01-01T00:00:00+00:00".to_owned(),
            pan_last4: "1111".to_owned(),
            series: None,
        }
    }

    #[test]
    fn an_entry_has_the_contract_s_fields() {
        assert_eq!(
            serde_json::to_string(&entry("c")).unwrap(),
            r#"{"id":"c","kind":"capture","authorization":"a","amount":1000,"currency":"ZAR","reference":null,"status":20000,"booked":true,"processed_at":"1970-01-01T00:00:00+00:00","pan_last4":"1111"}"#
        );
    }

    #[test]
    fn survives_a_restart_and_a_torn_line() {
        let path = std::env::temp_dir().join(format!("scanvault-book-{}.jsonl", std::process::id()));
        let _ = fs::remove_file(&path);
        let book = Book::open(&path).unwrap();
        book.record(entry("1")).unwrap();
        book.record(entry("2")).unwrap();
        drop(book);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":\"3\",\"ki").unwrap();

        let book = Book::open(&path).unwrap();
        assert_eq!(book.entries(), [entry("1"), entry("2")]);
        book.record(entry("4")).unwrap();
        drop(book);
        assert_eq!(Book::<Entry>::open(&path).unwrap().entries(), [entry("1"), entry("2"), entry("4")]);

        fs::write(&path, "not an entry\n").unwrap();
        assert!(Book::<Entry>::open(&path).is_err(), "a damaged book is not silently shortened");
        fs::remove_file(&path).unwrap();
    }
}
