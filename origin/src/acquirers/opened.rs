//! A merchant's credentials for as long as they are needed: one payment, one act.

use std::any::Any;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::AcquirerError;

/// Credentials as the vault has opened them, and what the connector has read of them: reading Clearhaus' signing key takes
/// longer than signing with it, and a payment signs twice. Both are wiped together, so that no key outlives the record
/// that it was read from.
pub struct Opened {
    bytes: Zeroizing<Vec<u8>>,
    read: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl From<Zeroizing<Vec<u8>>> for Opened {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes, read: OnceLock::new() }
    }
}

impl Opened {
    /// The record.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// What a connector makes of the record, made at the first time. What it makes wipes itself when it is dropped.
    ///
    /// # Errors
    /// As `read`; and when it was read as something else before, which no connector does.
    pub(super) fn read<T: Send + Sync + 'static>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, AcquirerError>,
    ) -> Result<&T, AcquirerError> {
        if self.read.get().is_none() {
            // Of two at once one stays, and they are the same.
            let _ = self.read.set(Box::new(read(&self.bytes)?));
        }
        let found = self.read.get().and_then(|found| found.downcast_ref());
        found.ok_or(AcquirerError::Credentials("read as another party's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_read_again() {
        let opened = Opened::from(Zeroizing::new(b"7".to_vec()));
        let mut times = 0;
        for _ in 0..3 {
            let read = opened.read(|bytes| {
                times += 1;
                Ok(bytes.to_vec())
            });
            assert_eq!(read.unwrap(), b"7");
        }
        assert_eq!(times, 1);
        assert!(opened.read(|_| Ok(0_u8)).is_err());
    }

    #[test]
    fn what_could_not_be_read_is_tried_again() {
        let opened = Opened::from(Zeroizing::new(Vec::new()));
        assert!(opened.read::<u8>(|_| Err(AcquirerError::NotOffered)).is_err());
        assert_eq!(*opened.read(|_| Ok(1_u8)).unwrap(), 1);
    }
}
