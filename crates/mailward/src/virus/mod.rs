//! PLACEHOLDER
use std::path::PathBuf;
/// Where clamd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClamdAddress {
    /// A socket.
    Unix(PathBuf),
}
impl std::str::FromStr for ClamdAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(ClamdAddress::Unix(text.trim_start_matches("unix:").into()))
    }
}
impl std::fmt::Display for ClamdAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ClamdAddress::Unix(path) = self;
        write!(f, "unix:{}", path.display())
    }
}
