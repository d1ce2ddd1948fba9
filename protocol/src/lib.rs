//! scanvault-protocol
