//! `state/control.sock`: commands beside a running daemon.
//!
//! A connection carries one request, a line of JSON, and its answer, lines of JSON, the last of which is `exit` or
//! `failed`. Requests are bounded in size, answers come piece by piece and are read as they come, both within bounded
//! time. Who asks is told by the kernel: root and the daemon's user may ask everything, other users about their own
//! mail ([`super::desk::Caller`]). Who may connect at all is told by the file's mode, 0660.
//!
//! ```text
//! {"mailward":1,"columns":100,"ask":{"why":{"id":null,"json":false}}}
//! {"text":"no message was judged yet\n"}
//! {"exit":0}
//! ```
//!
//! - [`server`]: the daemon's end. - [`client`]: the command line's end. - `wire`: the lines.

pub(super) mod client;
pub(super) mod server;
mod wire;
