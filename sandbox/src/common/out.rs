//! Calls that a simulator makes to its merchants: their callbacks and webhooks.

use std::{io, path::Path, time::Duration};

use reqwest::{Certificate, Client, Url, redirect};

/// More than this of an answer is not read.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Clone)]
pub struct Caller(Client);

/// Where a call goes, in the parts that a signature covers.
pub(crate) struct Target {
    url: Url,
    pub(crate) host: String,
    pub(crate) path_and_query: String,
}

impl Target {
    /// Any http or https address: a sandbox runs beside what it calls.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        // As it stands in the `host` header: a default port is left out.
        let host = match (url.host_str()?, url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Some(Self { url, host, path_and_query })
    }
}

impl Caller {
    /// Trusts the certificates of the PEM file beside the well-known ones.
    ///
    /// # Errors
    /// When the file cannot be read or the TLS client cannot be set up.
    pub fn new(extra_ca: Option<&Path>) -> io::Result<Self> {
        // Nothing to do when a test or another simulator was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let pem = extra_ca.map(std::fs::read).transpose()?;
        let extra = pem.map(|pem| Certificate::from_pem_bundle(&pem)).transpose().map_err(io::Error::other)?;
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_certs_merge(extra.unwrap_or_default())
            .user_agent("scanvault-sandbox")
            .build();
        client.map(Self).map_err(io::Error::other)
    }

    /// Posts JSON; the status and the start of the body, or none when there was no whole answer in time.
    pub(crate) async fn post(
        &self,
        target: &Target,
        headers: &[(&str, &str)],
        body: String,
        limit: Duration,
    ) -> Option<(u16, Vec<u8>)> {
        let mut request = self.0.post(target.url.clone()).timeout(limit).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer =
            request.body(body).send().await.inspect_err(|error| tracing::info!(%error, "no answer")).ok()?;
        let (status, mut bytes) = (answer.status().as_u16(), Vec::new());
        while let Some(chunk) = answer.chunk().await.ok()? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return None;
            }
        }
        Some((status, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signature_covers() {
        for (url, host, path) in [
            ("https://shop.example/a/b?c=d", "shop.example", "/a/b?c=d"),
            ("https://shop.example:443/", "shop.example", "/"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.host.as_str(), target.path_and_query.as_str()), (host, path));
        }
        for url in ["", "ftp://shop.example/", "shop.example", "/a"] {
            assert!(Target::parse(url).is_none(), "{url}");
        }
    }
}
