//! The integration tests, one binary: they drive the built `mailward` over sockets and look at what it leaves on disk.
//!
//! Hardly anything here reaches into the crates (`clamd` and `docs` do). What the gateway promises to the world, it must
//! keep from the outside.

mod actions;
mod bdat;
mod bsmtp;
mod clamd;
mod commands;
mod conduct;
mod control;
mod crash_labels;
mod crowds;
mod daemon;
mod docs;
mod door_proxy;
mod door_tls;
mod door_xclient;
mod early;
mod evaluate;
mod file_size;
mod fixtures;
mod harmless_commands;
mod held;
mod hop_tls;
mod hop_xclient;
mod hostile;
mod junk;
mod kill;
mod large;
mod late;
mod learn;
mod limits;
mod links;
mod lmtp;
mod logging;
mod logs;
mod maildirs;
mod memory;
mod metrics;
mod nexthop;
mod observed;
mod ops;
mod origin;
mod postfix;
mod relaying;
mod reputation;
mod rig;
mod shadow_report;
mod smuggling;
mod store_commands;
mod strangers;
mod support;
mod tidy;
mod tree;
mod virus;
mod why;
