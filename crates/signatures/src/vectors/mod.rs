//! The vectors of others for DKIM and ARC, beside the repository in `../shared/vectors.tar.zst`.
//!
//! Those that need no keys are tests of `judge`. They stand here, so that they need no program of their own.
//! Without the archive each test is passed over with a printed line; under `CI=true` it fails.

mod arc;
mod dkim;
mod mailbox;
#[path = "../../../judge/tests/vectors/support.rs"]
mod support;
