//! The `mailward` command.

fn main() -> std::process::ExitCode {
    mailward::cli::run()
}
