//! scanvault-tests
