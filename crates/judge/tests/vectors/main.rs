//! The vectors of others: suites for SPF, DKIM, ARC and Authentication-Results, beside the repository in
//! `../shared/vectors.tar.zst`; and the cases for reputation in `../shared/acceptance`.
//!
//! Without them each test is passed over with a printed line; under `CI=true` it fails.

mod arc;
mod auth_results;
mod dkim;
mod dmarc;
mod mailbox;
mod publicsuffix;
mod reputation;
mod spf;
mod support;
