//! One frame out, one frame back, on a connection of its own. A frame begins with its whole length in two bytes.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::{CALL_TIMEOUT, CONNECT_TIMEOUT, TransportError};
use crate::acquirers::Answer;

/// Why there is no way to an address.
#[derive(Debug, thiserror::Error)]
pub enum FramedError {
    /// Not `host:port`.
    #[error("an address is host:port")]
    Address,
    /// No certificate that TLS could trust.
    #[error("no CA certificate (PEM) to trust")]
    Ca,
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// A client for one party's address.
pub struct Framed {
    address: String,
    /// None: plain TCP.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Framed {
    /// See [`super::Transport::framed`]. These CAs and no others are trusted: the party names its own.
    ///
    /// # Errors
    /// See [`FramedError`].
    pub fn tls(address: &str, ca_pem: &[u8]) -> Result<Self, FramedError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(certificate.map_err(|_| FramedError::Ca)?)?;
        }
        if roots.is_empty() {
            return Err(FramedError::Ca);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host(address)?.to_owned()).map_err(|_| FramedError::Address)?;
        Ok(Self { address: address.to_owned(), tls: Some((TlsConnector::from(Arc::new(config)), name)) })
    }

    /// See [`super::Transport::framed_plain`].
    ///
    /// # Errors
    /// See [`FramedError`].
    pub fn plain(address: &str) -> Result<Self, FramedError> {
        host(address)?;
        Ok(Self { address: address.to_owned(), tls: None })
    }

    /// Sends a frame and reads the one that answers it.
    ///
    /// # Errors
    /// See [`TransportError`]. The frame is written only when TLS stands: what fails before was not sent.
    pub(super) async fn exchange(&self, frame: &[u8]) -> Result<Answer, TransportError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let answered = match &self.tls {
            None => {
                let stream = in_time(TcpStream::connect(&self.address)).await?;
                timeout_at(deadline, talk(stream, frame)).await
            }
            Some((connector, name)) => {
                let connected = async {
                    let stream = TcpStream::connect(&self.address).await?;
                    connector.connect(name.clone(), stream).await
                };
                let stream = in_time(connected).await?;
                timeout_at(deadline, talk(stream, frame)).await
            }
        };
        match answered {
            Err(_) => Err(TransportError::NoAnswer("the acquirer did not answer in time")),
            Ok(Err(_)) => Err(TransportError::NoAnswer("the connection to the acquirer was cut")),
            Ok(Ok(body)) => Ok(Answer { status: 0, body: body.freeze() }),
        }
    }
}

async fn in_time<T>(connecting: impl Future<Output = io::Result<T>>) -> Result<T, TransportError> {
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) | Err(_) => Err(TransportError::NotSent),
    }
}

/// The answer ends where its first two bytes say: a party that leaves the connection open costs no time, and one that
/// does not say good-bye in TLS's way loses nothing. 64 KiB is the most that two bytes can announce.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, frame: &[u8]) -> io::Result<BytesMut> {
    stream.write_all(frame).await?;
    stream.flush().await?;
    let mut start = [0; 2];
    stream.read_exact(&mut start).await?;
    let whole = usize::from(u16::from_be_bytes(start)).max(start.len());
    let mut body = BytesMut::with_capacity(whole);
    body.extend_from_slice(&start);
    body.resize(whole, 0);
    if let Some(rest) = body.get_mut(start.len()..) {
        stream.read_exact(rest).await?;
    }
    Ok(body)
}

/// The host of `host:port`; an IPv6 address stands in brackets.
fn host(address: &str) -> Result<&str, FramedError> {
    let (host, port) = address.rsplit_once(':').ok_or(FramedError::Address)?;
    port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(FramedError::Address)?;
    let bracketed = host.strip_prefix('[').map(|rest| rest.strip_suffix(']').filter(|inner| inner.contains(':')));
    let host = bracketed.unwrap_or(Some(host).filter(|host| !host.contains(':')));
    host.filter(|host| !host.is_empty()).ok_or(FramedError::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, expected) in
            [("psip.example:443", "psip.example"), ("127.0.0.1:1", "127.0.0.1"), ("[::1]:8", "::1")]
        {
            assert_eq!(host(address).unwrap(), expected);
        }
        for address in [
            "",
            "psip.example",
            "psip.example:",
            "psip.example:0",
            "psip.example:65536",
            ":1",
            "::1:8",
            "[::1:8",
            "[]:8",
        ] {
            assert!(host(address).is_err(), "{address}");
        }
        assert!(matches!(Framed::tls("psip.example:443", b""), Err(FramedError::Ca)));
        assert!(matches!(Framed::tls("not a name:443", b""), Err(FramedError::Ca)));
    }
}
