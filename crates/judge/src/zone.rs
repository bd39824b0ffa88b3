//! A resolver that answers from a zone file: for tests, and for `mailward scan --dns FILE`.
