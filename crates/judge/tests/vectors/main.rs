//! The vectors of others: suites for SPF, DMARC and Authentication-Results, beside the repository in
//! `../shared/vectors.tar.zst`; and the cases for reputation in `../shared/acceptance`. Those for DKIM and ARC are tests of
//! `signatures`.
//!
//! Without them each test is passed over with a printed line; under `CI=true` it fails.

mod auth_results;
mod dmarc;
mod publicsuffix;
mod reputation;
mod spf;
mod support;
