//! scanvault-origin
