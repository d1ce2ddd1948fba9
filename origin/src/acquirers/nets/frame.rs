//! The PGTM frame: 32 bytes, of which the first two are the length of everything, and the message.

use zeroize::Zeroizing;

/// Bytes before the message.
pub const HEADER_BYTES: usize = 32;
/// Bytes 2 to 27, as every known client sends them.
const IDENTITY: [u8; 26] = [0, 0, 0x52, 0x48, 0, 2, 0x20, 0, 0, 0, 0, 0, 0, 0x32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Why bytes are no frame with a message in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not the length that it names, or no whole header.
    #[error("the frame is not whole")]
    Cut,
    /// The network's response code; no message follows.
    #[error("the network answered {0:04x}")]
    Refused(u16),
    /// More than 16 bits can count.
    #[error("the message is too long for a frame")]
    TooLong,
}

/// Puts the header before a message.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn wrap(message: &[u8]) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let length = u16::try_from(message.len() + HEADER_BYTES).map_err(|_| FrameError::TooLong)?;
    let mut frame = Zeroizing::new(Vec::with_capacity(usize::from(length)));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&IDENTITY);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(message);
    Ok(frame)
}

/// The message of a frame. The identity is the network's business and is not looked at.
///
/// # Errors
/// See [`FrameError`].
pub fn open(frame: &[u8]) -> Result<&[u8], FrameError> {
    let (header, message) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(FrameError::Cut)?;
    let [high, low, _identity @ .., code_high, code_low, _, _] = header;
    if usize::from(u16::from_be_bytes([*high, *low])) != frame.len() {
        return Err(FrameError::Cut);
    }
    match u16::from_be_bytes([*code_high, *code_low]) {
        0 => Ok(message),
        code => Err(FrameError::Refused(code)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_known_header() {
        let frame = wrap(&[b'x'; 184]).unwrap();
        let expected = "00d8000052480002200000000000003200000000000000000000000000000000";
        assert_eq!(crate::hex::encode(&frame[..HEADER_BYTES]), expected);
        assert_eq!(open(&frame), Ok(&[b'x'; 184][..]));
    }

    #[test]
    fn what_is_no_frame() {
        let good = wrap(b"abc").unwrap();
        for cut in [0, 1, 2, 31, 32, 34] {
            assert_eq!(open(&good[..cut]), Err(FrameError::Cut), "{cut}");
        }
        assert_eq!(open(&[&good[..], b"d"].concat()), Err(FrameError::Cut));
        let mut refused = wrap(b"").unwrap();
        refused[29] = 1;
        assert_eq!(open(&refused), Err(FrameError::Refused(1)));
        assert_eq!(wrap(&vec![0; 65_504]).unwrap_err(), FrameError::TooLong);
        assert_eq!(wrap(&vec![0; 65_503]).unwrap().len(), 65_535);
    }

    proptest! {
        #[test]
        fn there_and_back(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            let frame = wrap(&message).unwrap();
            prop_assert_eq!(open(&frame), Ok(&message[..]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = open(&bytes);
        }
    }
}
