//! `mailward check`: mistakes in the configuration and the domains' files, before they cost mail.

use super::{Trouble, harmless_json, load};
use crate::config::{Config, Fault};
use crate::domains::{Domains, Finding, Roll, Roots, Severity, audit};
use crate::judgement::Judgement;
use clap::Args;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// One JSON object a finding
    #[arg(long)]
    json: bool,
    /// Print the configuration that holds, each key with its meaning, and do nothing else
    #[arg(long)]
    print: bool,
}

pub(super) fn run(path: Option<&Path>, options: &Options) -> Result<ExitCode, Trouble> {
    let mut out = std::io::stdout().lock();
    let config = match load(path) {
        Err(Trouble::Config(faults)) if options.json => {
            for fault in &faults {
                writeln!(out, "{}", harmless_json(&fault_json(fault).to_string()))?;
            }
            return Ok(ExitCode::from(2));
        }
        loaded => loaded?,
    };
    if options.print {
        out.write_all(config.print().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    // What the daemon would refuse to start with, though it stands in a file of its own.
    let mut offline = config.clone();
    offline.dns.enabled = false;
    Judgement::open(&offline, None).map_err(|(error, hint)| Trouble::Said(error, hint))?;
    let roots = Roots {
        domains: config.paths.domains.clone(),
        blacklist_d: config.paths.blacklist_d.clone(),
    };
    let mut findings = audit(&roots, &|hop| config.is_ourselves(hop));
    findings.extend(missing(&config, roots));
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    for finding in &findings {
        if options.json {
            writeln!(out, "{}", harmless_json(&json(finding).to_string()))?;
        } else {
            writeln!(out, "{finding}")?;
        }
    }
    if !options.json {
        match (errors, warnings) {
            (0, 0) => writeln!(
                out,
                "nothing wrong in {} and the configuration",
                config.paths.domains.display()
            )?,
            _ => writeln!(out, "{errors} errors, {warnings} warnings")?,
        }
    }
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// What was there a moment ago, by the daemon's list.
fn missing(config: &Config, roots: Roots) -> Vec<Finding> {
    // A tree that cannot be opened was reported.
    let Ok(domains) = Domains::open(roots, config.domain_defaults()) else {
        return Vec::new();
    };
    let finding = |path, message, hint| Finding {
        path,
        line: None,
        severity: Severity::Error,
        message,
        hint: Some(hint),
    };
    match Roll::look(&config.paths.state, &domains, jiff::Timestamp::now().as_second()) {
        Ok(missing) => missing
            .iter()
            .map(|one| {
                let top = config.paths.domains.join(one.domain.as_str());
                let path = if one.is_users { top.join("users/valid") } else { top };
                finding(path, one.to_string(), one.hint())
            })
            .collect(),
        Err(error) => vec![finding(
            config.paths.state.clone(),
            error.to_string(),
            error.hint().into(),
        )],
    }
}

/// In the form of a finding.
fn fault_json(fault: &Fault) -> serde_json::Value {
    serde_json::json!({
        "path": fault.path,
        "line": fault.line,
        "severity": Severity::Error.to_string(),
        "message": fault.message,
        "hint": fault.hint,
    })
}

fn json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "path": finding.path,
        "line": finding.line,
        "severity": finding.severity.to_string(),
        "message": finding.message,
        "hint": finding.hint,
    })
}
