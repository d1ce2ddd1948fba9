//! scanvault-qr
