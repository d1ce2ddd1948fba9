//! scanvault-edge
