//! scanvault-sandbox
