//! The PGTM frame: 32 bytes, of which the first two are the length of everything.

/// Bytes of the header.
pub const HEADER: usize = 32;
/// The default identity, bytes 2 to 27.
pub const IDENTITY: [u8; 26] =
    [0, 0, 0x52, 0x48, 0, 2, 0x20, 0, 0, 0, 0, 0, 0, 0x32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub identity: [u8; 26],
    /// 0 is good; anything else is a failure of the transport, and nothing follows.
    pub response: u16,
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame is shorter than its header")]
    Short,
    #[error("the frame's length is not the one that it names")]
    Length,
    #[error("the last two bytes of the header are not zero")]
    Trailer,
    #[error("the payload is too long for a frame")]
    TooLong,
}

impl Frame {
    pub const fn new(payload: Vec<u8>) -> Self {
        Self { identity: IDENTITY, response: 0, payload }
    }

    /// The header alone, with a code that is not 0.
    pub const fn failure(response: u16) -> Self {
        Self { identity: IDENTITY, response, payload: Vec::new() }
    }

    /// # Errors
    /// When the payload does not fit 16 bits of length.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let length = u16::try_from(self.payload.len() + HEADER).map_err(|_| FrameError::TooLong)?;
        let mut bytes = Vec::with_capacity(usize::from(length));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.identity);
        bytes.extend_from_slice(&self.response.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.payload);
        Ok(bytes)
    }

    /// # Errors
    /// When the bytes are not exactly one frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (head, payload) = bytes.split_first_chunk::<HEADER>().ok_or(FrameError::Short)?;
        let [high, low, middle @ .., code_high, code_low, zero, nil] = head;
        if usize::from(u16::from_be_bytes([*high, *low])) != bytes.len() {
            return Err(FrameError::Length);
        }
        if (*zero, *nil) != (0, 0) {
            return Err(FrameError::Trailer);
        }
        Ok(Self { identity: *middle, response: u16::from_be_bytes([*code_high, *code_low]), payload: payload.to_vec() })
    }

    /// How many bytes the frame has in all, once its first two are there.
    pub fn announced(start: [u8; 2]) -> Option<usize> {
        Some(usize::from(u16::from_be_bytes(start))).filter(|length| *length >= HEADER)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_known_header() {
        let bytes = Frame::new(vec![b'x'; 184]).encode().unwrap();
        let hex: String = bytes[..HEADER].iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, "00D8000052480002200000000000003200000000000000000000000000000000");
        assert_eq!(Frame::decode(&bytes), Ok(Frame::new(vec![b'x'; 184])));
    }

    #[test]
    fn malformed() {
        let good = Frame::new(vec![1, 2, 3]).encode().unwrap();
        assert_eq!(Frame::decode(&good[..31]), Err(FrameError::Short));
        assert_eq!(Frame::decode(&good[..34]), Err(FrameError::Length));
        let mut trailer = good;
        trailer[31] = 1;
        assert_eq!(Frame::decode(&trailer), Err(FrameError::Trailer));
        assert_eq!(Frame::new(vec![0; 65_536]).encode(), Err(FrameError::TooLong));
        assert_eq!(Frame::announced([0, 31]), None);
        assert_eq!(Frame::failure(1).encode().unwrap()[28..30], [0, 1]);
    }

    proptest! {
        #[test]
        fn there_and_back(payload in proptest::collection::vec(any::<u8>(), 0..600), response: u16) {
            let frame = Frame { response, ..Frame::new(payload) };
            prop_assert_eq!(Frame::decode(&frame.encode().unwrap()), Ok(frame));
        }

        #[test]
        fn what_is_read_is_what_was_written(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                prop_assert_eq!(frame.encode(), Ok(bytes));
            }
        }
    }
}
