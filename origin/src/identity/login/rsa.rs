//! The RSA work of a challenge, away from the threads that answer.
//!
//! Whoever asks causes milliseconds of it, without having proved anything. So it is bounded: one at a time for each two
//! processors, a short queue, and who comes when that is full is told to come again. Payments keep the other half of the
//! machine.

use std::num::NonZeroUsize;
use std::sync::Arc;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use scanvault_protocol::Problem;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::vault::login::{CHALLENGE_BYTES, CIPHERTEXT_BYTES, DECOY_RANDOM_BYTES};
use crate::vault::{Entropy, EntropyError, SystemEntropy, Unsealed};
use crate::web::ApiError;

/// `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 | openssl pkey -pubout -outform DER`: the private half was
/// never written anywhere, and what is encrypted to it is never sent.
pub(super) const NOBODYS_KEY: &[u8] = include_bytes!("nobody.der");
/// How many wait for each that works: the last of them for some 100 ms.
const WAITING_PER_PERMIT: usize = 32;

/// The bound on the work.
pub(super) struct Workers {
    /// Who is working or waiting.
    admitted: Arc<Semaphore>,
    working: Arc<Semaphore>,
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
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let permits = (processors / 2).max(1);
        Self {
            admitted: Arc::new(Semaphore::new(permits * (1 + WAITING_PER_PERMIT))),
            working: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Makes a challenge when it is its turn.
    ///
    /// # Errors
    /// [`Problem::Overloaded`] when too many wait.
    pub(super) async fn prepare(&self, wanted: Wanted) -> Result<Prepared, ApiError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Problem::Overloaded)?;
        let working = Arc::clone(&self.working).acquire_owned().await.map_err(|_| Problem::Overloaded)?;
        let made = tokio::task::spawn_blocking(move || {
            let made = prepare(&wanted, &mut SystemEntropy::new());
            // Held until the work is over, whether or not somebody still waits for it.
            drop((working, admitted));
            made
        });
        made.await.map_err(|error| ApiError::internal(&error))?.map_err(|error| ApiError::internal(&error))
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
        let workers = Workers::new();
        let all = workers.admitted.available_permits();
        let held = Arc::clone(&workers.admitted).try_acquire_many_owned(u32::try_from(all).unwrap()).unwrap();
        assert!(workers.admitted.try_acquire().is_err());
        drop(held);
        assert!(workers.admitted.try_acquire().is_ok());
    }
}
