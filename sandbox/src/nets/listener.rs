//! The listener: one frame in, one frame out, closed; over TLS, or over TCP for tests on one machine.
//!
//! Faults: `500` is PSIP status 500 and nothing booked; `garbage` is half of the answer's frame; `drop_before`,
//! `drop_after`, `delay` and `timeout` are as everywhere. A frame or message that cannot be read is answered with the
//! header alone, response code 1.

use std::{convert::Infallible, fs, io, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    bank::Bank,
    codec::{Frame, Message, Status},
    request::Request,
};
use crate::common::faults::Fault;

/// As long as the Java client waits.
const READ_TIME: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const UNREADABLE: u16 = 1;

/// The server's side of TLS. Whether Nets wants certificates of clients is not known; none is asked for.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// From `server.pem` and `server.key` of a development CA's directory.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit the other.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        Self::from_pem(&read("server.pem")?, &read("server.key")?)
    }

    /// # Errors
    /// When the texts are no certificates and key that fit.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> io::Result<Self> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificates).collect::<Result<_, _>>().map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, bank: Arc<Bank>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, tls.clone(), bank.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<Tls>, bank: Arc<Bank>) {
    let served = match tls {
        None => exchange(stream, &bank).await,
        Some(Tls(acceptor)) => match timeout(READ_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => exchange(stream, &bank).await,
            Ok(Err(error)) => Err(error),
            Err(elapsed) => Err(elapsed.into()),
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bank: &Bank) -> io::Result<()> {
    let bytes = timeout(READ_TIME, read(&mut stream)).await??;
    let frame = bytes.and_then(|bytes| Frame::decode(&bytes).ok()).filter(|frame| frame.response == 0);
    let message = frame.and_then(|frame| Message::decode(&frame.payload).ok());
    let answer = match message.map(Bank::read) {
        None => Some(Frame::failure(UNREADABLE).encode().map_err(io::Error::other)?),
        Some(Err(refusal)) => Some(framed(&refusal)?),
        Some(Ok(request)) => perform(bank, &request).await?,
    };
    if let Some(answer) = answer {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

/// None when the connection is to end without an answer.
async fn perform(bank: &Bank, request: &Request) -> io::Result<Option<Vec<u8>>> {
    let Some(injected) = bank.fault(request) else {
        return framed(&bank.perform(request)).map(Some);
    };
    tracing::info!(fault = ?injected.fault, "a fault was ordered for this request");
    match injected.fault {
        Fault::DropBefore => Ok(None),
        Fault::DropAfter => {
            bank.perform(request);
            Ok(None)
        }
        Fault::ServerError => {
            let mut failed = Message::new(request.answer().kind());
            failed.status = Status::InternalError;
            framed(&failed).map(Some)
        }
        Fault::Garbage => {
            let mut bytes = framed(&bank.perform(request))?;
            bytes.truncate(bytes.len() / 2);
            Ok(Some(bytes))
        }
        Fault::Duplicate => framed(&bank.perform(request)).map(Some),
        Fault::Delay => {
            let bytes = framed(&bank.perform(request))?;
            tokio::time::sleep(injected.delay).await;
            Ok(Some(bytes))
        }
        Fault::Timeout => {
            bank.perform(request);
            match injected.delay.is_zero() {
                // Longer than anybody waits.
                true => tokio::time::sleep(READ_TIME * 10).await,
                false => tokio::time::sleep(injected.delay).await,
            }
            Ok(None)
        }
    }
}

/// One whole frame; none when its length makes no sense.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await?;
    let Some(length) = Frame::announced(start) else {
        return Ok(None);
    };
    let mut bytes = start.to_vec();
    bytes.resize(length, 0);
    if let Some(rest) = bytes.get_mut(2..) {
        stream.read_exact(rest).await?;
    }
    Ok(Some(bytes))
}

fn framed(message: &Message) -> io::Result<Vec<u8>> {
    Frame::new(message.encode().to_vec()).encode().map_err(io::Error::other)
}
