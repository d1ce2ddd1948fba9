//! The RSA work of a challenge, on threads of its own.
//!
//! Whoever asks causes milliseconds of it, without having proved anything. So it is bounded: one thread for each two
//! processors, a short queue, and who comes when that is full is told to come again. The threads have a low priority, so
//! that they take what payments leave of the machine.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use scanvault_protocol::Problem;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

use crate::vault::login::{CHALLENGE_BYTES, CIPHERTEXT_BYTES, DECOY_RANDOM_BYTES};
use crate::vault::memory::wipe_stack;
use crate::vault::{Entropy, EntropyError, SystemEntropy, Unsealed};
use crate::web::ApiError;

/// `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 | openssl pkey -pubout -outform DER`: the private half was
/// never written anywhere, and what is encrypted to it is never sent.
pub(super) const NOBODYS_KEY: &[u8] = include_bytes!("nobody.der");
/// How many wait for each thread: the last of them for some 100 ms, longer when payments are busy.
const WAITING_PER_THREAD: usize = 32;
/// The threads' `nice` value: about a tenth of a processor that others want too.
const NICENESS: i32 = 10;

/// The threads, by the queue that they take from. They end with it.
pub(super) struct Workers {
    /// One for each place in the queue.
    places: Arc<Semaphore>,
    queue: SyncSender<Job>,
}

/// A place in the queue, free again when this is dropped.
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
}

struct Job {
    wanted: Wanted,
    turn: Turn,
    answer: oneshot::Sender<Result<Prepared, PrepareError>>,
}

/// Both directions of a challenge, made.
pub(super) struct Prepared {
    /// What the client is to open: a ciphertext of its key, or what looks like one.
    pub(super) challenge: Box<[u8; CIPHERTEXT_BYTES]>,
    /// SHA-256 of the SHA-256 of what is in it.
    pub(super) answer_hash: [u8; 32],
    /// The answer to the client's own challenge.
    pub(super) proof: [u8; 32],
}

/// What a challenge is made of.
pub(super) struct Wanted {
    pub(super) unsealed: Arc<Unsealed>,
    pub(super) identity: String,
    /// Whether the key is that of the identity; else a decoy is sent.
    pub(super) is_enrolled: bool,
    /// The enrolled key, or a stand-in; DER.
    pub(super) key: Vec<u8>,
    pub(super) client_challenge: Box<[u8; CIPHERTEXT_BYTES]>,
}

/// Why there is none. For the log.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// It was checked when it was enrolled.
    #[error("the stored key encrypts nothing")]
    Key,
}

impl Workers {
    /// For this machine.
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = (processors / 2).max(1);
        let (workers, jobs) = Self::with_places(threads * WAITING_PER_THREAD);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = Arc::clone(&jobs);
            let started = thread::Builder::new().name("login-rsa".to_owned()).spawn(move || work(&jobs));
            if let Err(error) = started {
                tracing::error!(cause = %error, "no thread for logins");
            }
        }
        workers
    }

    fn with_places(places: usize) -> (Self, Receiver<Job>) {
        let (queue, jobs) = sync_channel(places);
        (Self { places: Arc::new(Semaphore::new(places)), queue }, jobs)
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`Problem::Overloaded`] when too many wait.
    pub(super) fn turn(&self) -> Result<Turn, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Problem::Overloaded)?;
        Ok(Turn { _place: place })
    }

    /// Makes a challenge when it is its turn.
    ///
    /// # Errors
    /// When a key encrypts nothing, or there are no random bytes.
    pub(super) async fn prepare(&self, wanted: Wanted, turn: Turn) -> Result<Prepared, ApiError> {
        let (answer, made) = oneshot::channel();
        // Whoever has a place finds room.
        self.queue.try_send(Job { wanted, turn, answer }).map_err(|_| Problem::Overloaded)?;
        made.await.map_err(|error| ApiError::internal(&error))?.map_err(|error| ApiError::internal(&error))
    }
}

/// A thread's life. The lock is held while it waits for a job, not while it works.
fn work(jobs: &Mutex<Receiver<Job>>) {
    // Of this thread alone, on Linux. Where it is not allowed, payments and logins share evenly.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    let mut entropy = SystemEntropy::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { wanted, turn, answer }) = job else { return };
        // Who has hung up gets nothing; the caller cannot tell, and the work is saved.
        if !answer.is_closed() {
            let made = prepare(&wanted, &mut entropy);
            drop((wanted, turn));
            let _ = answer.send(made);
            wipe_stack();
        }
    }
}

/// The same work for everybody: a key is parsed, 64 bytes are encrypted to it, a decoy is derived, one of the two is taken.
fn prepare(wanted: &Wanted, entropy: &mut dyn Entropy) -> Result<Prepared, PrepareError> {
    let proof = wanted.unsealed.answer_challenge(&wanted.client_challenge);
    let mut secret = Zeroizing::new([0; CHALLENGE_BYTES]);
    entropy.fill(&mut *secret)?;
    let mut random = [0; DECOY_RANDOM_BYTES];
    entropy.fill(&mut random)?;
    let decoy = wanted.unsealed.decoy(&wanted.identity, &random);
    let mut challenge = Box::new([0; CIPHERTEXT_BYTES]);
    encrypt(&wanted.key, &*secret, &mut challenge).ok_or(PrepareError::Key)?;
    let is_decoy = Choice::from(u8::from(!wanted.is_enrolled));
    for (byte, other) in challenge.iter_mut().zip(decoy) {
        byte.conditional_assign(&other, is_decoy);
    }
    let answer_hash = Sha256::digest(Sha256::digest(secret.as_slice())).into();
    Ok(Prepared { challenge, answer_hash, proof })
}

/// RSA/ECB/OAEPWithSHA-1AndMGF1Padding, with AWS-LC's own random bytes.
fn encrypt(key: &[u8], text: &[u8], room: &mut [u8; CIPHERTEXT_BYTES]) -> Option<()> {
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(key).ok()?).ok()?;
    let sealed = key.encrypt(&OAEP_SHA1_MGF1SHA1, text, room, None).ok()?;
    (sealed.len() == CIPHERTEXT_BYTES).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::enrolled_key::EnrolledKey;
    use crate::vault::testing::open_vault;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn nobodys_key_could_be_somebodys() {
        assert!(EnrolledKey::parse(&STANDARD.encode(NOBODYS_KEY)).is_ok());
        let mut room = [0; CIPHERTEXT_BYTES];
        assert!(encrypt(NOBODYS_KEY, &[7; CHALLENGE_BYTES], &mut room).is_some());
        assert!(room != [0; CIPHERTEXT_BYTES]);
        assert!(encrypt(b"no key", &[7; CHALLENGE_BYTES], &mut room).is_none());
    }

    #[tokio::test]
    async fn who_comes_when_the_queue_is_full_is_told_so() {
        let (workers, jobs) = Workers::with_places(1);
        let (_vault, unsealed, _shares) = open_vault();
        let wanted = Wanted {
            unsealed: Arc::clone(&unsealed),
            identity: "merchant-25".to_owned(),
            is_enrolled: false,
            key: NOBODYS_KEY.to_vec(),
            client_challenge: Box::new([1; CIPHERTEXT_BYTES]),
        };
        let turn = workers.turn().unwrap();
        assert_eq!(workers.turn().err().map(|error| error.problem()), Some(Problem::Overloaded));
        thread::spawn(move || work(&Mutex::new(jobs)));
        assert!(workers.prepare(wanted, turn).await.is_ok());
        assert!(workers.turn().is_ok(), "the place is free again");
    }
}
