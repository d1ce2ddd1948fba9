//! `GET /v1/seq/{n}`: the changes after a number. It needs no key: the feed works while the vault is sealed.

use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::super::store::changes;
use super::{V1, body};
use crate::identity::Account;
use crate::web::{ApiError, Call};

/// The most changes of one page.
const MAX_CHANGES: i64 = 2_000;
/// The most bytes of them, the last one aside. Go's library reads 1 MiB of an answer and no more.
const MAX_BYTES: usize = 768 * 1024;

impl V1<'_> {
    /// The next page of the caller's feed: some changes and the number of the last, or none and a number that is not
    /// higher than the one that was asked for. Clients hold an answer against this.
    ///
    /// # Errors
    /// 400 for what is no number.
    pub(super) async fn seq(self, account: Account, call: &Call) -> Result<Response, ApiError> {
        let text = call.parameter.as_str();
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        let after: i64 = text.parse().ok().filter(|_| is_number).ok_or_else(|| body::bad("invalid seq"))?;
        let name = account.name.to_string();
        let page = changes::page(&self.payments.db, &name, after, MAX_CHANGES, MAX_BYTES).await?;
        let seq = page.last.unwrap_or_else(|| after.min(account.change_seq));
        // The entries are as they were written: nothing of them is parsed again.
        let answer = [r#"{"seq":"#, &seq.to_string(), r#","changes":["#, &page.entries, "]}"].concat();
        let mut response = Response::new(answer.into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}
