//! Development tasks: `cargo xtask ci | tidy | codegen | bench | fuzz`.

#![expect(unreachable_pub, reason = "in a binary `pub` marks what a module offers to the others")]
#![expect(clippy::print_stdout, reason = "this is a command")]

mod bench;
mod ci;
mod codegen;
mod fuzz;
#[cfg(feature = "local-models")]
mod local;
mod run;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "cargo xtask TASK

  ci [STEP…]        install what the tests need and run everything (or only the named steps)
  tidy              check the rules of the tree that no compiler checks
  codegen [--check] write generated files (OpenAPI, configuration reference), or check them
  bench [PART…]     measure: quality, speed (the default), extract, scale, peer (LightRAG in the same run), gateway,
                    local (MiniLM and a random Llama in this process; --model DIR --python PYTHON)
  fuzz [TARGET…] [--seconds N]
                    mutate inputs of the parsers, the text analysis and the archive until something breaks (60 s each)";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rest = words.get(1..).unwrap_or_default();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let outcome = match words.first().map(String::as_str) {
        Some("ci") => ci::run_all(rest),
        Some("tidy") => tidy::run(),
        Some("codegen") => codegen::run(rest.iter().any(|word| word == "--check")),
        Some("fuzz") => fuzz::run_all(rest),
        Some("bench") => bench::run_all(rest),
        #[cfg(feature = "local-models")]
        Some("local") => local::measure(rest),
        _ => {
            println!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
